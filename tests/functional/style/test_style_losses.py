"""Losses of style transfer against loops that say what they mean, and their gradients."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lit_tasks.functional.style.losses import (
    Moments,
    blend,
    content_loss,
    gram_loss,
    gram_matrix,
    moments,
    total_variation,
    wasserstein_loss,
)


def features(channels: int = 3, height: int = 4, width: int = 5, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(2, channels, height, width, generator=draw, dtype=torch.float64)


def slow_gram(f: Tensor) -> Tensor:
    channels, height, width = f.shape
    gram = torch.zeros(channels, channels, dtype=f.dtype)
    for a in range(channels):
        for b in range(channels):
            for y in range(height):
                for x in range(width):
                    gram[a, b] += f[a, y, x] * f[b, y, x] / (channels * height * width)
    return gram


def test_content_is_the_sum_of_squared_differences() -> None:
    f, t = features(seed=1), features(seed=2)
    for n in range(2):
        slow = sum((a - b) ** 2 for a, b in zip(f[n].flatten(), t[n].flatten(), strict=True))
        torch.testing.assert_close(content_loss(f, t)[n], slow)
        torch.testing.assert_close(content_loss(f, t, "mean")[n], slow / f[n].numel())


def test_a_gram_matrix_is_what_the_loops_say() -> None:
    f = features()
    for n in range(2):
        torch.testing.assert_close(gram_matrix(f)[n], slow_gram(f[n]))


def test_gram_loss_of_images_of_different_sizes_is_what_the_loops_say() -> None:
    f, a = features(), features(height=3, width=2, seed=4)
    for n in range(2):
        slow = torch.zeros((), dtype=torch.float64)
        for row, other in zip(slow_gram(f[n]), slow_gram(a[n]), strict=True):
            for g, h in zip(row, other, strict=True):
                slow += (g - h) ** 2
        torch.testing.assert_close(gram_loss(moments(f), moments(a))[n], slow)


def test_total_variation_is_what_the_loops_say() -> None:
    image = features()
    for n in range(2):
        slow = torch.zeros((), dtype=torch.float64)
        for channel in image[n]:
            for y in range(4):
                for x in range(5):
                    if y < 3:
                        slow += (channel[y + 1, x] - channel[y, x]) ** 2
                    if x < 4:
                        slow += (channel[y, x + 1] - channel[y, x]) ** 2
        torch.testing.assert_close(total_variation(image)[n], slow)


def test_total_variation_of_one_row_or_one_pixel_is_that_of_its_neighbors() -> None:
    assert total_variation(torch.tensor([[[[1.0, 3.0, 4.0]]]])).tolist() == [5.0]
    assert total_variation(torch.ones(1, 3, 1, 1)).tolist() == [0.0]


def test_wasserstein_distance_of_independent_channels_is_that_of_their_deviations() -> None:
    """For diagonal covariances the distance is that of means and standard deviations."""
    deviation = torch.tensor([[1.0, 2.0]]).double(), torch.tensor([[1.5, 0.5]]).double()
    mean = torch.tensor([[0.0, 1.0]]).double(), torch.tensor([[0.5, -1.0]]).double()
    pair = [
        Moments(m, torch.diag_embed(d**2) + m[:, :, None] * m[:, None, :])
        for m, d in zip(mean, deviation, strict=True)
    ]
    expected = ((mean[0] - mean[1]) ** 2 + (deviation[0] - deviation[1]) ** 2).mean(dim=1)
    torch.testing.assert_close(wasserstein_loss(*pair, floor=1e-9), expected, rtol=1e-6, atol=0)


def test_wasserstein_distance_is_that_of_matrix_square_roots() -> None:
    f, a = features(height=6, width=7), features(height=5, width=5, seed=3) + 1

    def root(matrix: Tensor) -> Tensor:
        y, z = matrix, torch.eye(len(matrix), dtype=matrix.dtype)  # Denman and Beavers (1976)
        for _ in range(60):
            y, z = (y + z.inverse()) / 2, (z + y.inverse()) / 2
        return y

    for n in range(2):
        one, two = f[n].flatten(1), a[n].flatten(1)
        s, t = torch.cov(one, correction=0), torch.cov(two, correction=0)
        half = root(t)
        slow = (one.mean(1) - two.mean(1)).square().sum()
        slow += (s + t - 2 * root(half @ s @ half)).trace()
        found = wasserstein_loss(moments(f), moments(a), floor=1e-12)[n]
        torch.testing.assert_close(found, slow / 3, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("loss", [gram_loss, wasserstein_loss])
def test_a_style_is_no_distance_from_itself_wherever_its_pixels_are(
    loss: Callable[[Moments, Moments], Tensor],
) -> None:
    f = features()
    moved = f.flatten(2)[:, :, torch.randperm(20)].unflatten(2, (5, 4))
    zero = torch.zeros(2, dtype=torch.float64)
    torch.testing.assert_close(loss(moments(moved), moments(f)), zero, rtol=0, atol=1e-7)
    assert (loss(moments(2 * f), moments(f)) > 0.01).all()


@pytest.mark.parametrize("loss", [gram_loss, wasserstein_loss])
def test_style_gradients_are_right(loss: Callable[[Moments, Moments], Tensor]) -> None:
    target = moments(features(seed=5))
    f = features().requires_grad_()
    assert torch.autograd.gradcheck(lambda f: loss(moments(f), target), f)


def strong_features(seed: int, gray: bool) -> Tensor:
    """Return features as a network's: large, and many channels that say nearly the same."""
    draw = torch.Generator().manual_seed(seed)
    causes = torch.randn(1, 2 if gray else 12, 40 * 30, generator=draw)
    mixed = torch.randn(64, causes.shape[1], generator=draw) @ causes
    return 30 * (mixed + 0.05 * torch.randn(mixed.shape, generator=draw)).relu().view(1, 64, 40, 30)


