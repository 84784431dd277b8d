"""Beam's handlers for PyTorch and ONNX are stages without glue, and lose no row."""

import numpy as np
import pytest
import torch
from apache_beam.ml.inference.base import RunInference
from apache_beam.ml.inference.onnx_inference import OnnxModelHandlerNumpy
from apache_beam.ml.inference.pytorch_inference import (
    PytorchModelHandlerKeyedTensor,
    PytorchModelHandlerTensor,
    make_tensor_model_fn,
)
from torch import nn

from components.ensemble.graph import Stage
from components.ensemble.memory import limit_gpu_memory
from components.ensemble.record import Record
from components.ensemble.stage_handler import StageHandler
from tests.components.ensemble.contract import check_stage, numbers, run


class Net(nn.Module):
    """One layer; what it gives is as it is told."""

    def __init__(self, gives: str = "tensor") -> None:
        super().__init__()
        self.layer, self.gives = nn.Linear(4, 3), gives

    def forward(self, x, more=None, scale=1.0):
        y = self.layer(x if more is None else x + more) * scale
        if self.gives == "layers":
            return {"y": y, "layers": (x, y, y)}
        return {
            "tensor": y,
            "tuple": (y, x, y),
            "pair": [y, -y],
            "dict": {"y": y, "deep": {"x": x, "y": y}},
            "first": y[:1],
            "four": y.sum(0).expand(4, 3),
            "sum": y.sum(),
        }[self.gives]

    def twice(self, x):
        return self(x) * 2


class Long(Net):
    """Gives five rows an example, as `generate` does with five sequences."""

    def forward(self, x):
        return super().forward(x).repeat_interleave(5, dim=0)


class Hungry(Net):
    """Has memory for three rows."""

    def forward(self, x):
        if len(x) > 3:
            raise torch.OutOfMemoryError(f"CUDA out of memory: {len(x)} rows")
        return super().forward(x)


def tensors(count: int) -> list[torch.Tensor]:
    return list(map(torch.from_numpy, numbers(count)))


@pytest.fixture
def saved(tmp_path):
    """Saves a net and gives the arguments of a handler for it."""

    def save(kind=Net, gives="tensor", **options):
        torch.manual_seed(0)
        net = kind(gives).eval()
        path = str(tmp_path / "net.pt")
        torch.save(net.state_dict(), path)
        arguments = {"state_dict_path": path, "model_class": kind, "model_params": {"gives": gives}}
        return net, {**arguments, **options}

    return save


@pytest.mark.parametrize("options", [{}, {"min_batch_size": 16, "max_batch_size": 16}])
def test_pytorch_on_tensors(saved, options):
    net, arguments = saved(**options)
    stage = Stage("y", PytorchModelHandlerTensor(**arguments), inputs="x")
    bad = [torch.zeros(3), None, numbers(1)[0]]
    check_stage(stage, tensors(40), lambda x: net(x[None])[0].detach(), bad)


def test_pytorch_by_a_method_and_with_arguments(saved):
    net, arguments = saved(inference_fn=make_tensor_model_fn("twice"))
    stage = Stage("y", PytorchModelHandlerTensor(**arguments), inputs="x")
    check_stage(stage, tensors(20), lambda x: net.twice(x[None])[0].detach())
    net, arguments = saved()
    handler = PytorchModelHandlerTensor(**arguments)
    stage = Stage("y", handler, inputs="x", inference_args={"scale": 3.0})
    check_stage(stage, tensors(20), lambda x: net(x[None], scale=3.0)[0].detach())


def test_pytorch_on_tensors_by_name(saved):
    net, arguments = saved()
    stage = Stage("y", PytorchModelHandlerKeyedTensor(**arguments), {"x": "a", "more": "b"})
    rows = [{"a": a, "b": b} for a, b in zip(tensors(30), reversed(tensors(30)), strict=True)]
    bad = [{"a": torch.zeros(4)}, {"a": torch.zeros(4), "b": torch.zeros(5)}]
    dead = check_stage(stage, rows, lambda r: net(r["a"][None], r["b"][None])[0].detach(), bad)
    reasons = {r.key: r.failure.reason for r in dead}
    assert reasons["bad 0"] == "the record has no b" and "size" in reasons["bad 1"]


