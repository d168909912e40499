"""Images in the making against a loop written by hand, and what survives an interruption."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lit_tasks.batch import StyleRegion
from lit_tasks.nn.style.features import StyleFeatures
from lit_tasks.nn.style.objective import StyleObjective
from lit_tasks.nn.style.stylization import Phase, Stylization

pytest.importorskip("torchvision")
STYLE = {"1": 2000.0, "4": 80.0, "6": 12.0, "7": 1.0}


@pytest.fixture
def double() -> Iterator[None]:
    """Compute in double, so that two ways to a gradient may differ in the last digits alone."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def colors(height: int, width: int, seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    small = torch.rand(1, 3, 5, 6, generator=draw, dtype=torch.float64)
    image = nn.functional.interpolate(small, (height, width), mode="bilinear")[0]
    return (image * 255).round().to(torch.uint8)


CONTENT, PAINTING = colors(32, 40, 1), colors(36, 30, 2)


def objective(**options: Any) -> StyleObjective:
    layers = ["3", *STYLE]
    features = StyleFeatures(layers, "squeezenet1_1", "random")
    return StyleObjective(features, {"3": 0.05}, STYLE, 0.02, **options)


def adam(lr: float, **options: Any) -> Any:
    return partial(torch.optim.Adam, lr=lr, **options)


def assignment(lr: float = 3.0) -> list[Phase]:
    return [Phase(30, adam(lr), clamp=1.5), Phase(5, adam(0.1), clamp=1.5), Phase(5)]


def network(smooth: bool) -> nn.Sequential:
    """Return torchvision's layers with the weights that ``objective`` has."""
    import torchvision

    net = torchvision.models.squeezenet1_1(weights=None).features[:8].eval().requires_grad_(False)
    net.load_state_dict(objective().features.steps.state_dict())
    for module in net.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return smoothed(net) if smooth else net


def smoothed(net: Any) -> Any:
    """Take the corners out of a network: no rectifier at zero, no tie between neighbors."""
    for parent in list(net.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.ReLU):
                setattr(parent, name, nn.Softplus(beta=5))
            if isinstance(child, nn.MaxPool2d):
                setattr(parent, name, nn.AvgPool2d(3, stride=2, ceil_mode=True))
    return net


class ByHand:
    """The assignment, written down as it is told, without anything of ours but the weights.

    Its products are off by ``noise`` of themselves, as another machine's would be.
    """

    def __init__(self, smooth: bool, noise: float) -> None:
        self.net, self.noise = network(smooth), noise
        self.random = torch.Generator().manual_seed(4)
        mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
        std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
        self.image = ((CONTENT.double() / 255 - mean) / std)[None].requires_grad_()
        with torch.no_grad():
            self.wanted = self.seen(self.image)[3]
            painted = self.seen(((PAINTING.double() / 255 - mean) / std)[None])
            self.grams = {int(layer): self.gram(painted[int(layer)]) for layer in STYLE}

    def seen(self, image: Tensor) -> Mapping[int, Tensor]:
        found = {}
        for number, layer in enumerate(self.net):
            image = self.disturbed(layer(image))
            found[number] = image
        return found

    def gram(self, f: Tensor) -> Tensor:
        _, c, h, w = f.shape
        return self.disturbed(f.view(c, h * w) @ f.view(c, h * w).t()) / (c * h * w)

    def disturbed(self, product: Tensor) -> Tensor:
        draw = torch.randn(product.shape, generator=self.random)
        return product * (1 + self.noise * draw)

    def loss(self) -> Tensor:
        found = self.seen(self.image)
        loss = 0.05 * ((found[3] - self.wanted) ** 2).sum()
        for layer, weight in STYLE.items():
            gram = self.gram(found[int(layer)])
            loss = loss + weight * ((gram - self.grams[int(layer)]) ** 2).sum()
        rows = ((self.image[:, :, 1:] - self.image[:, :, :-1]) ** 2).sum()
        columns = ((self.image[:, :, :, 1:] - self.image[:, :, :, :-1]) ** 2).sum()
        return loss + 0.02 * (rows + columns)


