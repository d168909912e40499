"""Encoders of texts: what a classifier's head looks at."""

from lit_tasks.nn.text.encoders import BagOfWords, MeanOfEmbeddings, MeanOfWordVectors
from lit_tasks.nn.text.recurrent_encoder import RecurrentEncoder

__all__ = ["BagOfWords", "MeanOfEmbeddings", "MeanOfWordVectors", "RecurrentEncoder"]
