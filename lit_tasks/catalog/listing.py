"""``lit-tasks list`` and ``lit-tasks config``: what there is, one line each."""

import ast
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from shutil import get_terminal_size

from lit_tasks import bundled_configs
from lit_tasks.catalog import classes, requirements
from lit_tasks.runs.command_line import OptionParser, answered

KINDS = ("configs", *classes.kinds())
_HOW = {
    "configs": "--config NAME",
    "tasks": "--model NAME",
    "data": "--data NAME",
    "encoders": "--model.encoder NAME, of TextClassificationTask",
    "captioners": "--model.captioner NAME, of CaptioningTask",
    "backbones": "--model.backbone NAME; its option name is any network of timm or torchvision",
    "callbacks": "--trainer.callbacks+=NAME; those with an option of their own are in every run",
}
_DEFAULTS = Path(__file__).parents[1] / "cli" / "default_callbacks.py"


def list_main(words: Sequence[str]) -> int:
    """Print what there is; return the exit code."""
    return answered(lambda: _list(words))


def config_main(words: Sequence[str]) -> int:
    """Print a shipped config; return the exit code."""
    return answered(lambda: _config(words))


def _list(words: Sequence[str]) -> int:
    parser = OptionParser(
        prog="lit-tasks list",
        description="Show what there is to choose from, one line each. [NAME] is an extra that is"
        " not installed: pip install 'lit-tasks[NAME]'. Class names may be written without their"
        " package.",
    )
    parser.add_argument("kind", nargs="?", choices=KINDS, help="one kind only")
    kind = parser.parse_args(list(words)).kind
    width = get_terminal_size((120, 24)).columns
    for each in [kind] if kind else KINDS:
        print(f"{each} ({_HOW[each]}):")
        rows = _configs() if each == "configs" else _classes(each)
        longest = max(len(name) for name, _, _ in rows)
        for name, sentence, extras in rows:
            needs = "".join(f" [{extra}]" for extra in requirements.missing(extras))
            space = max(20, width - longest - 4 - len(needs))
            print(f"  {name:<{longest}}  {_shortened(sentence, space)}{needs}")
        if not kind:
            print()
    return 0


def _config(words: Sequence[str]) -> int:
    parser = OptionParser(
        prog="lit-tasks config",
        description="Print a shipped config, to begin one of your own: lit-tasks config text_own >"
        " mine.yaml",
    )
    parser.add_argument("name", help="as `lit-tasks list configs` shows it")
    path = bundled_configs.shipped(parser.parse_args(list(words)).name)
    sys.stdout.write(path.read_text(encoding="utf-8"))
    return 0


def _configs() -> list[tuple[str, str, list[str]]]:
    files = [bundled_configs.shipped(name) for name in bundled_configs.names("")]
    return [(file.stem, _headline(file), requirements.extras_of_config(file)) for file in files]


def _headline(file: Path) -> str:
    """Return the first sentence of a config's comment."""
    lines = file.read_text(encoding="utf-8").splitlines()
    comment = []
    for line in lines:
        if not line.startswith("# ") or line.startswith("#  "):
            break
        comment.append(line.removeprefix("# "))
    return " ".join(comment).partition(". ")[0].rstrip(".:")


def _classes(kind: str) -> list[tuple[str, str, list[str]]]:
    rows = []
    for each in classes.of_kind(kind):
        option = _option_of().get(each.name, "")
        name = f"{each.name} (--{option})" if kind == "callbacks" and option else each.name
        extra = classes.extra_of(each.path)
        rows.append((name, each.sentence, [extra] if extra else []))
    return rows


@cache
def callback_options() -> dict[str, str]:
    """Return the class path of each callback that every run has, by the name of its option."""
    for node in ast.parse(_DEFAULTS.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_OURS":
            named: dict[str, str] = ast.literal_eval(node.value)
            return named
    raise AssertionError(f"{_DEFAULTS} has no _OURS")


def _option_of() -> dict[str, str]:
    return {path.rpartition(".")[2]: name for name, path in callback_options().items()}


def _shortened(text: str, space: int) -> str:
    return text if len(text) <= space else f"{text[: space - 1].rstrip()}…"