@pytest.mark.parametrize("noise", [0.0, 1e-15])
@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("lr", [3.0, 0.05])
def test_losses_are_those_of_a_loop_written_by_hand(
    double: None, lr: float, smooth: bool, noise: float
) -> None:
    """Step by step from the same pixels: Adam's first steps follow little but a gradient's sign.

    Two loops that each followed their own gradients would part where a gradient is nearly zero,
    which the last digits of a product decide and with them the machine. So the loop by hand
    computes loss and gradient of its own, and its Adam is then given ours. Where a large step
    and the clamp have made neighboring pixels equal, the largest of them is a tie and its
    gradient is anybody's: there the gradients of a network without corners are compared.
    """
    ours = objective()
    if smooth:
        smoothed(ours.features.steps)
    job = Stylization(ours, CONTENT, [PAINTING], [1.0], assignment(lr))
    hand = ByHand(smooth, noise)
    optimizer, losses = torch.optim.Adam([hand.image], lr=lr), []
    for step in range(40):
        if step < 35:
            hand.image.data.clamp_(-1.5, 1.5)
        if step == 30:
            optimizer = torch.optim.Adam([hand.image], lr=0.1)
        optimizer.zero_grad()
        loss = hand.loss()
        loss.backward()
        losses.append(float(job.step().sum()))
        assert losses[-1] == pytest.approx(loss.item(), rel=1e-9)
        assert job.pixels.grad is not None
        assert hand.image.grad is not None
        if smooth or lr < 1:
            torch.testing.assert_close(job.pixels.grad, hand.image.grad, rtol=1e-7, atol=1e-9)
        hand.image.grad.copy_(job.pixels.grad)
        optimizer.step()
        torch.testing.assert_close(job.pixels, hand.image.data, rtol=1e-9, atol=1e-9)
    assert losses[-1] < losses[0]


SCHEDULES = {
    "adam": [Phase(7, adam(0.1), scale=0.5), Phase(6)],
    "lbfgs": [Phase(6, partial(torch.optim.LBFGS, max_iter=2, line_search_fn="strong_wolfe"))],
    "several": assignment()[1:],
}


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("stop", [1, 5, 7])
def test_an_image_goes_on_as_if_never_interrupted(kind: str, stop: int) -> None:
    target, schedule = objective(), SCHEDULES[kind]
    stop = min(stop, sum(phase.steps for phase in schedule))

    def begin() -> Stylization:
        return Stylization(
            target, CONTENT, [PAINTING], [1.0], schedule, init="noise", ema_decay=0.5, seed=3
        )

    whole, first = begin(), begin()
    for _ in range(whole.steps):
        whole.step()
    for _ in range(stop):
        first.step()
    second = begin()
    second.load_state_dict(first.state_dict())
    for _ in range(whole.steps - stop):
        second.step()
    assert torch.equal(second.image(), whole.image())
    assert torch.equal(torch.stack(second.trace), torch.stack(whole.trace))


def test_lbfgs_does_not_pay_for_a_point_twice() -> None:
    """One step of many iterations and many steps of one take the same way."""
    images, asked = [], []
    for steps, iterations in ((1, 6), (6, 1)):
        target = objective()
        count = [0]
        gradient = target.gradient

        def counted(*args: Any, count: Any = count, gradient: Any = gradient) -> Any:
            count[0] += 1
            return gradient(*args)

        target.gradient = counted  # type: ignore[method-assign]
        options = {"max_iter": iterations, "max_eval": 100, "line_search_fn": "strong_wolfe"}
        make = partial(torch.optim.LBFGS, **options)
        job = Stylization(target, CONTENT, [PAINTING], [1.0], [Phase(steps, make)])
        for _ in range(steps):
            job.step()
        images.append(job.pixels)
        asked.append(count[0])
    assert asked[0] == asked[1]
    torch.testing.assert_close(*images)


def test_coarse_to_fine_lets_adam_go_on() -> None:
    job = Stylization(
        objective(), CONTENT, [PAINTING], [1.0], [Phase(3, adam(0.1), scale=0.5), Phase(2)]
    )
    for _ in range(3):
        job.step()
    assert job.pixels.shape[2:] == (16, 20)
    before = job.optimizer.state[job.pixels]["exp_avg"].clone()
    job.step()
    assert job.pixels.shape[2:] == CONTENT.shape[1:]
    [state] = job.optimizer.state.values()
    assert int(state["step"]) == 4
    assert state["exp_avg_sq"].min() >= 0
    grown = nn.functional.interpolate(before, (32, 40), mode="bilinear")
    cosine = nn.functional.cosine_similarity(state["exp_avg"].flatten(), grown.flatten(), dim=0)
    assert cosine > 0.5


def test_the_image_may_be_the_mean_of_the_last_steps() -> None:
    job = Stylization(objective(), CONTENT, [PAINTING], [1.0], [Phase(4, adam(0.1))], ema_decay=0.5)
    seen = []
    for _ in range(4):
        job.step()
        seen.append(job.pixels.clone())
    weights = [0.5**n for n in (3, 2, 1, 0)]
    mean = sum(w * x for w, x in zip(weights, seen, strict=True)) / sum(weights)
    torch.testing.assert_close(job.normalized_image(), mean)


