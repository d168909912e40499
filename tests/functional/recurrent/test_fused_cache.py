"""The compiled step's library: ours alone, whole, replaced when it is not, and never silently off.

A stand-in for the compiler copies a library that was made once, so most tests compile nothing.
"""

import logging
import os
import platform
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from lit_tasks.functional.recurrent import compiled_library, fused

pytestmark = pytest.mark.skipif(
    platform.system() == "Windows" or fused.library() is None, reason="no C compiler here"
)
STAND_IN = """#!/bin/sh
echo "$@" >> {calls}
while [ "$1" != -o ]; do shift; done
cat {made} > "$2"
"""
NO_SYMBOLS = "int lit_tasks_nothing(void) { return 0; }\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The true library, and one that lacks its functions."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "empty.c").write_text(NO_SYMBOLS)
    sources = {"true": fused.SOURCE, "empty": folder / "empty.c"}
    for name, source in sources.items():
        command = ["cc", *fused.FLAGS, "-o", str(folder / f"{name}.so"), str(source)]
        subprocess.run(command, check=True)
    return {name: folder / f"{name}.so" for name in sources}


class Compiler:
    """A program that counts its calls and makes the library that it is told to."""

    def __init__(self, folder: Path, made: dict[str, Path]) -> None:
        self.made, self.program, self.log = made, folder / "stand-in", folder / "calls"
        self.makes("true")

    def makes(self, name: str) -> None:
        self.program.write_text(STAND_IN.format(calls=self.log, made=self.made[name]))
        self.program.chmod(0o755)

    @property
    def calls(self) -> int:
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


@pytest.fixture
def compiler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: dict[str, Path]
) -> Iterator[Compiler]:
    found = Compiler(tmp_path, made)
    monkeypatch.setenv("CC", str(found.program))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    fused.library.cache_clear()
    yield found
    fused.library.cache_clear()
    assert list((tmp_path / "temporary").iterdir()) == []  # nothing is ever left there


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "lit_tasks" / "fused"


def load() -> None:
    """Start anew, as another process would; the step has to run."""
    fused.library.cache_clear()
    assert fused.library() is not None
    h = torch.empty(1, 2)
    z = torch.zeros(1, 8)
    fused.lstm_forward_step(z, None, torch.ones(1, 2), torch.empty(1, 2), h)
    torch.testing.assert_close(h, torch.full((1, 2), 0.5).tanh() / 2)


def the_file(folder: Path) -> Path:
    [path] = folder.iterdir()
    return path


def test_the_library_is_made_once_in_a_folder_that_is_open_to_nobody_else(
    compiler: Compiler, folder: Path
) -> None:
    old = os.umask(0)
    try:
        folder.parent.mkdir(parents=True)  # as the cache of features makes it first
        load()
    finally:
        os.umask(old)
    load()
    assert compiler.calls == 1
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(the_file(folder).stat().st_mode) == 0o600


def replaced(path: Path, content: bytes) -> None:
    """Put a file in the place of one that is loaded: less of a loaded one is a SIGBUS at exit."""
    path.unlink()
    path.write_bytes(content)
    path.chmod(0o600)


def truncated(path: Path, made: dict[str, Path]) -> None:
    replaced(path, path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path, made: dict[str, Path]) -> None:
    replaced(path, b"")


def overwritten(path: Path, made: dict[str, Path]) -> None:
    replaced(path, made["empty"].read_bytes())


def opened_to_others(path: Path, made: dict[str, Path]) -> None:
    path.chmod(0o622)


def a_link(path: Path, made: dict[str, Path]) -> None:
    path.unlink()
    path.symlink_to(made["true"])


def a_pipe(path: Path, made: dict[str, Path]) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize(
    "spoil", [truncated, emptied, overwritten, opened_to_others, a_link, a_pipe]
)
def test_a_file_that_is_not_as_it_was_made_is_made_again(
    compiler: Compiler,
    folder: Path,
    made: dict[str, Path],
    spoil: Callable[[Path, dict[str, Path]], None],
) -> None:
    load()
    spoil(the_file(folder), made)
    load()
    assert compiler.calls == 2
    assert stat.S_ISREG(the_file(folder).lstat().st_mode)
    load()
    assert compiler.calls == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("mine", [True, False], ids=["file", "folder"])
