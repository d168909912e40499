import numpy as np

from lit_tasks.plots import confusion_matrix


def test_a_confusion_matrix_shows_counts_and_names_where_they_belong() -> None:
    figure = confusion_matrix(np.array([[3, 1], [0, 1234]]), ["neg", "pos"])
    axes = figure.axes[0]
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "3", (1, 0): "1", (0, 1): "0", (1, 1): "1,234"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["neg", "pos"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