def test_starts_differ_as_they_say() -> None:
    def begun(init: Any) -> Tensor:
        job = Stylization(
            objective(), CONTENT, [PAINTING], [1.0], [Phase(1, adam(1.0))], init=init, seed=1
        )
        return job.image().float()

    assert torch.equal(begun("content"), CONTENT.float())
    matched = begun("matched").mean(dim=(1, 2)).tolist()
    assert matched == pytest.approx(PAINTING.float().mean((1, 2)).tolist(), abs=6)
    noise, style = begun("noise"), begun("style")
    assert noise.mean() == pytest.approx(127.5, abs=5)
    painting = PAINTING.float()
    assert style.mean(dim=(1, 2)).tolist() == pytest.approx(painting.mean((1, 2)).tolist(), abs=6)
    spread = style.flatten(1).std(dim=1).tolist()
    assert spread == pytest.approx(painting.flatten(1).std(dim=1).tolist(), rel=0.15)


def test_an_image_may_start_from_another_one() -> None:
    other = colors(32, 40, 7)
    job = Stylization(
        objective(), CONTENT, [PAINTING], [1.0], [Phase(1, adam(1.0))], init_image=other
    )
    assert torch.equal(job.image(), other)


def test_regions_follow_the_size_of_a_phase() -> None:
    left, right = torch.zeros(32, 40), torch.zeros(36, 30)
    left[:, :20] = right[:, 15:] = 255
    regions = [StyleRegion(left, [right]), StyleRegion(255 - left, [255 - right])]
    phases = [Phase(1, adam(0.1), scale=0.5), Phase(1)]
    job = Stylization(objective(), CONTENT, [PAINTING], [1.0], phases, regions=regions)
    assert {tuple(part.mask.shape) for part in job.targets.parts if part.mask is not None} == {
        (1, 1, 16, 20)
    }
    job.step(), job.step()
    assert torch.stack(job.trace).isfinite().all()
    plain = Stylization(objective(), CONTENT, [PAINTING], [1.0], phases)
    assert not torch.allclose(plain.step(), job.trace[0])


def test_luma_keeps_the_photographs_hue() -> None:
    job = Stylization(
        objective(), CONTENT, [PAINTING], [1.0], [Phase(2, adam(0.05))], color_mode="luma"
    )
    for _ in range(2):
        job.step()
    shift = job.image().double() - CONTENT.double()
    inside = ((job.image() > 0) & (job.image() < 255)).all(dim=0)
    assert inside.any()
    assert (shift - shift.mean(dim=0)).abs()[:, inside].max() <= 1  # the same in every channel
    assert shift.abs().max() > 3


def test_matched_paintings_have_the_photographs_colors() -> None:
    job = Stylization(
        objective(), CONTENT, [PAINTING], [1.0], [Phase(1, adam(0.05))], color_mode="match"
    )
    means = [image.mean(dim=(0, 2, 3)) for image in (job.styles[0], job.content)]
    torch.testing.assert_close(*means, rtol=0, atol=0.03)


def test_several_paintings_pull_by_their_shares() -> None:
    target, other = objective(), colors(30, 30, 9)
    alone = Stylization(target, CONTENT, [PAINTING], [1.0], [Phase(1, adam(1.0))])
    blended = Stylization(target, CONTENT, [PAINTING, other], [1, 0], [Phase(1, adam(1.0))])
    torch.testing.assert_close(alone.step(), blended.step())
    half = Stylization(target, CONTENT, [PAINTING, other], [1, 1], [Phase(1, adam(1.0))])
    assert not torch.allclose(half.step(), alone.trace[0])


def test_phases_that_make_no_image_are_refused() -> None:
    from lit_tasks.nn.style.stylization import check

    with pytest.raises(ValueError, match="steps of a phase must be at least 1, got 0"):
        Phase(0)
    with pytest.raises(ValueError, match=r"scale must be above 0 and at most 1, got 2"):
        Phase(1, scale=2)
    with pytest.raises(ValueError, match=r"clamp must be above 0, got -1"):
        Phase(1, clamp=-1)
    for schedule, message in (
        ([], "at least one phase"),
        ([Phase(1)], "first of the phases needs an optimizer"),
        ([Phase(1, adam(1.0), scale=0.5)], r"last phase must have scale 1, got 0\.5"),
    ):
        with pytest.raises(ValueError, match=message):
            check(schedule)
