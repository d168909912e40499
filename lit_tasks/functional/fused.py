"""The element-wise part of an LSTM step as one compiled loop, where the machine has a C compiler.

Eight element-wise calls of torch read and write the rows of a step eight times; ``fused.c`` does it
once. It is compiled at first use (a second), kept in the user's cache, and called through `ctypes`,
so no header of torch is needed. Without a compiler, and for anything but float32 on the CPU, the
plain tensor formulas run. ``LIT_TASKS_FUSED=0`` switches it off.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

SOURCE = Path(__file__).with_name("fused.c")
# without errno and traps a compiler may vectorise the loops; NaN and infinity keep their meaning
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
WIDE = "-mprefer-vector-width=512"


@cache
def library() -> ctypes.CDLL | None:
    """Return the compiled library, or ``None`` where there is no compiler that can make it."""
    if os.environ.get("LIT_TASKS_FUSED") == "0":
        return None
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
    if compiler is None:
        return None
    try:
        return _load(_compiled(compiler))
    except (OSError, subprocess.SubprocessError):
        return None


def _compiled(compiler: str) -> Path:
    """Return the library's file, made for this very source, compiler and processor."""
    key = hashlib.sha256()
    for part in (SOURCE.read_text(), compiler, " ".join(FLAGS), _processor()):
        key.update(part.encode())
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lit_tasks"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if home.stat().st_uid != os.getuid() or not os.access(home, os.W_OK):
            raise PermissionError(f"the cache must be this user's own and writable, got {home}")
    except OSError:
        home = Path(tempfile.mkdtemp(prefix="lit_tasks"))
    target = home / f"fused-{key.hexdigest()[:24]}.so"
    if not target.exists():
        # made under another name and moved, since several processes may start at once
        handle, made = tempfile.mkstemp(dir=home, suffix=".so")
        os.close(handle)
        command = [compiler, *FLAGS, "-o", made, str(SOURCE)]
        wide = subprocess.run([*command, WIDE], capture_output=True, timeout=60, check=False)
        if wide.returncode:  # not every compiler knows it
            subprocess.run(command, capture_output=True, timeout=60, check=True)
        Path(made).replace(target)
    return target


def _processor() -> str:
    """Return what tells one kind of processor from another; a home may be shared by machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() + platform.machine()
    return "".join(sorted({line for line in lines if line.startswith(("flags", "model name"))}))


def _load(path: Path) -> ctypes.CDLL:
    found = ctypes.CDLL(str(path))
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    found.lstm_forward_step.argtypes = [*[pointer] * 5, number, number]
    found.lstm_backward_step.argtypes = [*[pointer] * 8, number, number]
    found.lstm_forward_step.restype = found.lstm_backward_step.restype = None
    return found


def usable(*tensors: Tensor | None) -> bool:
    """Tell whether the compiled step can run on these tensors."""
    given = [tensor for tensor in tensors if tensor is not None]
    fits = all(
        tensor.dtype is torch.float32 and tensor.device.type == "cpu" and tensor.is_contiguous()
        for tensor in given
    )
    return fits and library() is not None


def lstm_forward_step(z: Tensor, bias: Tensor | None, c: Tensor, c_next: Tensor, h: Tensor) -> None:
    """Add the bias to ``z`` and overwrite it by the gates; write the states after the step.

    See `lstm_cell_forward` for the formulas.
    """
    rows, hidden = h.shape
    found = library()
    assert found is not None
    found.lstm_forward_step(
        z.data_ptr(),
        None if bias is None else bias.data_ptr(),
        c.data_ptr(),
        c_next.data_ptr(),
        h.data_ptr(),
        rows,
        hidden,
    )


def lstm_backward_step(
    gates: Tensor,
    c: Tensor,
    c_next: Tensor,
    carry_h: Tensor,
    grad_output: Tensor | None,
    grad_cells: Tensor | None,
    carry_c: Tensor,
    grad_z: Tensor,
) -> None:
    """Write ``grad_z`` and overwrite ``carry_c`` by the previous one; see `lstm_cell_backward`."""
    rows, hidden = c_next.shape
    found = library()
    assert found is not None
    found.lstm_backward_step(
        gates.data_ptr(),
        c.data_ptr(),
        c_next.data_ptr(),
        carry_h.data_ptr(),
        None if grad_output is None else grad_output.data_ptr(),
        None if grad_cells is None else grad_cells.data_ptr(),
        carry_c.data_ptr(),
        grad_z.data_ptr(),
        rows,
        hidden,
    )
