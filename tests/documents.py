"""The pages people read, taken apart: their command blocks, what they link to, what they name."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / ".github/CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
_OURS = re.compile(
    r"(?<![\w/-])(?:lit-tasks|-m lit_tasks) "
    r"(?=(?:fit|validate|test|predict|compare|report|sweep|list|config|completion)\b)"
)


@dataclass(frozen=True)
class Command:
    """A documented command line of ``lit-tasks``."""

    page: str
    words: tuple[str, ...]
    answer: str = ""  # what the page says that it prints, where it is shown with a prompt

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


def blocks(text: str) -> list[str]:
    """Return the content of fenced blocks that are shell or output, continuations joined."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    shown = [block for kind, block in found if kind in ("", "bash", "sh", "console", "text")]
    return [block.replace("\\\n", " ") for block in shown]


def commands(page: Path) -> list[Command]:
    """Return the commands of ours in a page, also those that torchrun or srun start."""
    found = []
    for block in blocks(page.read_text()):
        lines = block.splitlines()
        for line, after in zip(lines, [*lines[1:], ""], strict=True):
            start = _OURS.search(line)
            if start and not line.lstrip().startswith("#"):
                words = tuple(shlex.split(line[start.end() :].partition(" > ")[0], comments=True))
                answer = after if line.startswith("$ ") else ""
                found.append(Command(page.name, words, answer))
    return found


def flags(page: Path) -> list[Command]:
    """Return the options that a page lists without a command, as options of the quickstart."""
    lines = [line for block in blocks(page.read_text()) for line in block.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("--")]
    return [Command(page.name, ("fit", "--config", "quickstart", *line)) for line in words]


def links(page: Path) -> list[str]:
    """Return the targets of links and images that lie in the repository."""
    text = re.sub(r"^```.*?^```|`[^`\n]+`", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)|<img[^>]*src=\"([^\"]+)\"", text)
    return [a or b for a, b in targets if not re.match(r"https?:|mailto:", a or b)]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.strip().replace(" ", "-") for heading in plain}


def programs(page: Path) -> list[tuple[str, ...]]:
    """Return the words of every ``python benchmarks/...`` or ``python -m benchmarks...``."""
    text = page.read_text().replace("\\\n", " ")
    named = re.findall(r"(?:python |`)(?:-m )?(benchmarks[./]\w+(?:\.py)?[^`\n#]*)", text)
    return [tuple(shlex.split(line.partition("|")[0])) for line in named]
