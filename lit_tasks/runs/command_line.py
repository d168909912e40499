"""Options of a command that needs no framework: a mistake is one sentence."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from lit_tasks.printable import printable


class OptionParser(argparse.ArgumentParser):
    """Python's own parser, which raises what is wrong instead of printing its usage."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one sentence."""
        raise ValueError(f"{message}; `{self.prog} --help` shows what there is")


def answered(run: Callable[[], int]) -> int:
    """Return the exit code of a command, after one sentence on stderr if it failed."""
    try:
        return run()
    except (ValueError, OSError) as error:
        named = isinstance(error, OSError) and error.strerror
        text = f"{error.strerror}: {error.filename}" if named else error  # type: ignore[union-attr]
        print(f"lit-tasks: error: {printable(str(text))}", file=sys.stderr)
        return 2
