"""Everything of Hugging Face's ``datasets`` that is private, with a test of its own."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets import Dataset


def content_key(data: "Dataset") -> str:
    """Return the hash of a dataset's source and of all that was done with it."""
    return str(data._fingerprint)
