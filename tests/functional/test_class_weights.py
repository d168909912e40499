import torch

from lit_tasks.functional.calibration import class_weights


def test_class_weights_make_classes_count_alike_and_keep_the_scale() -> None:
    counts = torch.tensor([90, 9, 1])
    weights = class_weights(counts)
    torch.testing.assert_close(weights * counts, torch.full((3,), 100 / 3))
    assert class_weights(torch.tensor([5, 0])).isfinite().all()
