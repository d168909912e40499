"""The changes of ``mutations.py`` can still be made; whether tests notice them is its own run."""

import pytest
from mutations import MUTATIONS, ROOT, Mutation, place


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_what_is_to_be_broken_stands_once(mutation: Mutation) -> None:
    path = place(mutation, ROOT / "lit_tasks")
    broken = path.read_text().replace(mutation.right, mutation.wrong)
    compile(broken, str(path), "exec")
    for name in mutation.tests.split():
        assert (ROOT / "tests" / name).exists()


def test_there_are_thirty() -> None:
    assert len(MUTATIONS) >= 30
