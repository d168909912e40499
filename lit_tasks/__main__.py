"""Entry point: ``--help``, ``--version``, ``compare``, ``score`` and ``sweep`` need no torch."""

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
    "score": "score captions of any model against references",
    "sweep": "try the settings that a file in configs/sweeps asks for",
}

USAGE = f"""\
lit-tasks {__version__}: tasks and datasets for PyTorch Lightning, driven by YAML

usage: lit-tasks COMMAND [--config FILE.yaml ...] [--key=value ...]
       python -m lit_tasks COMMAND ...

commands:
{chr(10).join(f"  {name:<10}{text}" for name, text in COMMANDS.items())}

examples:
  lit-tasks fit --config configs/quickstart.yaml
  lit-tasks fit --config configs/quickstart.yaml --model.optimizer.lr=0.01 --trainer.max_epochs=3
  lit-tasks test --ckpt_path runs/latest/checkpoints/best.ckpt
  lit-tasks predict --ckpt_path runs/latest/checkpoints/best.ckpt --data.predict=my.csv
  lit-tasks compare runs/quickstart --plot curves.png
  lit-tasks sweep configs/sweeps/quickstart.yaml
  lit-tasks score captions.json captions_val2017.json --per_image scores.csv

more:
  lit-tasks COMMAND --help                          every option of a command
  lit-tasks fit --model.help CLASS --data.help CLASS   the options of one class
  lit-tasks fit --config FILE.yaml --print_config   what a config resolves to
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Answer what needs no framework, hand the rest to ``lit_tasks.cli``; return the exit code."""
    if argv is None:
        open_streams()
    try:
        return _answer(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        return 130  # the exit code of a shell for Ctrl-C


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
    if args[0] == "compare":
        from lit_tasks.runs import compare

        return compare.main(args[1:])
    if args[0] == "score":
        from lit_tasks.scoring import command

        return command.main(args[1:])
    if args[0] == "sweep":
        from lit_tasks.runs import sweep

        return sweep.main(args[1:])
    return _run_with_framework(args)


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
