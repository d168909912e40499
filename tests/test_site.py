"""The site is built without a warning, and a browser that has it needs nothing else."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import browser

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow  # the whole site is built, from every docstring: 10 s


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    words = ["mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    subprocess.run([sys.executable, "-m", *words], cwd=ROOT, check=True)
    return folder


class Fetched(HTMLParser):
    """What a browser fetches to show a page, as far as the page itself names it."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        shown = tag != "link" or named.get("rel") in ("stylesheet", "icon", "preload")
        name = "href" if tag == "link" else "src"
        if shown and (address := named.get(name)):
            self.addresses.append(address)


def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        for address in Fetched(page).addresses:
            assert not re.match(r"(https?:)?//", address), (page, address)
            if not address.startswith(("data:", "/")):
                assert (page.parent / address.partition("?")[0]).is_file(), (page, address)


def test_every_formula_is_drawn_without_a_script(site: Path) -> None:
    page = (site / "derivations" / "index.html").read_text()
    written = (ROOT / "docs" / "derivations.md").read_text()
    numbers = re.findall(r"\\tag\{(\d+)\}", written)
    assert [int(n) for n in re.findall(r'id="eq-(\d+)"', page)] == [int(n) for n in numbers]
    for path in site.rglob("*.html"):
        assert "arithmatex" not in path.read_text(), path


def test_every_quoted_line_is_a_link_to_that_line(site: Path) -> None:
    page = (site / "derivations" / "index.html").read_text()
    written = (ROOT / "docs" / "derivations.md").read_text()
    links = re.findall(r'→ <a href="\.\./code/([\w.]+)/#(__codelineno-0-\d+)">', page)
    assert len(links) == len(re.findall(r"^→ `", written, re.MULTILINE))
    for name, line in links:
        assert f'"{line}"' in (site / "code" / name / "index.html").read_text()


def test_notebooks_are_pages(site: Path) -> None:
    for path in ROOT.glob("notebooks/*.ipynb"):
        page = site / "notebooks" / path.stem / "index.html"
        assert "<h1" in page.read_text()


def test_a_browser_shows_the_formulas_without_an_error(site: Path) -> None:
    words = [browser(), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    page = (site / "derivations" / "index.html").as_uri()
    done = subprocess.run([*words, "--dump-dom", page], capture_output=True, text=True, timeout=120)
    assert done.stdout.count("<math") > 90
    assert "Uncaught" not in done.stderr
