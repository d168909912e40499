"""Encoders of padded texts, in eager mode and as ONNX, say what they say of ragged ones."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lit_tasks.nn.text import BagOfWords, MeanOfEmbeddings, MeanOfWordVectors, RecurrentEncoder
from lit_tasks.nn.text.onnx import PaddedTextProbabilities, export_text_classifier

LENGTHS = torch.tensor([3, 0, 5, 1])
Recurrent = partial(RecurrentEncoder, vectors=None, embedding_dim=6, hidden_size=4)
ENCODERS: dict[str, Callable[[int], nn.Module]] = {
    "bag": BagOfWords,
    "scaled bag of n-grams": partial(
        BagOfWords, ngrams=3, buckets=64, naive_bayes=1.0, normalize=True
    ),
    "mean": partial(MeanOfEmbeddings, embedding_dim=8),
    "mean of distinct n-grams": partial(
        MeanOfEmbeddings, embedding_dim=8, ngrams=2, buckets=32, distinct=True
    ),
    "word vectors": partial(MeanOfWordVectors, trained_dim=5),
    "lstm": Recurrent,
    "rnn": partial(Recurrent, cell="rnn", bidirectional=True, num_layers=2, pooling="concat"),
    "attention": partial(Recurrent, bidirectional=True, pooling="attention"),
    "max": partial(Recurrent, pooling="max"),
    "mean of states": partial(Recurrent, pooling="mean"),
}
EXPORTED = [
    "scaled bag of n-grams",
    "rnn",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("mean of distinct n-grams", "attention")
    ),
]  # the slow ones are of the same operators


def classifier(name: str) -> tuple[Any, Any]:
    torch.manual_seed(0)
    encoder: Any = ENCODERS[name](20)
    makes_head = isinstance(encoder, BagOfWords)
    head = encoder.make_head(1) if makes_head else nn.Linear(encoder.out_features, 3)
    for tensor in (*head.parameters(), *head.buffers()):
        nn.init.normal_(tensor)
    return encoder.eval(), head.eval()


def ragged() -> Tensor:
    tokens = torch.randint(0, 20, (9,), generator=torch.Generator().manual_seed(1))
    tokens[4] = tokens[3]  # the same word twice in a text
    return tokens


def padded(tokens: Tensor) -> tuple[Tensor, Tensor]:
    ids, mask = torch.full((4, 5), 7), torch.zeros(4, 5, dtype=torch.int64)
    for row, text in enumerate(tokens.split(LENGTHS.tolist())):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    return ids, mask


def expected(encoder: Any, head: Any, tokens: Tensor) -> Tensor:
    scores = head(encoder(tokens, LENGTHS))
    if scores.shape[1] == 1:
        scores = torch.cat((torch.zeros_like(scores), scores), dim=1)
    return scores.softmax(dim=1).detach()


@pytest.mark.parametrize("name", ENCODERS)
def test_padded_texts_have_the_probabilities_of_ragged_ones(name: str) -> None:
    encoder, head = classifier(name)
    found = PaddedTextProbabilities(encoder, head)(*padded(ragged()))
    torch.testing.assert_close(found.detach(), expected(encoder, head, ragged()))


@pytest.mark.parametrize("name", EXPORTED)
def test_onnx_states_the_same_probabilities(name: str, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    encoder, head = classifier(name)
    path = tmp_path / "model.onnx"
    export_text_classifier(encoder, head, ["a", "b", "c"], path)
    session = onnxruntime.InferenceSession(path.read_bytes())
    ids, mask = (tensor.numpy() for tensor in padded(ragged()))
    probability = expected(encoder, head, ragged()).numpy()
    [found] = session.run(None, {"input_ids": ids, "attention_mask": mask})
    np.testing.assert_allclose(found, probability, atol=1e-6)
    [found] = session.run(None, {"input_ids": ids[:1, :3], "attention_mask": mask[:1, :3]})
    np.testing.assert_allclose(found, probability[:1], atol=1e-6)


def test_an_encoder_of_ones_own_is_refused_by_name() -> None:
    class Mine(nn.Module):
        pass

    with pytest.raises(ValueError, match="Mine offers no export to ONNX: give it a method"):
        PaddedTextProbabilities(Mine(), nn.Linear(1, 1))
