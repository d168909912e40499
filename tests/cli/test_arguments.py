"""Command lines, taken apart."""

import pytest

from lit_tasks.cli.arguments import Arguments


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        (["--data.predict=a"], ["--data.predict=a"]),
        (["--data.predict", "a", "--x=1"], ["--data.predict", "a", "--x=1"]),
        (["--data.predict=a", "--x=1", "--data.predict", "b c"], ["--x=1", '["a", "b c"]']),
        (["--data.predict=[a, b]", "--data.predict=c"], ['["a", "b", "c"]']),
        (["--x=1", "--x=2"], ["--x=1", "--x=2"]),
    ],
)
def test_no_input_to_predict_is_lost_where_several_are_given(
    words: list[str], flags: list[str]
) -> None:
    expected = [f"--data.predict={flag}" if flag.startswith("[") else flag for flag in flags]
    assert Arguments(["predict", *words]).flags == expected
