"""What we rest on in Hugging Face's ``datasets`` beyond its documentation."""

from datasets import Dataset

from lit_tasks.data.cache.datasets_internals import content_key


def test_the_key_of_a_dataset_is_that_of_its_source_and_of_what_was_done() -> None:
    data = Dataset.from_dict({"a": [1, 2]})
    assert content_key(data) == content_key(data)
    assert content_key(data.map(lambda row: row, new_fingerprint="mine")) == "mine"
    assert content_key(data.select([1])) != content_key(data)
