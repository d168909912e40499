"""RNN, LSTM and GRU with gradients derived by hand, drop-in for torch.nn; cells of one's own."""

from lit_tasks.nn.recurrent.cells import GRUCell, LSTMCell, RNNCell
from lit_tasks.nn.recurrent.layers import GRU, LSTM, RNN
from lit_tasks.nn.recurrent.own_cell import OwnCell, check_step_backward
from lit_tasks.nn.recurrent.paper_cells import CoupledLSTM, MinGRU, PeepholeLSTM

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "CoupledLSTM",
    "GRUCell",
    "LSTMCell",
    "MinGRU",
    "OwnCell",
    "PeepholeLSTM",
    "RNNCell",
    "check_step_backward",
]
