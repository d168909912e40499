"""Compilers, exporters, transforms, low precision and memory."""

import resource
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lit_tasks.functional.recurrent.packing import pack_ragged
from lit_tasks.nn import GRU, LSTM, RNN


class Classifier(nn.Module):
    """A model that contains a layer of ours, given padded texts and their lengths."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.head = nn.Linear(layer.hidden_size * (1 + layer.bidirectional), 2)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        output, _ = self.layer(features, lengths=lengths)
        return self.head(output.sum(1))


def example() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(4, 6, 3), torch.tensor([2, 6, 0, 3])


@pytest.mark.slow  # tracing and compiling take ten times as long as what is compiled
@pytest.mark.parametrize("kind", [LSTM, RNN, GRU])
def test_a_model_compiles_into_one_graph_with_the_same_numbers(kind: Any) -> None:
    torch.compiler.reset()
    graphs = []

    def backend(graph: torch.fx.GraphModule, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    model = Classifier(kind(3, 5, num_layers=2, bidirectional=True, batch_first=True))
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    features, lengths = example()
    torch.testing.assert_close(compiled(features, lengths), model(features, lengths))
    assert len(graphs) == 1
    compiled(features, lengths).sum().backward()
    found = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    model(features, lengths).sum().backward()
    torch.testing.assert_close(found, [parameter.grad for parameter in model.parameters()])


@pytest.mark.slow  # tracing and compiling take ten times as long as what is compiled
def test_the_default_compiler_gives_the_same_gradients() -> None:
    torch.compiler.reset()
    model = Classifier(LSTM(3, 5, batch_first=True))
    features, lengths = example()
    loss = model(features, lengths).square().sum()
    expected = torch.autograd.grad(loss, list(model.parameters()))
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    loss = compiled(features, lengths).square().sum()
    torch.testing.assert_close(torch.autograd.grad(loss, list(model.parameters())), expected)


@pytest.mark.slow  # tracing and compiling take ten times as long as what is compiled
def test_an_exported_program_takes_other_batches_and_lengths() -> None:
    model = Classifier(LSTM(3, 5, bidirectional=True, batch_first=True)).eval()
    batch = torch.export.Dim("batch", min=2)  # torch 2.9 takes a batch of one for a case of its own
    steps = torch.export.Dim("steps")
    shapes = {"features": {0: batch, 1: steps}, "lengths": {0: batch}}
    program = torch.export.export(model, example(), dynamic_shapes=shapes)
    features, lengths = torch.randn(5, 9, 3), torch.tensor([9, 0, 3, 4, 7])
    torch.testing.assert_close(program.module()(features, lengths), model(features, lengths))


@pytest.mark.slow  # exporting takes ten times as long as what is exported
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (LSTM, {"num_layers": 2, "bidirectional": True}),
        (RNN, {"nonlinearity": "relu"}),
        (LSTM, {"bias": False}),
        (GRU, {"bidirectional": True}),
        (GRU, {"bias": False}),
    ],
)
def test_an_onnx_model_agrees_in_onnxruntime(kind: Any, options: dict[str, Any]) -> None:
    pytest.importorskip("onnxscript", reason="needed by torch.onnx.export")
    runtime = pytest.importorskip("onnxruntime", reason="runs the exported model")
    model = Classifier(kind(3, 5, batch_first=True, **options)).eval()
    batch = torch.export.Dim("batch", min=2)  # torch 2.9 takes a batch of one for a case of its own
    steps = torch.export.Dim("steps")
    shapes = {"features": {0: batch, 1: steps}, "lengths": {0: batch}}
    found = torch.onnx.export(model, example(), dynamo=True, dynamic_shapes=shapes, verbose=False)
    session = runtime.InferenceSession(found.model_proto.SerializeToString())
    for lengths in ([9, 1, 3, 4, 7], [0, 9, 0, 2, 9]):
        given = torch.randn(5, 9, 3), torch.tensor(lengths)
        feed = {
            node.name: tensor.numpy()
            for node, tensor in zip(session.get_inputs(), given, strict=True)
        }
        (logits,) = session.run(None, feed)
        torch.testing.assert_close(torch.from_numpy(logits), model(*given), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("lengths", [None, [2, 5, 0]])
@pytest.mark.parametrize("kind", [LSTM, RNN, GRU])
def test_a_compiled_layer_has_the_second_derivatives_of_the_layer(
    kind: Any, lengths: list[int] | None
) -> None:
    """A compiler packs lengths with rows that no step has; these have to be left out here too."""
    torch.compiler.reset()
    torch.manual_seed(0)
    layer = kind(3, 4, dtype=torch.float64)
    x = torch.randn(5, 3, 3, dtype=torch.float64, requires_grad=True)
    steps = None if lengths is None else torch.tensor(lengths)
    inputs = [x, *layer.parameters()]
    found = []
    for module in (layer, torch.compile(layer, backend="eager", fullgraph=True)):
        loss = module(x, lengths=steps)[0].square().sum()
        grads = torch.autograd.grad(loss, inputs, create_graph=True)
        penalty = torch.stack([grad.square().sum() for grad in grads]).sum()
        found.append(torch.autograd.grad(penalty, inputs))
    torch.testing.assert_close(found[1], found[0])


def test_vmap_over_batches_and_models_equals_a_loop() -> None:
    layer = LSTM(3, 5).double()
    inputs = torch.randn(4, 6, 2, 3).double()
    found = torch.func.vmap(lambda features: layer(features)[0])(inputs)
    torch.testing.assert_close(found, torch.stack([layer(features)[0] for features in inputs]))

    def loss(weights: dict[str, Tensor], features: Tensor) -> Tensor:
        return torch.func.functional_call(layer, weights, (features,))[0].square().sum()

    weights = {name: value.detach() for name, value in layer.named_parameters()}
    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, inputs)
    for place, features in enumerate(inputs):
        one = torch.func.grad(loss)(weights, features)
        torch.testing.assert_close({name: grad[place] for name, grad in each.items()}, one)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", [LSTM, RNN, GRU])
def test_autocast_runs_low_and_trains_in_full_precision(kind: Any, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = kind(3, 8, bidirectional=True, batch_first=True)
    features, lengths = example()
    full = layer(features, lengths=lengths)[0]
    with torch.autocast("cpu", dtype):
        low = layer(features, lengths=lengths)[0]
    assert low.dtype is dtype
    torch.testing.assert_close(low.float(), full, rtol=0.05, atol=0.02)
    low.float().sum().backward()
    found = [parameter.grad.clone() for parameter in layer.parameters()]
    layer.zero_grad()
    full.sum().backward()
    assert all(grad.dtype is torch.float32 for grad in found)
    expected = [parameter.grad for parameter in layer.parameters()]
    torch.testing.assert_close(found, expected, rtol=0.1, atol=0.1)


def test_a_packed_batch_may_come_ragged_and_be_compiled() -> None:
    torch.compiler.reset()
    layer = LSTM(3, 5, bidirectional=True)
    packed = pack_ragged(torch.randn(9, 3), torch.tensor([2, 0, 6, 1]))
    compiled = torch.compile(
        lambda data: layer(packed._replace(data=data))[0].data, backend="eager", fullgraph=True
    )
    torch.testing.assert_close(compiled(packed.data), layer(packed)[0].data)


def test_memory_does_not_grow_when_lengths_change_at_every_step() -> None:
    layer = LSTM(8, 16, batch_first=True)
    optimizer = torch.optim.SGD(layer.parameters(), lr=1e-3)

    def train(steps: int) -> int:
        for _ in range(steps):
            lengths = torch.randint(0, 60, (8,))
            features = torch.randn(8, 60, 8)
            optimizer.zero_grad()
            layer(features, lengths=lengths)[0].sum().backward()
            optimizer.step()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB, the highest so far

    before = train(200)
    assert train(800) - before < 4096
