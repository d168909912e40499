"""Pages of the site that stand elsewhere: README and the like, and docstrings by package."""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
TEXTS = {
    "index.md": "README.md",
    "contributing.md": ".github/CONTRIBUTING.md",
    "security.md": "SECURITY.md",
    "changelog.md": "CHANGELOG.md",
}
PACKAGES = (
    "functional",
    "nn",
    "metrics",
    "data",
    "tasks",
    "callbacks",
    "loggers",
    "distributed",
    "text",
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from other files."""
    made = {page: _moved(source) for page, source in TEXTS.items()}
    made |= {f"api/{package}.md": _modules(package) for package in PACKAGES}
    for page, content in made.items():
        files.append(File.generated(config, page, content=content))
    return files


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Show the roles that docstrings use: formulas as formulas, names as code."""
    html = re.sub(r":math:<code>(.*?)</code>", r'<span class="arithmatex">\\(\1\\)</span>', html)
    html = re.sub(r"<p>\.\. math:: ?(.*?)</p>", _display, html, flags=re.DOTALL)
    return re.sub(
        r":(?:class|func|meth|attr|mod|data):<code>~?(.*?)</code>", r"<code>\1</code>", html
    )


def _display(found: re.Match[str]) -> str:
    """Return a formula of a docstring that has lines of its own."""
    lines = re.sub(r"\\$", r"\\\\", found[1], flags=re.MULTILINE)  # Markdown halved them
    inner = rf"\begin{{aligned}}{lines}\end{{aligned}}"
    return rf'<div class="arithmatex">\[{inner}\]</div>'


def _moved(source: str) -> str:
    """Return a text of the repository with its links as seen from the site."""
    pages = {text: page for page, text in TEXTS.items()}

    def target(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[2]))
        return found[1] + pages.get(path, path.removeprefix("docs/"))

    text = (ROOT / source).read_text(encoding="utf-8")
    return re.sub(r"(\]\(|src=\")(?!https?:|#)([^)#\s\"]+)", target, text)


def _modules(package: str) -> str:
    """Return a page that asks mkdocstrings for each module of a package and of those in it."""
    paths = (ROOT / "lit_tasks" / package).rglob("*.py")
    files = [path.relative_to(ROOT) for path in paths if not path.stem.startswith("_")]
    names = sorted(".".join(file.with_suffix("").parts) for file in files)
    asked = "\n\n".join(f"::: {name}" for name in names)
    return f"# lit_tasks.{package}\n\n{asked}\n"