def test_mappings_in_mappings_are_cut_into_rows(saved):
    net, arguments = saved(gives="dict", min_batch_size=16, max_batch_size=16)

    def alone(x):
        y = net(x[None])["y"][0].detach()
        return {"y": y, "deep": {"x": x, "y": y}}

    check_stage(Stage("y", PytorchModelHandlerTensor(**arguments), "x"), tensors(40), alone)


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize(
    ("kind", "gives", "said"),
    [
        (Net, "tuple", "output is a tuple of 3"),
        (Net, "layers", "output['layers'] is a tuple of 3"),
        (Net, "pair", "output is a list of 2"),
        (Net, "sum", "output is a Tensor of shape ()"),
        (Net, "four", "output is a Tensor of shape (4, 3)"),  # as many as half of eight examples
        (Long, "tensor", "output is a Tensor of shape (5, 3)"),
    ],
)
def test_what_belongs_to_no_example_is_never_paired_with_one(saved, kind, gives, said, size):
    """With stock RunInference rows are lost, or come out with another one's values, or both."""
    _, arguments = saved(kind, gives, min_batch_size=size, max_batch_size=size)
    stage = Stage("y", PytorchModelHandlerTensor(**arguments), inputs="x")
    dead = check_stage(stage, [], lambda _: None, tensors(16))
    assert {r.failure.reason.split(":")[0] for r in dead} == {f"the model's {said}"}


def test_one_result_for_a_batch_is_no_result_for_its_first(saved):
    net, arguments = saved(gives="first", min_batch_size=8, max_batch_size=8)
    stage = Stage("y", PytorchModelHandlerTensor(**arguments), inputs="x")
    check_stage(stage, tensors(16), lambda x: net(x[None])[0].detach())


def test_stock_run_inference_loses_and_mixes_rows(saved):
    """Why StageHandler is there; when this fails Beam has learnt it, and `rows` may go."""
    _, arguments = saved(gives="layers", min_batch_size=8, max_batch_size=8)
    stock = run(RunInference(PytorchModelHandlerTensor(**arguments)), tensors(16))
    assert len(stock) == 6  # three of each batch of eight
    assert stock[0].inference["layers"].shape == (8, 4)  # all rows of a layer, for one example


def test_out_of_memory_of_torch_halves_the_batch(saved, caplog):
    net, arguments = saved(Hungry, min_batch_size=16, max_batch_size=16)
    stage = StageHandler(Stage("y", PytorchModelHandlerTensor(**arguments), inputs="x"))
    records = [Record(str(n), {"x": x}) for n, x in enumerate(tensors(16))]
    found = stage.run_inference(records, stage.load_model())
    for record in found:
        assert torch.allclose(record.values["y"], net(record.values["x"][None])[0], atol=1e-5)
    said = [r.getMessage() for r in caplog.records if "does not fit" in r.getMessage()]
    assert len(said) == 7  # one of 16, two of 8, four of 4
    assert said[0] == "stage y: a batch of 16 does not fit the memory"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_budget_is_kept_on_a_gpu():
    limit_gpu_memory(500)
    with pytest.raises(torch.OutOfMemoryError):
        torch.empty(600_000_000, dtype=torch.uint8, device="cuda")
    torch.empty(400_000_000, dtype=torch.uint8, device="cuda")
    torch.cuda.set_per_process_memory_fraction(1.0)


def test_onnx(saved, tmp_path):
    net, _ = saved()
    path = str(tmp_path / "net.onnx")
    write_onnx(net, path)
    handler = OnnxModelHandlerNumpy(path, providers=["CPUExecutionProvider"], max_batch_size=16)
    bad = [np.zeros(3, np.float32), np.zeros(4), None]
    stage = Stage("y", handler, inputs="x")
    check_stage(stage, numbers(40), lambda x: net(torch.from_numpy(x)[None])[0].detach(), bad)


def write_onnx(net: Net, path: str) -> None:
    """By hand: torch's exporter needs one more package."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = [
        numpy_helper.from_array(value.detach().numpy(), name)
        for name, value in (("w", net.layer.weight), ("b", net.layer.bias))
    ]
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1)],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
