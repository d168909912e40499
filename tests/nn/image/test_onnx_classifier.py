import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lit_tasks.nn.image.backbone import Backbone
from lit_tasks.nn.image.classifier import LinearHead
from lit_tasks.nn.image.onnx import StatedProbabilities, export_classifier

pytest.importorskip("timm")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.mark.slow  # exports to ONNX
@pytest.mark.parametrize(
    "name",
    ["test_resnet", pytest.param("test_efficientnet", marks=pytest.mark.slow)],  # the same code
)
def test_an_exported_classifier_states_the_same_probabilities(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    backbone = Backbone(True, name, "random", size=32)
    head = LinearHead(backbone.out_features, 3)
    torch.nn.init.normal_(head.linear.weight)
    head.measure(torch.randn(9, backbone.out_features))
    model = StatedProbabilities(backbone, head, temperature=1.7).eval()
    path = tmp_path / "model.onnx"
    export_classifier(model, ["a", "b", "c"], backbone.preprocessing, path)

    session = onnxruntime.InferenceSession(path.read_bytes())
    for images in (1, 5):
        image = torch.randint(256, (images, 3, 32, 32), dtype=torch.uint8)
        [found] = session.run(None, {"image": image.numpy()})
        np.testing.assert_allclose(found, model(image).detach().numpy(), atol=1e-5)
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["labels"]) == ["a", "b", "c"]
    assert json.loads(told["preprocessing"]) == backbone.preprocessing.plain()
