"""Features by layer name: torchvision's own values, and what the options change."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lit_tasks.nn.style.features import StyleFeatures

torchvision = pytest.importorskip("torchvision")
WEIGHTS = Path(__file__).parents[3] / "../shared/data/weights"


def image(size: int = 40) -> Tensor:
    return torch.randn(1, 3, size, size + 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("network", "layers"),
    [
        ("squeezenet1_1", {"1": 1, "fire2": 3, "fire3": 4, "7": 7, "pool5": 8}),
        ("vgg16", {"conv1_1": 0, "relu1_1": 1, "pool1": 4, "relu2_1": 6, "conv3_3": 14}),
        ("vgg19", {"conv1_2": 2, "relu1_2": 3, "relu3_4": 17, "conv4_2": 21}),
    ],
)
def test_layers_are_torchvisions_own(network: str, layers: dict[str, int], tmp_path: Path) -> None:
    torch.manual_seed(0)
    with torch.device("meta"):
        theirs = torchvision.models.get_model(network, weights=None).features
    theirs.to_empty(device="cpu")
    for module in theirs.modules():
        if isinstance(module, nn.Conv2d):
            module.reset_parameters()
    keys = {f"features.{key}": value for key, value in theirs.state_dict().items()}
    torch.save(keys, tmp_path / "weights.pth")
    ours = StyleFeatures(list(layers), network, tmp_path / "weights.pth")
    for module in theirs.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    found = ours(image())
    with torch.no_grad():
        value = image()
        for number, module in enumerate(theirs):
            value = module(value)
            for layer in (name for name, place in layers.items() if place == number):
                torch.testing.assert_close(found[layer], value, rtol=1e-4, atol=1e-5)


def test_nothing_below_the_deepest_layer_is_built_or_asked_for(tmp_path: Path) -> None:
    with torch.device("meta"):
        full = torchvision.models.vgg19(weights=None).features[:12]
    full.to_empty(device="cpu")
    torch.save(full.state_dict(), tmp_path / "part.pth")
    ours = StyleFeatures(["relu2_1", "conv3_1"], "vgg19", tmp_path / "part.pth")
    assert len(ours.steps) == 11
    with pytest.raises(ValueError, match=r"part\.pth does not hold vgg19 up to layer relu3_2"):
        StyleFeatures(["relu3_2"], "vgg19", tmp_path / "part.pth")


def test_the_packaged_network_needs_no_file_and_gives_timms_features() -> None:
    timm = pytest.importorskip("timm")
    ours = StyleFeatures(["stem", "blocks.2.0"])
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    from lit_tasks.nn.image import pretrained

    tensors = pretrained.state("tf_efficientnet_lite0", "timm", "package")
    net.load_state_dict(tensors)
    found = ours(image(64))
    with torch.no_grad():
        stem = net.bn1(net.conv_stem(image(64)))
        third = net.blocks[2][0](net.blocks[1](net.blocks[0](stem.clone())))
    torch.testing.assert_close(found["stem"], stem, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found["blocks.2.0"], third, rtol=1e-4, atol=1e-4)


def test_normalizing_and_back_is_nothing_at_all() -> None:
    ours = StyleFeatures(["1"], "squeezenet1_1", "random")
    colors = torch.rand(1, 3, 4, 4)
    torch.testing.assert_close(ours.denormalize(ours.normalize(colors)), colors)
    gray = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    assert ours.normalize(gray).abs().max() < 1e-6


def test_replicated_borders_draw_no_frame_around_a_plain_image() -> None:
    plain = torch.ones(1, 3, 32, 32)
    for padding, flat in (("zeros", False), ("replicate", True)):
        ours = StyleFeatures(["relu1_2"], "vgg16", "random", padding=padding)
        found = ours(plain)["relu1_2"]
        assert torch.allclose(found, found[:, :, 16:17, 16:17], atol=1e-4) is flat


def test_average_pooling_is_the_mean_of_each_window() -> None:
    layers = ["relu1_2", "pool1"]
    found = StyleFeatures(layers, "vgg16", "random", pooling="average")(image())
    expected = nn.functional.avg_pool2d(found["relu1_2"], 2)
    torch.testing.assert_close(found["pool1"], expected)


def test_it_stays_as_it_was_loaded() -> None:
    ours = StyleFeatures(["stem", "blocks.0.0"])
    before = {k: v.clone() for k, v in ours.state_dict().items()}
    ours.train()
    ours(image(64))
    assert not any(p.requires_grad for p in ours.parameters())
    torch.testing.assert_close(dict(ours.state_dict()), before, rtol=0, atol=0)


def test_random_weights_are_the_same_everywhere_and_draw_from_nobody() -> None:
    state = torch.get_rng_state()
    one = StyleFeatures(["1"], "squeezenet1_1", "random")
    torch.manual_seed(5)
    other = StyleFeatures(["1"], "squeezenet1_1", "random")
    assert one.fingerprint() == other.fingerprint()
    torch.set_rng_state(state)


def test_what_is_not_there_is_told_with_what_is() -> None:
    with pytest.raises(ValueError, match=r"vgg19 has no layer relu9_1; it has relu\d_1.*below 37"):
        StyleFeatures(["relu9_1"], "vgg19", "random")
    with pytest.raises(ValueError, match="no layer 40"):
        StyleFeatures(["40"], "squeezenet1_1", "random")
    with pytest.raises(ValueError, match=r"package .* for timm's tf_efficientnet_lite0 only"):
        StyleFeatures(["1"], "squeezenet1_1", "package")
    with pytest.raises(ValueError, match="cannot pad by 'replicate'"):
        StyleFeatures(["stem"], padding="replicate")


def test_an_image_that_is_too_small_is_refused_by_its_size() -> None:
    ours = StyleFeatures(["7"], "squeezenet1_1", "random")
    assert ours(torch.zeros(1, 3, ours.min_side, ours.min_side))["7"].numel()
    with pytest.raises(ValueError, match=rf"at least {ours.min_side} pixels a side .* got 9 x 2"):
        ours(torch.zeros(1, 3, 2, 9))


@pytest.mark.skipif(not WEIGHTS.is_dir(), reason="the weights of ../shared are not here")
def test_the_files_of_weights_load_and_see_an_image() -> None:
    file = WEIGHTS / "vgg19_features_to_conv3_1.pth"
    vgg = StyleFeatures(["relu1_1", "relu3_1"], "vgg19", file)
    assert vgg(image(64))["relu3_1"].shape == (1, 256, 16, 17)
    with pytest.raises(ValueError, match=r"does not hold vgg19 up to layer conv4_2"):
        StyleFeatures(["conv4_2"], "vgg19", file)
    squeezenet = StyleFeatures(["12"], "squeezenet1_1", WEIGHTS / "squeezenet1_1_imagenet.pth")
    assert squeezenet(image(64))["12"].shape[1] == 512
