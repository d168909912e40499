"""Every test here works in an empty folder with the toy task's config in it."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def folder(toy_folder: Path) -> Path:
    return toy_folder