@pytest.mark.parametrize("gray", [False, True])
def test_the_wasserstein_loss_of_single_precision_features_is_that_of_double(gray: bool) -> None:
    f, target = strong_features(1, gray=False), strong_features(2, gray)
    assert wasserstein_loss(moments(f), moments(f)).item() == pytest.approx(0, abs=1e-5)
    gradients = []
    for kind in (torch.float32, torch.float64):
        leaf = f.to(kind).requires_grad_()
        loss = wasserstein_loss(moments(leaf), moments(target.to(kind)))
        gradients.append(torch.autograd.grad(loss.sum(), leaf)[0].double())
    single, double = gradients
    assert (single - double).norm() < 1e-4 * double.norm()


def test_content_and_variation_gradients_are_right() -> None:
    f = features().requires_grad_()
    assert torch.autograd.gradcheck(lambda f: content_loss(f, features(seed=5)), f)
    assert torch.autograd.gradcheck(total_variation, f)


def test_a_channel_that_is_nowhere_active_has_a_finite_gradient() -> None:
    f = features()
    f[:, 1] = 0
    f.requires_grad_()
    loss = wasserstein_loss(moments(f), moments(features(seed=6)))
    [gradient] = torch.autograd.grad(loss.sum(), f)
    assert gradient.isfinite().all()


def test_more_channels_than_positions_have_a_finite_distance() -> None:
    f = features(channels=9, height=2, width=2).requires_grad_()
    loss = wasserstein_loss(moments(f), moments(features(channels=9, seed=1)))
    [gradient] = torch.autograd.grad(loss.sum(), f)
    assert loss.isfinite().all()
    assert gradient.isfinite().all()


def test_a_blend_of_gram_targets_pulls_like_the_mean_of_the_losses() -> None:
    f = features().requires_grad_()
    styles = [moments(features(seed=seed)) for seed in (7, 8)]
    separate = 0.25 * gram_loss(moments(f), styles[0]) + 0.75 * gram_loss(moments(f), styles[1])
    together = gram_loss(moments(f), blend(styles, [1, 3]))
    gradients = [torch.autograd.grad(loss.sum(), f)[0] for loss in (separate, together)]
    torch.testing.assert_close(*gradients)


def test_moments_of_an_image_are_the_blend_of_those_of_its_parts() -> None:
    f = features(width=8)
    parts = [moments(f[..., :2]), moments(f[..., 2:])]
    torch.testing.assert_close(blend(parts, [2, 6]), moments(f))


def test_moments_do_not_depend_on_the_layout_and_nor_do_their_gradients() -> None:
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        f = features().contiguous(memory_format=layout).requires_grad_()
        both = moments(f)
        total = (both.second * torch.arange(9.0).view(3, 3)).sum() + both.mean.square().sum()
        found.append((*both, *torch.autograd.grad(total, f)))
    torch.testing.assert_close(*found)
