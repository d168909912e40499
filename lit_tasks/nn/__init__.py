"""Parameters around :mod:`lit_tasks.functional`: plain PyTorch modules."""

from .recurrent import LSTM, RNN
from .recurrent_cells import LSTMCell, RNNCell

__all__ = ["LSTM", "RNN", "LSTMCell", "RNNCell"]
