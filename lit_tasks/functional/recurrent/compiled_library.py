"""A C file as a library: compiled once, kept where nobody else can write, loaded only if intact.

A library is code, so it is loaded only from a regular file that belongs to this user, is open to
nobody else, and still has the content that was compiled. All of this is checked on the open file,
and that very file is loaded, so that no other one can take its place in between.
"""

import ctypes
import hashlib
import logging
import os
import platform
import secrets
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 60  # that a compiler may take
_STALE = 600  # seconds after which a file that nobody finished was left by a killed process
#: Beginnings of the lines of /proc/cpuinfo that tell kinds of processors apart: x86, ARM, POWER,
#: RISC-V and s390 in this order. Lines that change from moment to moment (MHz) are not among them.
_PROCESSOR = (
    *("flags", "model name"),
    *("Features", "CPU implementer", "CPU architecture", "CPU variant", "CPU part"),
    *("cpu\t", "isa", "uarch", "features", "processor 0"),
)

Declare = Callable[[ctypes.CDLL], None]

_log = logging.getLogger(__name__)


def load(source: Path, flags: Sequence[str], extra: Sequence[str], declare: Declare) -> ctypes.CDLL:
    """Return the library of a C file, compiled unless an intact one is in the user's cache.

    A library that is damaged or lacks a function is replaced, once. Where the cache cannot be used,
    the library is compiled in a temporary folder that is removed after loading.

    Args:
        source: The C file.
        flags: Options of the compiler.
        extra: Further options, which not every compiler knows.
        declare: Describes the functions; raises ``AttributeError`` if there is none of a name.

    Raises:
        OSError: There is no compiler, or it makes nothing that can be loaded.
        ValueError: ``CC`` cannot be split into words.
        AttributeError: The library lacks a function.
        subprocess.SubprocessError: The compiler fails.
    """
    library = _Library(source, _compiler(), flags, extra, declare)
    try:
        with _opened(_cache()) as folder:
            return library.loaded_from(folder)
    except (OSError, RuntimeError) as error:  # not ours, full, not executable; no home at all
        _log.info("%s is compiled anew in every process: %s", source.name, error)
    with tempfile.TemporaryDirectory(prefix="lit_tasks-") as place, _opened(Path(place)) as folder:
        return library.loaded_from(folder)


@dataclass(frozen=True)
class _Library:
    """What a library is made of; see :func:`load`."""

    source: Path
    compiler: Sequence[str]
    flags: Sequence[str]
    extra: Sequence[str]
    declare: Declare

    @property
    def name(self) -> str:
        """The beginning of its file's name: made for this source, compiler and processor."""
        key = hashlib.sha256()
        options = (*self.compiler, *self.flags, *self.extra)
        texts = [path.read_text() for path in sorted(self.source.parent.glob("*.[ch]"))]
        for part in (*texts, *options, platform.machine(), _processor()):
            key.update(f"{part}\0".encode())
        return f"{self.source.stem}-{key.hexdigest()[:24]}-"

    def loaded_from(self, folder: int) -> ctypes.CDLL:
        """Return the library in an open folder; one that is not intact is removed and replaced."""
        name = self.name
        for known in os.listdir(folder):
            if known.startswith(name):
                with suppress(OSError, AttributeError):
                    return _loaded(folder, known, self.declare)
                with suppress(OSError):  # another process may have removed it already
                    os.unlink(known, dir_fd=folder)
        return _loaded(folder, _store(folder, name, self._compiled()), self.declare)

    def _compiled(self) -> bytes:
        """Return the bytes of the library, made in a temporary folder.

        Raises:
            subprocess.SubprocessError: The compiler fails, takes too long or makes no file.
        """
        with tempfile.TemporaryDirectory(prefix="lit_tasks-") as place:
            made = Path(place) / "library.so"
            command = [*self.compiler, *self.flags, "-o", str(made), str(self.source)]
            try:
                _call([*command, *self.extra])
            except subprocess.CalledProcessError:  # not every compiler knows them
                _call(command)
            content = made.read_bytes() if made.is_file() else b""
        if not content:
            raise subprocess.SubprocessError(f"{shlex.join(self.compiler)} made no library")
        return content


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lit_tasks" / "fused"


def _compiler() -> list[str]:
    """Return the words that call a compiler: ``CC``, such as ``ccache gcc -O2``, or what is there.

    Raises:
        FileNotFoundError: There is none.
    """
    names = (os.environ.get("CC", ""), "cc", "gcc", "clang")
    for words in map(shlex.split, names):
        if words and (program := shutil.which(words[0])):
            return [program, *words[1:]]
    raise FileNotFoundError("there is no C compiler, neither CC nor cc, gcc or clang")


def _processor() -> str:
    """Return what tells one kind of processor from another; a home may be shared by machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return "".join(sorted({line for line in lines if line.startswith(_PROCESSOR)}))


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Give a folder that is ours alone, opened; it is made if it is not there.

    Raises:
        OSError: It is a link, belongs to somebody else, is open to others or cannot be written to.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        _check_private(os.fstat(folder), str(path))
        yield folder
    finally:
        os.close(folder)


def _check_private(status: os.stat_result, name: str) -> None:
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise PermissionError(
            f"{name} must belong to this user and be open to nobody else, it belongs to user"
            f" {status.st_uid} with mode {stat.S_IMODE(status.st_mode):o}; remove it"
        )


def _loaded(folder: int, name: str, declare: Declare) -> ctypes.CDLL:
    """Return the library in a file whose name ends with the digest of what it has to hold.

    Raises:
        OSError: It is another file, is not ours, is damaged or cannot be loaded.
        AttributeError: It lacks a function.
    """
    file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    try:
        with _path_of(file, _intact(file, name)) as path:
            found = ctypes.CDLL(path)
    except OSError:
        os.close(file)
        raise
    # The file stays open: another one under its number would be taken for the one that is loaded.
    declare(found)
    return found


def _intact(file: int, name: str) -> bytes:
    status = os.fstat(file)
    _check_private(status, name)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"{name} is not a regular file")
    content = os.pread(file, status.st_size, 0)
    if hashlib.sha256(content).hexdigest() != name.removesuffix(".so").rpartition("-")[2]:
        raise OSError(f"{name} is damaged")
    return content


@contextmanager
def _path_of(file: int, content: bytes) -> Iterator[str]:
    """Give a path that leads to an open file, whatever happens to its name meanwhile."""
    path = f"/proc/self/fd/{file}"
    if os.path.exists(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="lit_tasks-") as place:  # not on Linux: a private copy
        copy = Path(place) / "library.so"
        copy.write_bytes(content)
        yield str(copy)


def _call(command: Sequence[str]) -> None:
    subprocess.run(command, capture_output=True, timeout=_SECONDS, check=True)


def _store(folder: int, name: str, content: bytes) -> str:
    """Write a library under a name that tells its content; return the name.

    It is on the disk before it has that name, and whatever a killed process left is removed.
    """
    _remove_stale(folder)
    final = f"{name}{hashlib.sha256(content).hexdigest()}.so"
    beside = f".{secrets.token_hex(8)}.tmp"
    file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder)
    try:
        with os.fdopen(file, "wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        os.rename(beside, final, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(beside, dir_fd=folder)
        raise
    with suppress(OSError):  # some file systems do not let a folder be flushed
        os.fsync(folder)
    return final


def _remove_stale(folder: int) -> None:
    for name in os.listdir(folder):
        with suppress(OSError):
            age = time.time() - os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime
            if name.endswith(".tmp") and age > _STALE:
                os.unlink(name, dir_fd=folder)
