"""Batches of token ids are the texts asked for, from memory and from chunks of a file alike."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from lit_tasks.data.base import encoded_texts
from lit_tasks.data.base.encoded_texts import EncodedTexts


@pytest.mark.parametrize("copied", [0, 10**6])
@pytest.mark.parametrize("chunks", [[], [0], [5], [3, 0, 4, 1]])
def test_a_batch_holds_the_texts_in_the_order_asked_for(
    copied: int, chunks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoded_texts, "_COPIED", copied)
    generator = np.random.default_rng(0)
    texts = [
        [generator.integers(0, 99, length).tolist() for length in generator.integers(0, 4, size)]
        for size in chunks
    ]
    kind = pa.list_(pa.int32())
    column = pa.chunked_array([pa.array(chunk, kind) for chunk in texts], kind)
    flat = [text for chunk in texts for text in chunk]
    rows = generator.permutation(len(flat))[1:]
    label = torch.arange(len(rows))
    data = EncodedTexts(column, rows, label)
    for indices in ([], range(len(rows)), range(len(rows) - 1, -1, -2)):
        batch = data.__getitems__(list(indices))
        wanted = [flat[rows[i]] for i in indices]
        assert batch.tokens.tolist() == [token for text in wanted for token in text]
        assert batch.tokens.dtype == batch.lengths.dtype == torch.int64
        assert batch.lengths.tolist() == [len(text) for text in wanted]
        assert batch.label is not None
        assert batch.label.tolist() == batch.index.tolist() == list(indices)
    assert data.lengths.tolist() == [len(flat[row]) for row in rows]
