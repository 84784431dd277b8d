"""Reads out of a SavedModel's graph what it takes, and whether it would touch anything else.

Nothing of the graph is run.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from components.errors import BeamfleetError
from components.files import open_file
from components.saved_model.layout import PROGRAM, SIGNATURE

_KINDS = {"string": "string", "int64": "int64", "float32": "double"}
# What a graph may do to the machine that runs it: files, network, Python that is not in the file.
_REACHING_OUT = frozenset(
    {
        "ReadFile", "WriteFile", "MatchingFiles", "PyFunc", "PyFuncStateless", "EagerPyFunc",
        "WholeFileReader", "WholeFileReaderV2", "TextLineReader", "TextLineReaderV2",
        "TFRecordReader", "TFRecordReaderV2", "FixedLengthRecordReader",
        "FixedLengthRecordReaderV2", "TextLineDataset", "TFRecordDataset", "TFRecordDatasetV2",
        "FixedLengthRecordDataset", "FixedLengthRecordDatasetV2", "SqlDataset", "SaveDataset",
        "SaveDatasetV2", "LoadDataset", "SnapshotDataset", "SnapshotDatasetV2", "RpcCall",
        "RpcServer", "RpcClient", "DebugIdentity", "DebugIdentityV2", "DebugIdentityV3",
        "WriteSummary", "CreateSummaryFileWriter", "PrintV2", "GeneratorDataset", "XlaLaunch",
        "ImportEvent", "DataServiceDataset", "DataServiceDatasetV2", "DataServiceDatasetV3",
        "DataServiceDatasetV4", "RegisterDataset", "RegisterDatasetV2",
    }
)  # fmt: skip
# The loader runs these to read the variables; a prediction has no business there.
_CHECKPOINTS = frozenset({"SaveV2", "RestoreV2", "Save", "Restore", "MergeV2Checkpoints"})


@dataclass(frozen=True)
class Program:
    """What a signature takes and gives."""

    features: tuple[tuple[str, str], ...]
    """(column, `string` | `int64` | `double`) of the tf.Examples that it parses, sorted."""
    output: str
    """Name of the output that is the prediction."""
    width: int
    """Numbers that it gives a row; 1 also for an output without such a dimension."""


def read_program(folder: str) -> Program:
    """Reads the graph of `serving_default`.

    Raises:
      BeamfleetError: it is no SavedModel, takes no serialized tf.Examples, gives no numbers, or
        holds operations that reach out to files, network or Python.
    """
    graph = _read_graph(folder)
    functions = {f.signature.name: f for f in graph.graph_def.library.function}
    _check_operations(folder, graph, functions)
    if SIGNATURE not in graph.signature_def:
        raise BeamfleetError(
            f"{folder} has no signature {SIGNATURE!r}, only {sorted(graph.signature_def)}"
        )
    signature = graph.signature_def[SIGNATURE]
    output, width = _output(folder, signature)
    entry = _nodes_behind(graph, signature.outputs[output].name)
    return Program(_parsed(folder, _bodies(entry, functions)), output, width)


def check_program(folder: str) -> None:
    """Refuses a graph that would reach out to files, network or Python.

    Raises:
      BeamfleetError: names the operation.
    """
    graph = _read_graph(folder)
    _check_operations(
        folder, graph, {f.signature.name: f for f in graph.graph_def.library.function}
    )


def _read_graph(folder: str) -> Any:
    # Imported here: TensorFlow takes seconds.
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    with open_file(f"{folder}/{PROGRAM}") as file:
        content = file.read()
    try:
        graphs = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    except DecodeError:
        raise BeamfleetError(f"{folder}/{PROGRAM} is not a SavedModel, or was cut off") from None
    serving = [g for g in graphs if "serve" in g.meta_info_def.tags]
    if len(serving) != 1:
        raise BeamfleetError(f"{folder}: {len(serving)} graphs to serve, expected 1")
    return serving[0]


def _check_operations(folder: str, graph: Any, functions: dict[str, Any]) -> None:
    every = [*graph.graph_def.node, *(n for f in functions.values() for n in f.node_def)]
    found = sorted({node.op for node in every} & _REACHING_OUT)
    if not found:
        run = [
            node
            for signature in graph.signature_def.values()
            for output in signature.outputs.values()
            for body in _bodies(_nodes_behind(graph, output.name), functions)
            for node in body
        ]
        found = sorted({node.op for node in run} & _CHECKPOINTS)
    if found:
        raise BeamfleetError(
            f"{folder}: the graph has the operations {', '.join(found)}, which reach out to files, "
            "network or Python; such a model is not loaded"
        )


def _output(folder: str, signature: Any) -> tuple[str, int]:
    inputs = list(signature.inputs.values())
    if len(inputs) != 1 or inputs[0].dtype != _dtype("string"):
        raise BeamfleetError(
            f"{folder}: the signature {SIGNATURE!r} takes {sorted(signature.inputs)}; expected one "
            "input of serialized tf.Examples (TrainingData.export makes such a model)"
        )
    numbers = {
        name: tensor
        for name, tensor in signature.outputs.items()
        if tensor.dtype in (_dtype("float32"), _dtype("float64"))
    }
    if len(numbers) != 1:
        raise BeamfleetError(
            f"{folder}: the signature {SIGNATURE!r} gives {sorted(signature.outputs)}; expected "
            "one output of floating-point numbers"
        )
    [(name, tensor)] = numbers.items()
    sizes = [dimension.size for dimension in tensor.tensor_shape.dim]
    if tensor.tensor_shape.unknown_rank or len(sizes) not in (1, 2) or -1 in sizes[1:]:
        raise BeamfleetError(f"{folder}: output {name!r} has shape {sizes}, expected (rows, n)")
    return name, sizes[1] if len(sizes) == 2 else 1


def _parsed(folder: str, bodies: Iterable[Sequence[Any]]) -> tuple[tuple[str, str], ...]:
    """The columns that the graph parses out of tf.Examples, sorted."""
    kinds: dict[str, str] = {}
    for body in bodies:
        constants = {node.name: node for node in body if node.op == "Const"}
        for node in body:
            if node.op != "ParseExampleV2":
                continue
            sparse, dense = (_words(constants, node.input[place]) for place in (2, 3))
            types = [*node.attr["sparse_types"].list.type, *node.attr["Tdense"].list.type]
            for name, kind in zip([*sparse, *dense], types, strict=True):
                kinds[name] = _kind(folder, name, kind)
    if not kinds:
        raise BeamfleetError(
            f"{folder}: the signature {SIGNATURE!r} does not parse its tf.Examples (no "
            "ParseExampleV2 in its graph)"
        )
    return tuple(sorted(kinds.items()))


def _nodes_behind(graph: Any, tensor: str) -> list[Any]:
    by_name = {node.name: node for node in graph.graph_def.node}
    waiting, found = [tensor.partition(":")[0]], {}
    while waiting:
        name = waiting.pop().lstrip("^").partition(":")[0]
        if name in by_name and name not in found:
            found[name] = by_name[name]
            waiting.extend(by_name[name].input)
    return list(found.values())


def _bodies(nodes: Sequence[Any], functions: dict[str, Any]) -> list[Sequence[Any]]:
    """The nodes, and the bodies of all functions that they call, however deep."""
    bodies, seen = [nodes], set()
    for body in bodies:  # grows while it is read
        for name in (name for node in body for name in _called(node)):
            if name in functions and name not in seen:
                seen.add(name)
                bodies.append(functions[name].node_def)
    return bodies


def _called(node: Any) -> Iterator[str]:
    for attribute in node.attr.values():
        if attribute.func.name:
            yield attribute.func.name
        yield from (function.name for function in attribute.list.func)


def _words(constants: dict[str, Any], reference: str) -> list[str]:
    node = constants.get(reference.partition(":")[0])
    if node is None:
        raise BeamfleetError("the names of the parsed columns are computed, not constant")
    return [word.decode() for word in node.attr["value"].tensor.string_val]


def _kind(folder: str, name: str, dtype: int) -> str:
    for tensorflow_name, kind in _KINDS.items():
        if dtype == _dtype(tensorflow_name):
            return kind
    raise BeamfleetError(f"{folder}: column {name!r} has a type that no tf.Example has")


def _dtype(name: str) -> int:
    from tensorflow.core.framework import types_pb2

    short = {"string": "DT_STRING", "int64": "DT_INT64", "float32": "DT_FLOAT"}
    return int(types_pb2.DataType.Value(short.get(name, "DT_DOUBLE")))
