"""Standard streams that whoever started the program may close at any time."""

import errno
import os
import sys
from typing import Any, TextIO

_GONE = (errno.EPIPE, errno.EBADF, errno.EIO)  # the reader ended, or the terminal did


def open_streams() -> None:
    """Open what is closed, and let a reader that ends before the program pass without an error.

    Where a standard stream is closed, the next file that is opened gets its number, and prints of
    libraries end up in that file.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = _Closable(sys.stdout or os.fdopen(1, "w"))
    sys.stderr = _Closable(sys.stderr or os.fdopen(2, "w"))


class _Closable:
    """A text stream that goes to nowhere once nobody reads it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write text; return how much."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        """Write what was kept back."""
        try:
            self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if error.errno not in _GONE:  # such as a disk that is full
            raise error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
