import io
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lit_tasks.metrics.calibration import BINS
from lit_tasks.plots import (
    attention_maps,
    class_bars,
    confusion_matrix,
    image_grid,
    learning_curves,
    loss_curves,
    overlaid_curves,
    reliability,
    save_figure,
)
from lit_tasks.plots.names import RIGHT, WRONG, distinct, natural_order, shortened, width, wrapped


def test_a_confusion_matrix_shows_counts_and_names_where_they_belong() -> None:
    figure = confusion_matrix(np.array([[3, 1], [0, 1234]]), ["neg", "pos"])
    axes = figure.axes[0]
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "3", (1, 0): "1", (0, 1): "0", (1, 1): "1,234"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["neg", "pos"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")


def test_a_grid_shows_every_image_under_its_title_and_marks_what_is_wrong() -> None:
    images = [np.full((4, 4, 3), value, dtype=np.uint8) for value in (0, 100, 200)]
    figure = image_grid(images, ["a", "b\nis c", "d"], [True, False, True], columns=2)
    assert len(figure.axes) == 4
    for axes, image in zip(figure.axes, images, strict=False):
        assert np.array_equal(axes.images[0].get_array(), image)
    titles = [axes.title for axes in figure.axes[:3]]
    assert [title.get_text() for title in titles] == ["✓ a", "✗ b\nis c", "✓ d"]
    assert [title.get_color() for title in titles] == [RIGHT, WRONG, RIGHT]


def test_a_grid_takes_images_of_pillow() -> None:
    figure = image_grid([Image.new("RGB", (8, 4)), np.zeros((4, 8, 3), np.uint8)], ["a", "b"])
    assert [axes.get_images()[0].get_array().shape for axes in figure.axes] == [(4, 8, 3)] * 2


def test_reliability_draws_the_share_that_is_right_over_the_mean_confidence() -> None:
    confidence, correct = np.array([0.62, 0.68, 0.95, 1.0]), np.array([1.0, 0.0, 1.0, 1.0])
    line = reliability(confidence, correct, bins=10).axes[0].lines[1]
    np.testing.assert_allclose(line.get_xdata(), [0.65, 0.975])
    np.testing.assert_allclose(line.get_ydata(), [0.5, 1.0])


def test_class_bars_begin_with_the_lowest_recall() -> None:
    axes = class_bars(["a", "b", "c"], [0.1, 0.2, 0.3], [0.9, 0.4, 0.8], [3, 4, 1000], 2).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["c (1,000)", "b (4)"]
    assert [bar.get_width() for bar in axes.containers[0]] == [0.8, 0.4]


def test_learning_curves_draw_every_loss_and_accuracy_that_there_is() -> None:
    rows = [{"epoch": 0, "val/loss": 2.0}, {"epoch": 1, "val/loss": 1.0, "val/accuracy": 0.5}]
    loss, accuracy = learning_curves(rows).axes
    assert loss.lines[0].get_xydata().tolist() == [[0, 2], [1, 1]]
    assert accuracy.lines[0].get_xydata().tolist() == [[1, 0.5]]


ROOT = Path(__file__).parents[1]
PIXELS = np.zeros((8, 8, 3), np.uint8)
DOLLARS = ["$5 #1 and $10", "Ba$$in", r"a\$b^2_{"]


@pytest.mark.parametrize(
    "draw",
    [
        lambda names: confusion_matrix(np.eye(3), names),
        lambda names: class_bars(names, [1, 1, 1], [1, 1, 1], samples=[1, 1, 1]),
        lambda names: image_grid([PIXELS] * 3, names, below=names),
        lambda names: attention_maps([PIXELS], [names], [np.ones((3, 4))]),
        lambda names: loss_curves({name: [2.0, 1.0] for name in names}),
        lambda names: overlaid_curves(
            {name: [{"step": 1, "val/a": 2}] for name in names}, ["val/a"]
        ),
        lambda names: learning_curves([{"step": 1, **{f"val/{name}": 2.0 for name in names}}]),
    ],
)
def test_a_dollar_is_a_dollar(draw: Callable[[list[str]], Any]) -> None:
    from matplotlib.text import Text

    figure = draw(DOLLARS)
    figure.savefig(io.BytesIO())
    texts = [text.get_text() for text in figure.findobj(Text)]
    for name in DOLLARS:
        assert any(name.replace("$", r"\$") in text.replace("\n", " ") for text in texts)
    texts = [text for text in texts if r"\mathdefault" not in text]  # powers of ten on an axis
    assert not any("$" in text.replace(r"\$", "") for text in texts)


def test_long_names_lose_their_middle_and_stay_apart() -> None:
    assert shortened("Tomato___Tomato_Yellow_Leaf_Curl_Virus", 21) == "Tomato___T…Curl_Virus"
    assert shortened("蜜蜂蜜蜂", 6) == "蜜…蜂"
    names = distinct([f"{'a' * 40}{n}{'b' * 40}" for n in range(12)], 20)
    assert len(set(names)) == 12
    assert max(map(width, names)) <= 20
    assert wrapped("a man with a very long word", 12, lines=3) == "a man with a\nvery long\nword"
    assert wrapped("Corn_(maize)", 7) == "Corn_\n(maize)"
    for text in ("x" * 100, "a b " * 50, "蜜" * 30, "", "a" * 9 + " " + "b" * 30):
        lines = wrapped(text, 10, lines=3).split("\n")
        assert len(lines) <= 3
        assert max(map(width, lines)) <= 10


def test_numbers_in_names_are_in_their_order() -> None:
    names = sorted(str(n) for n in range(12))
    figure = confusion_matrix(np.diag(np.arange(12)), names)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == [str(n) for n in range(12)]
    diagonal = [text.get_text() for text in axes.texts if len(set(text.get_position())) == 1]
    counts = {name: place for place, name in enumerate(names)}
    assert diagonal == [str(counts[str(n)]) for n in range(12)]
    assert natural_order(["x10", "x9", "Y1", "10", "9"]) == [4, 3, 1, 0, 2]


def test_nothing_of_a_figure_is_cut_off(tmp_path: Path) -> None:
    """No ink touches the border."""
    long = ["Corn_(maize)___Cercospora_leaf_spot Gray_leaf_spot", "Tomato___Yellow", "c"]
    figures = {
        "matrix": confusion_matrix(np.eye(3), long),
        "bars": class_bars(long, [1, 1, 1], [0, 0, 1], samples=[1, 2, 3]),
        "grid": image_grid([PIXELS + 255] * 3, [f"{name}\nis {name}" for name in long], below=long),
        "compare": overlaid_curves({n: [{"step": 1, "val/a": 2}] for n in long}, ["val/a"]),
    }
    for name, figure in figures.items():
        save_figure(figure, tmp_path / f"{name}.png", dpi=60)
        pixels = np.asarray(Image.open(tmp_path / f"{name}.png").convert("L"))
        border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        assert border.min() == 255, name


def test_the_files_of_mistakes_are_named() -> None:
    texts = image_grid([PIXELS], ["a"], [False], below=["cats/$1.jpg"]).axes[0].texts
    assert [text.get_text() for text in texts] == [r"cats/\$1.jpg"]


def test_reliability_has_the_bins_of_the_metric() -> None:
    figure = reliability(np.array([0.5]), np.array([1.0]), bins=BINS)
    assert len(figure.axes[1].patches) == BINS == 15


def test_attention_maps_share_a_scale() -> None:
    figure = attention_maps([PIXELS] * 2, [["a"], ["b"]], [np.full((1, 4), x) for x in (0.1, 0.7)])
    maps = [axes.images[1] for axes in figure.axes if len(axes.images) == 2]
    assert [one.get_clim() for one in maps] == [(0, 0.7), (0, 0.7)]
    assert figure.axes[-1].get_ylabel() == "attention"


def test_losses_that_are_not_the_same_quantity_have_axes_of_their_own() -> None:
    rows = [{"step": n, "train/loss": 1.0, "val/loss": 0.5, "val/accuracy": 1.0} for n in range(3)]
    assert [len(axes.lines) for axes in learning_curves(rows).axes] == [2, 1]
    apart = learning_curves(rows, apart=("loss",)).axes
    assert [axes.get_ylabel() for axes in apart] == ["train/loss", "val/loss", "val/accuracy"]


def test_metrics_of_one_class_come_last_and_steps_are_whole() -> None:
    names = ["f1_ants", "loss_raw", "macro_f1", "accuracy", "loss"]
    row = {"step": 0, **{f"val/{name}": 0.5 for name in names}, "val/accuracy_low": 0.4}
    rows = [row, {**row, "step": 1}]
    shown = learning_curves(rows, max_panels=4).axes
    assert [axes.get_ylabel() for axes in shown[:4]] == [
        "val/loss",
        "val/accuracy",
        "val/macro_f1",
        "val/f1_ants",
    ]
    assert all(float(tick).is_integer() for tick in shown[0].get_xticks())


def test_an_axis_is_logarithmic_where_a_curve_spans_decades() -> None:
    values = [100.0, 10.0, 0.1]
    rows = [{"step": n, "val/loss": v, "val/f1": v / 100} for n, v in enumerate(values)]
    rows += [{"step": 4, "val/other": 1.0}, {"step": 5, "val/other": float("nan")}]
    assert [axes.get_yscale() for axes in learning_curves(rows).axes] == ["log", "linear", "linear"]


def test_names_that_begin_with_an_underscore_stay_in_the_legend() -> None:
    figure = loss_curves({"_a": [1.0], "b": [1.0]})
    [legend] = figure.legends
    assert [text.get_text().strip("\u200b") for text in legend.get_texts()] == ["_a", "b"]


def test_letters_that_no_font_has_are_told_once_and_do_not_stop(tmp_path: Path) -> None:
    figure = image_grid([PIXELS], ["\U0001f9ff 蜜蜂 \ue000"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        save_figure(figure, tmp_path / "a.png")
    assert len(caught) <= 1
    assert all("no installed font shows" in str(warning.message) for warning in caught)
    assert (tmp_path / "a.png").stat().st_size > 1000


@pytest.mark.slow  # 21 figures, some of hundreds of classes, take 20 s
def test_the_contact_sheet_is_drawn(tmp_path: Path) -> None:
    words = [sys.executable, ROOT / "benchmarks/figures_contact_sheet.py", "--folder", tmp_path]
    subprocess.run(words, check=True)
    sheet = Image.open(tmp_path / "figures.png")
    assert sheet.width == 2400
    assert len(list(tmp_path.glob("*.png"))) > 20
