"""Texts and captions that are cut are counted in one line, of streams too; none says nothing."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from lit_tasks.data.base.caption_dataset import Sentences
from lit_tasks.data.streamed_captions import StreamedCaptionsDataModule
from lit_tasks.data.streamed_texts import StreamedTextsDataModule
from lit_tasks.data.text_files import TextFilesDataModule
from lit_tasks.nn.image.preprocessing import Preprocessing
from lit_tasks.text.captions import CaptionVocabulary
from lit_tasks.text.encoding import TextOptions

STREAMS = Path("tests/fixtures/streams")
HELD_OUT = Path("tests/fixtures/text/sentences_held_out.txt")


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level("INFO", "lightning.pytorch.utilities.rank_zero")
    return caplog


@pytest.mark.parametrize("max_length", [1, 3, 4])
def test_texts_that_are_truncated_are_counted(
    tmp_path: Path, said: pytest.LogCaptureFixture, max_length: int
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("text,label\na b c d,x\na b c,y\na b,x\na d,y\n")
    data = TextFilesDataModule(
        path, path, text=TextOptions(max_length=max_length), cache_dir=tmp_path
    )
    data.setup("fit")
    cut = {1: 4, 3: 1, 4: 0}[max_length]
    told = f"train: {cut} of 4 texts are longer than max_length {max_length} and are truncated"
    assert (told in said.text) == (cut > 0)
    assert said.text.count("are longer than") == 2 * (cut > 0)  # of training and validation


@pytest.mark.parametrize("max_length", [2, 1000])
def test_texts_of_a_stream_that_are_truncated_are_counted(
    tmp_path: Path, said: pytest.LogCaptureFixture, max_length: int
) -> None:
    data = StreamedTextsDataModule(
        f"{STREAMS}/texts-*.parquet",
        HELD_OUT,
        text=TextOptions(max_length=max_length),
        cache_dir=tmp_path,
    )
    data.setup("fit")
    said.clear()
    lengths = [len(row["text"].split()) for row in data.source("train").data]
    data.train_dataloader()
    cut = sum(length > max_length for length in lengths)
    told = f"first rows of train: {cut} of {len(lengths)} texts are longer than max_length"
    assert (told in said.text) == (cut > 0) == (max_length == 2)


@pytest.mark.parametrize("max_tokens", [5, 100])
def test_captions_of_a_stream_that_are_cut_are_counted(
    tmp_path: Path, said: pytest.LogCaptureFixture, max_tokens: int
) -> None:
    data = StreamedCaptionsDataModule(
        f"{STREAMS}/captions-*.parquet",
        f"{STREAMS}/captions_val.parquet",
        max_tokens=max_tokens,
        cache_dir=tmp_path,
    )
    task = SimpleNamespace(preprocessing=Preprocessing(size=8, resize=9))
    data.trainer = SimpleNamespace(lightning_module=task)  # type: ignore[assignment]
    data.setup("fit")
    data.train_dataloader()
    known = data.captioned("train")
    words = CaptionVocabulary(data.vocabulary)
    each = [len(words.encode(text)) for several in known.sentences for text in several]
    cut = sum(length > max_tokens for length in each)
    assert cut == Sentences(known, words, each=True, max_tokens=max_tokens).cut
    told = f"{cut} of {len(each)} captions of the first 12 rows have more than {max_tokens} tokens"
    assert (told in said.text) == (cut > 0) == (max_tokens == 5)
