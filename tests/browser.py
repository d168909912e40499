"""A browser for what only one shows: Debian's Chromium, or Google Chrome of GitHub's runners."""

import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


def browser() -> str:
    """Return the path of a browser; skip the test where there is none."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    return found