def test_what_belongs_to_somebody_else_is_not_loaded(
    compiler: Compiler, folder: Path, mine: bool
) -> None:
    load()
    os.chown(the_file(folder) if mine else folder, 65534, 65534)
    load()
    assert compiler.calls == 2
    assert folder.stat().st_uid == (0 if mine else 65534)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_may_write_to_is_not_used(
    compiler: Compiler, folder: Path, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    load()
    folder.chmod(mode)
    with caplog.at_level(logging.INFO, "lit_tasks"):
        load()
    assert compiler.calls == 2
    [said] = caplog.messages
    assert f"with mode {mode:o}; remove it" in said


def test_a_folder_that_is_a_link_is_not_used(compiler: Compiler, folder: Path) -> None:
    load()
    moved = folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(moved)
    load()
    assert compiler.calls == 2


@pytest.mark.parametrize("what", ["a file in the way", "no home"])
def test_without_a_cache_the_library_is_made_where_nothing_stays(
    compiler: Compiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    if what == "no home":
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr("pathlib.Path.home", lambda: Path("/proc/nobody"))
    else:
        (tmp_path / "cache").write_text("")
    load()
    load()
    assert compiler.calls == 2


def test_a_library_without_the_functions_is_made_again_once(
    compiler: Compiler, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    compiler.makes("empty")
    fused.library.cache_clear()
    assert fused.library() is None  # a compiler that makes nothing better
    assert "undefined symbol: lstm_forward_step" in caplog.text
    compiler.makes("true")
    load()  # the file under the same name is found wanting, and replaced
    calls = compiler.calls
    load()
    assert compiler.calls == calls
    assert the_file(folder).read_bytes() == compiler.made["true"].read_bytes()


def test_what_a_killed_process_left_is_removed(compiler: Compiler, folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True)
    for name, age in (("old", 3600), ("new", 1)):
        path = folder / f".{name}.tmp"
        path.touch()
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    load()
    assert [path.name for path in folder.glob(".*")] == [".new.tmp"]


@pytest.mark.parametrize("fault", ["os.fsync", "os.rename"])
def test_nothing_half_written_stays_when_the_disk_is_full(
    compiler: Compiler, folder: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    def full(*given: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(fault, full)
        fused.library.cache_clear()
        assert fused.library() is None
        assert list(folder.iterdir()) == []
    load()


@pytest.mark.parametrize("words", ["{} -O2", "env CALLED=1 {}", "'{}'  -DX='a b'"])
def test_the_compiler_may_be_several_words(
    compiler: Compiler, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.setenv("CC", words.format(compiler.program))
    load()
    assert compiler.calls == 1
    assert ("-O2" in compiler.log.read_text()) == ("-O2" in words)


@pytest.mark.parametrize("program", ["/no/such/compiler", "", "no-such-compiler -O2"])
def test_a_compiler_that_is_not_there_gives_way_to_another(
    compiler: Compiler, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "clang").symlink_to(compiler.program)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    monkeypatch.setenv("CC", program)
    assert compiled_library._compiler() == [f"{tmp_path}/bin/clang"]


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("false", "returned non-zero exit status 1"),
        ("true", "true made no library"),
        ('cc "', "No closing quotation"),
        (None, "there is no C compiler"),
    ],
)
def test_one_line_says_that_the_step_is_off_and_why(
    compiler: Compiler,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    program: str | None,
    reason: str,
) -> None:
    if program is None:
        monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CC", program or "")
    for _ in range(3):
        assert fused.library() is None
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert "\n" not in record.getMessage()
    assert reason in record.getMessage()
    assert not folder.exists() or list(folder.iterdir()) == []


def test_switched_off_it_says_so_to_those_who_listen(
    compiler: Compiler, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("LIT_TASKS_FUSED", "0")
    with caplog.at_level(logging.INFO, "lit_tasks"):
        assert fused.library() is None
    assert caplog.messages == ["The compiled recurrent loop is off: LIT_TASKS_FUSED is 0."]


ARM = """processor\t: 0
BogoMIPS\t: {mips}
Features\t: {features}
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x{variant}
CPU part\t: 0x{part}
CPU revision\t: 1
"""


def test_processors_are_told_apart_by_what_they_can_and_not_by_the_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = ARM.format(mips="243.75", features="fp asimd", variant="3", part="d0c")
    others = [
        first.replace("243.75", "250.00"),
        first.replace("fp asimd", "fp asimd sve"),
        first.replace("d0c", "d40"),
        "processor\t: 0\ncpu\t\t: POWER9, altivec supported\nclock\t\t: 2300.0MHz\n",
        "flags\t\t: fpu sse\nmodel name\t: Some\ncpu MHz\t\t: 1\n",
        "flags\t\t: fpu sse avx\nmodel name\t: Some\ncpu MHz\t\t: 2\n",
    ]
    found = []
    for text in (first, *others):
        monkeypatch.setattr("pathlib.Path.read_text", lambda path, text=text, **how: text)
        found.append(compiled_library._processor())
    assert found[0] == found[1]
    assert len(set(found)) == len(found) - 1
    assert all(found)


def test_several_processes_that_start_at_once_leave_one_whole_file(
    compiler: Compiler, folder: Path
) -> None:
    # Without torch, which would take all the time there is: only the library is loaded.
    program = (
        "import importlib.util, sys; from pathlib import Path\n"
        "spec = importlib.util.spec_from_file_location('library', sys.argv[1])\n"
        "module = sys.modules['library'] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "module.load(Path(sys.argv[2]), ['-shared'], [], lambda found: found.lstm_forward_step)\n"
    )
    words = [sys.executable, "-c", program, compiled_library.__file__, str(fused.SOURCE)]
    started = [subprocess.Popen(words) for _ in range(6)]
    assert [process.wait(60) for process in started] == [0] * 6
    the_file(folder)


def test_what_is_checked_is_what_is_loaded(
    compiler: Compiler, folder: Path, made: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    load()
    path, true = the_file(folder), compiled_library._intact

    def and_then_replaced(file: int, name: str) -> bytes:
        content = true(file, name)
        (folder / "other").write_bytes(made["empty"].read_bytes())
        (folder / "other").rename(path)
        return content

    monkeypatch.setattr(compiled_library, "_intact", and_then_replaced)
    load()  # the other file has no functions
    assert compiler.calls == 1


def test_the_true_compiler_makes_a_sigmoid_that_is_0_at_minus_infinity(
    compiler: Compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC")
    fused.library.cache_clear()
    inf = float("inf")
    values = torch.tensor([-inf, -1e30, -104.0, -89.0, -88.0, -87.0, 0.0, 88.0, 104.0, inf])
    zero = torch.zeros_like(values)
    z = torch.cat((values, values, zero, values))[None]
    c_next, h = torch.empty(1, len(values)), torch.empty(1, len(values))
    fused.lstm_forward_step(z, None, torch.ones(1, len(values)), c_next, h)
    plain = values.sigmoid()
    torch.testing.assert_close(c_next[0], plain, rtol=3e-7, atol=4e-39)
    torch.testing.assert_close(h[0], plain * plain.tanh(), rtol=1e-6, atol=4e-39)
    assert (c_next[0, :3] == 0).all()
    assert compiler.calls == 0
