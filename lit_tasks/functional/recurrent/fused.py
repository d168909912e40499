"""The element-wise part of an LSTM step as one compiled loop, where the machine has a C compiler.

Eight element-wise calls of torch read and write the rows of a step eight times; ``fused.c`` does it
once. It is compiled at first use (a second), kept in the user's cache (``lit_tasks/fused``), and
called through `ctypes`, so no header of torch is needed. Without a compiler, and for anything but
float32 on the CPU, the plain tensor formulas run. ``LIT_TASKS_FUSED=0`` switches it off.
"""

import ctypes
import logging
import os
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


@cache
def library() -> ctypes.CDLL | None:
    """Return the compiled library, or ``None`` where it is off, which is logged once."""
    if os.environ.get("LIT_TASKS_FUSED") == "0":
        _log.info("The compiled LSTM step is off: LIT_TASKS_FUSED is 0.")
        return None
    try:
        return compiled_library.load(SOURCE, FLAGS, WIDE, _declare)
    except (OSError, ValueError, AttributeError, subprocess.SubprocessError) as error:
        reason = " ".join(str(error).split())
        _log.warning(
            "The compiled LSTM step is off (%s): LSTMs compute the same, but slower; install a C "
            "compiler or name one in CC, or set LIT_TASKS_FUSED=0 if this is meant.",
            reason,
        )
        return None


def _declare(found: ctypes.CDLL) -> None:
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    found.lstm_forward_step.argtypes = [*[pointer] * 5, number, number]
    found.lstm_backward_step.argtypes = [*[pointer] * 8, number, number]
    found.lstm_forward_step.restype = found.lstm_backward_step.restype = None


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
