"""What is said about labels, and which values are the same label."""

from pathlib import Path

import numpy as np
import pytest

from lit_tasks.data.base.labels import (
    doubts,
    indices_of_labels,
    label_order,
    missing_numbers,
    strata,
)
from lit_tasks.data.text_files import TextFilesDataModule


def csv(path: Path, labels: list[str]) -> Path:
    path.write_text("text,label\n" + "".join(f"text {n},{x}\n" for n, x in enumerate(labels)))
    return path


def module(folder: Path, train: Path, **options: object) -> TextFilesDataModule:
    data = TextFilesDataModule(train=train, cache_dir=folder / "cache", **options)  # type: ignore[arg-type]
    data.setup("fit")
    return data


def test_numbers_are_ordered_by_value_and_before_names() -> None:
    labels = ["b", "10", "-1", "1", "2.5", "a", "-10", "1e1"]
    assert sorted(labels, key=label_order) == ["-10", "-1", "1", "2.5", "10", "1e1", "a", "b"]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([f"word{n}" for n in range(15)] * 2, "has 15 labels in 30 texts (word0, word1, word10"),
        (["POS", "neg", "pos"] * 9, "differ only by case, blanks or zeros .* 'POS' and 'pos'"),
        (["so so", "so  so", "x"] * 9, "'so  so' and 'so so'"),
        (["1", "1.0", "0"] * 9, "'1' and '1.0'"),
        (["1", "True", "0"] * 9, "'1' and 'True'"),
        (["1", "01", "x"] * 9, "'01' and '1'"),
        (["pos", "pos\u200b", "x"] * 9, r"'pos' and 'pos\u200b'"),
        (["café", "cafe\u0301", "x"] * 9, "are classes of their own: "),
        (["NA", "None", "x"] * 9, "18 texts have the label NA or None; it is a class like others"),
    ],
)
def test_labels_that_look_like_mistakes_are_told(
    tmp_path: Path, labels: list[str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        module(tmp_path, csv(tmp_path / "a.csv", labels), val=tmp_path / "a.csv")
    [warning] = [text for text in caplog.messages if text.startswith("warning: ")]
    assert all(part in warning for part in said.split(" .* "))


def test_usual_labels_are_not_doubted() -> None:
    for counts in ({"pos": 30, "neg": 30}, {"-1": 3, "1": 3}, {str(n): 4 for n in range(77)}):
        assert doubts(counts, "a.csv") == []


def test_blanks_around_a_label_are_none(tmp_path: Path) -> None:
    data = module(tmp_path, csv(tmp_path / "a.csv", [" very good ", "very good", "bad\u00a0"] * 9))
    assert data.labels == ["bad", "very good"]


def test_nan_among_numbers_is_no_label(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", ["1.0", "0.0", "nan"] + ["1.0", "0.0"] * 9)
    with pytest.raises(ValueError, match=r"a\.csv, line 4: the label 'nan' is not a number as"):
        module(tmp_path, path)
    data = module(tmp_path, path, bad_rows="skip")
    assert data.labels == ["0.0", "1.0"]
    assert sum(data.train_class_counts) + len(data._set("val")) == 20
    names = np.array(["nan", "cmn", "yue"], dtype=object)  # languages
    assert not missing_numbers(names).any()


@pytest.mark.parametrize("missing", ["NaN", "NA", "None", "null", "<NA>", "?", "inf", "-Infinity"])
def test_what_is_no_number_among_numbers_is_no_label(tmp_path: Path, missing: str) -> None:
    path = csv(tmp_path / "a.csv", ["1", "0"] * 10 + [missing])
    with pytest.raises(ValueError, match=r"a\.csv, line 22: the label '.*' is not a number as"):
        module(tmp_path, path)
    assert module(tmp_path, path, bad_rows="skip").labels == ["0", "1"]


def test_a_fraction_that_leaves_nothing_to_train_on_is_refused(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", ["1", "0"] * 5)
    with pytest.raises(ValueError, match="is left to train on; set data"):
        module(tmp_path, path, val_fraction=0.95)


def test_one_and_one_point_zero_are_one_label_where_only_one_is_known(tmp_path: Path) -> None:
    train = csv(tmp_path / "a.csv", ["1.0", "0.0"] * 9)
    data = module(tmp_path, train, val=csv(tmp_path / "b.csv", ["1", "0", "1.00"]), bad_rows="skip")
    assert data._set("val").label.tolist()[:2] == [1, 0]  # type: ignore[union-attr]
    assert indices_of_labels(["0", "1"])["1.0"] == 1
    assert indices_of_labels(["1", "1.0"]) == {"1": 0, "1.0": 1}


def test_a_label_that_validation_lacks_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        module(tmp_path, csv(tmp_path / "a.csv", ["a", "b"] * 20 + ["rare"]))
    assert "warning: validation has no text of the label rare" in caplog.messages


@pytest.mark.parametrize("labels", [["a", "b"], ["a", "b"] * 4])
def test_too_few_texts_to_hold_some_out_say_what_to_do(tmp_path: Path, labels: list[str]) -> None:
    data = module(tmp_path, csv(tmp_path / "a.csv", labels))
    sentence = r"no text is left for validation: .*a\.csv too few .*set data.val to .*val_fraction"
    with pytest.raises(ValueError, match=sentence):
        data.val_dataloader()


def test_a_file_without_a_row_that_can_be_used_is_named(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", ["", ""])
    with pytest.raises(ValueError, match=r"line 2: there is no label \(2 such rows in all\)"):
        module(tmp_path, path, bad_rows="skip")


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    csv(tmp_path / "a.csv", ["a", "b"] * 9)
    assert module(tmp_path, Path("~/a.csv")).labels == ["a", "b"]


def test_folders_of_labels_train_and_their_bad_files_are_named(tmp_path: Path) -> None:
    for n in range(20):
        file = tmp_path / "texts" / "ab"[n % 2] / f"{n}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"text {n}" if n else " ")
    with pytest.raises(ValueError, match=r"texts/a/0\.txt: the text is empty; correct it, or"):
        module(tmp_path, tmp_path / "texts")
    data = module(tmp_path, tmp_path / "texts", bad_rows="skip", predict=tmp_path / "texts")
    assert sum(data.train_class_counts) + len(data._set("val")) == 19
    assert data.predict_ids[:2] == ["a/0.txt", "b/1.txt"]
    (tmp_path / "texts/a/0.txt").rename(tmp_path / "texts/b/0.txt")  # the same bytes elsewhere
    data = module(tmp_path, tmp_path / "texts", bad_rows="skip", predict=tmp_path / "texts")
    assert "b/0.txt" in data.predict_ids


def test_classes_are_numbered_as_they_come_so_that_a_seed_holds_out_the_same_rows() -> None:
    assert strata(["pos", "neg", "pos", "a"], None).tolist() == [0, 1, 0, 2]
