"""RNN and LSTM with gradients derived by hand, drop-in for torch.nn."""

from lit_tasks.nn.recurrent.cells import GRUCell, LSTMCell, RNNCell
from lit_tasks.nn.recurrent.layers import GRU, LSTM, RNN

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]
