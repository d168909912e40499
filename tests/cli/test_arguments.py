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


@pytest.mark.parametrize("name", ["data.train", "data.root", "run_dir", "runs", "ckpt_path"])
def test_an_empty_path_is_not_the_current_folder(name: str) -> None:
    for words in ([f"--{name}="], [f"--{name}", ""], [f"--{name}=", "--seed_everything=1"]):
        with pytest.raises(ValueError, match=rf"--{name} is empty, as where a variable of the sh"):
            Arguments(["fit", *words])
    assert Arguments(["fit", f"--{name}=null", "--experiment="]).flag(name) == "null"
