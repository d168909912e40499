"""Labels of a batch by their names, for tables that people read."""

from collections.abc import Sequence

from torch import Tensor

from lit_tasks.protocols import HasLabels, label_separator


def label_names(label: Tensor, data: object) -> list[str]:
    """Return the name of each sample's label, or the names of all that it has.

    Args:
        label: Index of each sample's class, ``(B,)``, or which labels it has, ``(B, C)``; of
            fractions the values are returned.
        data: The data module, which knows the names; without one there are numbers.
    """
    if label.is_floating_point():
        return [str(value) for value in label.tolist()]
    names = data.labels if isinstance(data, HasLabels) else None
    if label.ndim == 1:
        return [_name(index, names) for index in label.tolist()]
    separator = label_separator(data)
    given = [[i for i, there in enumerate(row) if there] for row in label.tolist()]
    return [separator.join(_name(index, names) for index in row) for row in given]


def _name(index: int, names: Sequence[str] | None) -> str:
    return str(names[index]) if names is not None and 0 <= index < len(names) else str(index)
