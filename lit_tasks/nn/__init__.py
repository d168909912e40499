"""Parameters around :mod:`lit_tasks.functional`: plain PyTorch modules."""

from lit_tasks.nn.recurrent import LSTM, RNN, LSTMCell, RNNCell

__all__ = ["LSTM", "RNN", "LSTMCell", "RNNCell"]
