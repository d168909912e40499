"""The time loop of RNN, LSTM and GRU as compiled code, where the machine has a C compiler.

Eight element-wise calls of torch read and write the rows of a step eight times, and three calls a
step cost more than a small step itself. ``fused.c`` runs over a whole sequence in one call. It is
compiled at first use (a second or two), kept in the user's cache (``lit_tasks/fused``), and called
through `ctypes`, so no header of torch is needed. Its products of matrices are those of the BLAS in
torch's own library; where that is not to be found (`loop_usable`), the element-wise part of an
LSTM's step is compiled and the rest is not. Without a compiler, and for anything but float32 and
float64 on the CPU, the plain tensor formulas run. ``LIT_TASKS_FUSED=0`` switches it off.
"""

import ctypes
import logging
import os
import struct
import subprocess
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from lit_tasks.functional.recurrent import compiled_library

SOURCE = Path(__file__).with_name("fused.c")
# without errno and traps a compiler may vectorize the loops; NaN and infinity keep their meaning
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
WIDE = ("-mprefer-vector-width=512",)
_log = logging.getLogger(__name__)


#: `batch` of ``sequences.h``: where the batch sizes lie, steps, rows, sequences, inputs, hidden,
#: rows of a block, threads.
BATCH = struct.Struct("@P7q")


@cache
def library(dtype: torch.dtype = torch.float32) -> ctypes.CDLL | None:
    """Return the compiled library, or ``None`` where it is off, which is logged once."""
    if os.environ.get("LIT_TASKS_FUSED") == "0":
        if dtype is torch.float32:
            _log.info("The compiled recurrent loop is off: LIT_TASKS_FUSED is 0.")
        return None
    flags = FLAGS if dtype is torch.float32 else (*FLAGS, "-DDOUBLE")
    try:
        return compiled_library.load(SOURCE, flags, WIDE, _declare)
    except (OSError, ValueError, AttributeError, subprocess.SubprocessError) as error:
        reason = " ".join(str(error).split())
        _log.warning(
            "The compiled recurrent loop is off (%s): the layers compute the same, but slower; "
            "install a C compiler or name one in CC, or set LIT_TASKS_FUSED=0 if this is meant.",
            reason,
        )
        return None


@cache
def blas(dtype: torch.dtype) -> int | None:
    """Return the address of the product of matrices in torch's own library, if it has one."""
    path = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    try:
        function = ctypes.CDLL(str(path))["sgemm_" if dtype is torch.float32 else "dgemm_"]
    except (OSError, AttributeError):
        return None
    return ctypes.cast(function, ctypes.c_void_p).value


def loop(dtype: torch.dtype) -> ctypes.CDLL:
    """Return the library of the loop; there has to be one (see `loop_usable`)."""
    found, product = _loop(dtype), blas(dtype)
    assert found is not None
    assert product is not None
    return _with_product(found, product)


@cache
def _with_product(found: ctypes.CDLL, product: int) -> ctypes.CDLL:
    """Tell a library, once after it was loaded, where the product of matrices is."""
    found.set_gemm(product)
    return found


def has_loop(dtype: torch.dtype) -> bool:
    """Tell whether there is a compiled loop for numbers of this type."""
    return _loop(dtype) is not None


def _loop(dtype: torch.dtype) -> ctypes.CDLL | None:
    if dtype not in (torch.float32, torch.float64) or blas(dtype) is None:
        return None
    return library() if dtype is torch.float32 else library(dtype)


def _declare(found: ctypes.CDLL) -> None:
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    found.lstm_forward_step.argtypes = [*[pointer] * 5, number, number]
    found.lstm_backward_step.argtypes = [*[pointer] * 8, number, number]
    found.set_gemm.argtypes = [pointer]
    steps = (found.lstm_forward_step, found.lstm_backward_step, found.set_gemm)
    for function in steps:
        function.restype = None
    batch, choice = ctypes.c_char_p, ctypes.c_int
    found.lstm_forward.argtypes = [batch, *[pointer] * 11]
    found.lstm_backward.argtypes = [batch, choice, *[pointer] * 16]
    found.rnn_forward.argtypes = [batch, choice, *[pointer] * 7]
    found.rnn_backward.argtypes = [batch, choice, choice, *[pointer] * 11]
    found.gru_forward.argtypes = [batch, *[pointer] * 9]
    found.gru_backward.argtypes = [batch, choice, *[pointer] * 13]


def usable(*tensors: Tensor | None) -> bool:
    """Tell whether the compiled step can run on these tensors."""
    given = [tensor for tensor in tensors if tensor is not None]
    fits = all(
        tensor.dtype is torch.float32 and tensor.device.type == "cpu" and tensor.is_contiguous()
        for tensor in given
    )
    return fits and library() is not None


def loop_usable(input: Tensor, *others: Tensor | None) -> bool:
    """Tell whether the compiled loop can run on these tensors, which it reads as plain memory."""
    dtype = input.dtype
    if not input.is_cpu or not has_loop(dtype):
        return False
    for other in others:
        if other is not None and (other.dtype is not dtype or not other.is_cpu):
            return False
    return True


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
