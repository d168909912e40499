"""Parameters around :mod:`lit_tasks.functional`: plain PyTorch modules."""

from .recurrent import LSTM, RNN

__all__ = ["LSTM", "RNN"]
