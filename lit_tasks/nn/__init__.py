"""Parameters around :mod:`lit_tasks.functional`: plain PyTorch modules."""

from lit_tasks.nn.recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]
