"""What the site has besides ``docs/*.md``: README, notebooks, docstrings, code with line numbers.

Formulas become MathML and quoted lines of code become links when the site is built: a browser needs
neither a script nor a network to show them.
"""

import ast
import html
import posixpath
import re
from contextlib import suppress
from pathlib import Path

import nbformat
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

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
#: The code that docs/derivations.md quotes.
QUOTED = ROOT / "lit_tasks" / "functional" / "recurrent"
LANGUAGES = {".py": "python", ".c": "c"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from other files."""
    made = {page: _moved(source) for page, source in TEXTS.items()}
    made |= {f"api/{package}.md": _modules(package) for package in PACKAGES}
    made |= {f"code/{p.name}.md": _code(p) for p in QUOTED.iterdir() if p.suffix in LANGUAGES}
    for page, content in made.items():
        files.append(File.generated(config, page, content=content))
    for path in sorted(ROOT.glob("notebooks/*.ipynb")):
        text, images = _notebook(path)
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=text))
        for name, image in images.items():
            files.append(File.generated(config, f"notebooks/{path.stem}/{name}", content=image))
    return files


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Show formulas as MathML, roles of docstrings as code, and link quoted lines to the code."""
    content = re.sub(
        r":math:<code>(.*?)</code>", r'<span class="arithmatex">\\(\1\\)</span>', content
    )
    content = re.sub(r"<p>\.\. math:: ?(.*?)</p>", _lines, content, flags=re.DOTALL)
    content = re.sub(
        r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>',
        _formula,
        content,
        flags=re.DOTALL,
    )
    content = re.sub(
        r":(?:class|func|meth|attr|mod|data):<code>~?(.*?)</code>", r"<code>\1</code>", content
    )
    if page.file.src_uri == "derivations.md":
        content = re.sub(r"\n(?=→ <code>)", "<br>\n", content)
        quote = r"→ <code>(\w+)\.(\w+)</code>: <code>(.*?)</code>"
        content = re.sub(quote, _linked, content, flags=re.DOTALL)
    return content


def _lines(found: re.Match[str]) -> str:
    """Return a formula of a docstring that has lines of its own."""
    lines = re.sub(r"\\$", r"\\\\", found[1], flags=re.MULTILINE)  # Markdown halved them
    inner = rf"\begin{{aligned}}{lines}\end{{aligned}}"
    return rf'<div class="arithmatex">\[{inner}\]</div>'


def _formula(found: re.Match[str]) -> str:
    """Return a formula as MathML, with its numbers to the right of it."""
    tex = html.unescape(found[2]).strip()
    if found[1] == "span":
        return convert(tex)
    numbers = re.findall(r"\\tag\{(\w+)\}", tex)
    drawn = convert(re.sub(r"\\tag\{\w+\}", "", tex), display="block")
    named = "".join(f'<span id="eq-{number}">({number})</span>' for number in numbers)
    return f'<div class="formula">{drawn}{named}</div>'


def _linked(found: re.Match[str]) -> str:
    """Return a quoted line of code as a link to it."""
    module, function, quoted = found.groups()
    path, line = _place(module, function, html.unescape(quoted))
    name = f"<code>{module}.{function}</code>"
    target = f"../code/{path.name}/#__codelineno-0-{line}"
    return f'→ <a href="{target}">{name}</a>: <code>{quoted}</code>'


def _place(module: str, function: str, quoted: str) -> tuple[Path, int]:
    """Return where a line stands: `fused.py` and `fused.c` are both called `fused`.

    Raises:
        ValueError: It stands in neither.
    """
    for path in (QUOTED / f"{module}{suffix}" for suffix in LANGUAGES):
        if path.is_file():
            with suppress(ValueError):
                return path, line_of(path, function, quoted)
    raise ValueError(f"{module} has no line {quoted!r} in {function}")


def line_of(path: Path, function: str, quoted: str) -> int:
    """Return the number of the line where a quotation begins, blanks and breaks aside.

    Args:
        path: A file of Python or C.
        function: The function in which to look, in C from its first mention on.
        quoted: The code.

    Raises:
        ValueError: It does not stand there.
    """
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    if path.suffix == ".py":
        nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
        first = min((n.lineno for n in nodes if n.name == function), default=len(lines) + 1) - 1
    else:
        first = next((i for i, line in enumerate(lines) if function in line), len(lines))
    for last in range(first + 1, len(lines) + 1):
        if _squeezed(quoted) in _squeezed("\n".join(lines[first:last])):
            while _squeezed(quoted) in _squeezed("\n".join(lines[first + 1 : last])):
                first += 1
            return first + 1
    raise ValueError(f"{path.name} has no line {quoted!r} in {function}")


def _squeezed(code: str) -> str:
    return re.sub(r"\s+|,(?=\s*[)\]])", "", code)


def _moved(source: str) -> str:
    """Return a text of the repository with its links as seen from the site."""
    pages = {text: page for page, text in TEXTS.items()}

    def target(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[2]))
        path = re.sub(r"^(notebooks/.*)\.ipynb$", r"\1.md", path)
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


def _code(path: Path) -> str:
    """Return a page with the text of a file and the numbers of its lines; search leaves it out."""
    fence = f'````{LANGUAGES[path.suffix]} linenums="1"\n{path.read_text(encoding="utf-8")}````\n'
    return f"---\nsearch: {{exclude: true}}\n---\n# {path.relative_to(ROOT)}\n\n{fence}"


def _notebook(path: Path) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as a page, with the images that it shows."""
    notebook = nbformat.read(path, as_version=4)
    text, resources = MarkdownExporter().from_notebook_node(notebook)
    images = resources["outputs"]
    for name in images:
        text = text.replace(f"]({name})", f"]({path.stem}/{name})")
    return re.sub(r"\]\(\.\./docs/", "](../", text), images
