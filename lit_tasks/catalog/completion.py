"""``lit-tasks completion SHELL``: what a shell needs to complete commands, configs and options."""

import argparse
from collections.abc import Mapping, Sequence

from lit_tasks import bundled_configs
from lit_tasks.catalog.listing import KINDS, callback_options
from lit_tasks.catalog.short_help import COMMON, OWN
from lit_tasks.files import read_yaml
from lit_tasks.runs.command_line import OptionParser, answered
from lit_tasks.runs.settings import flat

SHELLS = ("bash", "zsh", "tcsh")
_SPOKEN = ("OPTION", "CALLBACK")  # stand for names in the short help


def main(words: Sequence[str], commands: Mapping[str, str]) -> int:
    """Print the script of a shell; return the exit code.

    Args:
        words: The shell's name.
        commands: What can be completed first, each with what it does.
    """
    return answered(lambda: _print(words, commands))


def _print(words: Sequence[str], commands: Mapping[str, str]) -> int:
    parser = OptionParser(
        prog="lit-tasks completion",
        description='Print a completion script. bash: eval "$(lit-tasks completion bash)" in'
        " ~/.bashrc; zsh: lit-tasks completion zsh > a file _lit-tasks in a folder of $fpath.",
    )
    parser.add_argument("shell", choices=SHELLS)
    shell = parser.parse_args(list(words)).shell
    try:
        import shtab
    except ImportError as error:
        raise ValueError("completion needs shtab: pip install 'lit-tasks[completion]'") from error
    print(shtab.complete(_parser(commands), shell=shell))
    return 0


def _parser(commands: Mapping[str, str]) -> argparse.ArgumentParser:
    import shtab

    parser = argparse.ArgumentParser(prog="lit-tasks", allow_abbrev=False)
    subparsers = parser.add_subparsers(dest="command")
    options = sorted(_options())
    for command, text in commands.items():
        # What argparse formats may hold no percent sign.
        sub = subparsers.add_parser(command, help=text.replace("%", "%%"), add_help=False)
        if command in OWN:
            sub.add_argument("--config", choices=bundled_configs.names(""), help="a config")
            own = [name.partition("=")[0].split()[0] for name in OWN[command]]
            for option in dict.fromkeys([*own, *options]):
                if not any(word in option for word in _SPOKEN) and option != "--config":
                    sub.add_argument(option).complete = shtab.FILE  # type: ignore[attr-defined]
        elif command == "list":
            sub.add_argument("kind", choices=KINDS)
        elif command == "config":
            sub.add_argument("name", choices=bundled_configs.names(""))
        elif command == "completion":
            sub.add_argument("shell", choices=SHELLS)
        else:
            sub.add_argument("path", nargs="*").complete = shtab.FILE  # type: ignore[attr-defined]
    return parser


def _options() -> set[str]:
    """Return the options that shipped configs set, callbacks by name, and those of the help."""
    found = {f"--{name}" for name in callback_options()}
    found |= {name.partition("=")[0].split()[0] for name in COMMON}
    for name in bundled_configs.names(""):
        for key in flat(read_yaml(bundled_configs.shipped(name))):
            parts = [part for part in key.split(".") if part not in ("init_args", "class_path")]
            if not any(part.isdecimal() for part in parts):
                found.add(f"--{'.'.join(parts)}")
    return found
