import numpy as np

from lit_tasks.plots import (
    class_bars,
    confusion_matrix,
    image_grid,
    learning_curves,
    reliability,
)


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
    assert [title.get_text() for title in titles] == ["a", "b\nis c", "d"]
    assert [title.get_color() for title in titles] == ["darkgreen", "firebrick", "darkgreen"]


def test_reliability_draws_the_share_that_is_right_over_the_mean_confidence() -> None:
    confidence, correct = np.array([0.62, 0.68, 0.95, 1.0]), np.array([1.0, 0.0, 1.0, 1.0])
    line = reliability(confidence, correct).axes[0].lines[1]
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
