"""A network as one ONNX file that says by itself how to use it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lit_tasks.files import atomic_write


def write_onnx(
    network: nn.Module,
    inputs: Mapping[str, Tensor],
    output: str,
    dynamic: Mapping[str, Sequence[str]],
    told: Mapping[str, Any],
    path: Path,
) -> None:
    """Write a network to an ONNX file.

    Args:
        network: What is computed; put into evaluation mode meanwhile.
        inputs: An example of each input, by name, in the order that the network takes them.
        output: Name of what it returns.
        dynamic: For each input the names of its first dimensions, which may have any size.
        told: The file's metadata, each value as JSON.
        path: The file.

    Raises:
        ValueError: The packages for it are not installed.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 (what torch writes with)
    except ImportError as error:
        raise ValueError(
            "exporting needs onnx and onnxscript: pip install 'lit-tasks[export]'"
        ) from error
    sizes = {name: torch.export.Dim(name) for names in dynamic.values() for name in names}
    shapes = {
        name: {place: sizes[each] for place, each in enumerate(dynamic[name])} for name in inputs
    }
    training = network.training
    try:
        exported = torch.onnx.export(
            network.eval(),
            tuple(inputs.values()),
            dynamo=True,
            input_names=list(inputs),
            output_names=[output],
            dynamic_shapes=tuple(shapes.values()),
            verbose=False,
        )
    finally:
        network.train(training)
    assert exported is not None
    proto = exported.model_proto
    onnx.helper.set_model_props(proto, {name: json.dumps(value) for name, value in told.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as beside:
        onnx.save(proto, beside)
