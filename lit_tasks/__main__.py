"""Entry point; ``fit``, ``validate``, ``test`` and ``predict`` alone import torch."""

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches

from lit_tasks import __version__
from lit_tasks.terminal import open_streams

COMMANDS = {
    "fit": "train, then evaluate the best checkpoint (with `--test true` on the test data too)",
    "validate": "evaluate a checkpoint on the validation data",
    "test": "evaluate a checkpoint on the test data",
    "predict": "write predictions for new data",
    "compare": "put runs side by side: settings, metrics, differences",
    "report": "write one HTML page about a run, or several side by side",
    "score": "score captions of any model against references",
    "sweep": "try the settings that a file in configs/sweeps asks for",
    "list": "show configs, tasks, data, encoders, captioners, backbones and callbacks",
    "config": "print a shipped config, to begin one of your own",
    "completion": "print what bash, zsh or tcsh need to complete all this",
}

#: Commands that need no framework: they start at once.
FREE = ("compare", "report", "score", "sweep", "list", "config", "completion")

USAGE = f"""\
lit-tasks {__version__}: tasks and datasets for PyTorch Lightning, driven by YAML

usage: lit-tasks COMMAND [--config FILE.yaml ...] [--key=value ...]
       python -m lit_tasks COMMAND ...

commands:
{chr(10).join(f"  {name:<12}{text}" for name, text in COMMANDS.items())}

examples:
  lit-tasks fit --config configs/quickstart.yaml
  lit-tasks fit --config configs/quickstart.yaml --model.optimizer.lr=0.01 --trainer.max_epochs=3
  lit-tasks test --ckpt_path runs/latest/checkpoints/best.ckpt
  lit-tasks predict --ckpt_path runs/latest/checkpoints/best.ckpt --data.predict=my.csv
  lit-tasks compare runs/quickstart --plot curves.png
  lit-tasks report runs/latest
  lit-tasks sweep configs/sweeps/quickstart.yaml
  lit-tasks score captions.json captions_val2017.json --per_image scores.csv

more:
  lit-tasks COMMAND --help                          the options that are needed most
  lit-tasks COMMAND --help=all                      every option of a command
  lit-tasks fit --model.help CLASS --data.help CLASS   the options of one class
  lit-tasks fit --config FILE.yaml --print_config   what a config resolves to
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Answer what needs no framework, hand the rest to ``lit_tasks.cli``; return the exit code."""
    if argv is None:
        open_streams()
        find_own_modules()
    try:
        return _answer(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        return 130  # the exit code of a shell for Ctrl-C


def find_own_modules() -> None:
    """Let configs name modules in the working directory, as ``python -m lit_tasks`` does.

    It is searched last: a file there takes the place of no module that is installed.
    """
    if os.getcwd() not in sys.path and "" not in sys.path and not sys.flags.safe_path:
        sys.path.append(os.getcwd())


def _answer(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    if args[0] == "--version":
        print(__version__)
        return 0
    if args[0] not in COMMANDS:
        near = get_close_matches(args[0], COMMANDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(COMMANDS)}"
        print(f"lit-tasks: error: there is no command {args[0]!r}; {hint}", file=sys.stderr)
        return 2
    if args[0] in FREE:
        return _run_without_framework(args[0], args[1:])
    asked = [word for word in args[1:] if word.partition("=")[0].endswith(("help", "-h"))]
    if asked in (["--help"], ["-h"]):
        from lit_tasks.catalog.short_help import short_help

        print(short_help(args[0]), end="")
        return 0
    return _run_with_framework(["--help" if word == "--help=all" else word for word in args])


def _run_without_framework(command: str, words: list[str]) -> int:
    if command == "compare":
        from lit_tasks.runs import compare

        return compare.main(words)
    if command == "report":
        from lit_tasks.runs.report import command as report

        return report.main(words)
    if command == "score":
        from lit_tasks.scoring import command as score

        return score.main(words)
    if command == "sweep":
        from lit_tasks.runs import sweep

        return sweep.main(words)
    if command == "completion":
        from lit_tasks.catalog import completion

        return completion.main(words, COMMANDS)
    from lit_tasks.catalog import listing

    return listing.list_main(words) if command == "list" else listing.config_main(words)


def _run_with_framework(args: list[str]) -> int:
    import gc

    # Importing torch and Lightning makes half a million objects that live for ever: collecting
    # while they are made, and walking them at exit, costs a quarter of the start-up.
    gc.disable()
    left_out = ("logger=false", "logger=False", "help", "-h")
    if args[0] == "fit" and not any(word.endswith(left_out) for word in args):
        from lit_tasks.loggers.wandb_internals import import_early

        import_early()
    from lit_tasks.cli import run

    gc.enable()
    gc.freeze()
    return run(args)


if __name__ == "__main__":
    sys.exit(main())
