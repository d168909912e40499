import torch

from lit_tasks.functional.style.color import color_statistics, match_colors, with_luma


def image(seed: int, spread: float = 0.2) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    mix = torch.rand(3, 3, generator=draw).double()
    noise = torch.randn(1, 3, 20, 30, generator=draw).double()
    return 0.5 + spread * torch.einsum("dc,bchw->bdhw", mix, noise)


def test_a_matched_image_has_the_others_mean_and_covariance() -> None:
    one, other = image(1), image(2, 0.1)
    found = color_statistics(match_colors(one, other, floor=1e-12))
    torch.testing.assert_close(found, color_statistics(other))


def test_an_image_of_one_color_can_be_matched() -> None:
    plain = torch.full((1, 3, 4, 4), 0.3, dtype=torch.float64)
    found = match_colors(plain, image(2))
    assert found.isfinite().all()
    torch.testing.assert_close(found.mean((2, 3)), image(2).mean((2, 3)))


def test_luma_is_the_ones_and_hue_the_others() -> None:
    colors, light = image(1), image(2)
    found = with_luma(colors, light)
    weights = torch.tensor([0.299, 0.587, 0.114]).double()
    torch.testing.assert_close(*(torch.einsum("c,bchw->bhw", weights, p) for p in (found, light)))
    for one, other in ((0, 1), (1, 2)):
        difference = [p[:, one] - p[:, other] for p in (found, colors)]
        torch.testing.assert_close(*difference)
