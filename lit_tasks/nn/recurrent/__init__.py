"""RNN and LSTM with gradients derived by hand, drop-in for torch.nn."""

from lit_tasks.nn.recurrent.cells import LSTMCell, RNNCell
from lit_tasks.nn.recurrent.layers import LSTM, RNN

__all__ = ["LSTM", "RNN", "LSTMCell", "RNNCell"]
