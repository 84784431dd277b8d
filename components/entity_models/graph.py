"""Writes a scikit-learn model as data: JSON for its structure, raw bytes for its arrays.

The payload names classes of a fixed list (`allowed.py`) and gives their attributes; reading it
creates these objects and sets the attributes, and calls nothing that the payload chooses.
"""

import json
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np

from components.entity_models import allowed, checks
from components.entity_models.layout import MAX_PAYLOAD_BYTES
from components.errors import BeamfleetError

_PLAIN = frozenset({str, int, float, bool, type(None)})
_TYPES: dict[str, type] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
    "object": object,
    "number": np.number,
}


def encode(model: object) -> bytes:
    """Gives the bytes of a model; equal models give equal bytes."""
    writer = _Writer()
    root = writer.node(model, type(model).__name__)
    version = allowed.sklearn_version() if writer.classes else ""
    head = json.dumps([version, writer.classes, root], separators=(",", ":"))
    text = head.encode()
    # Level 1: 2.7x smaller for 23 us; level 6 takes 55 us for another 10%.
    return zlib.compress(struct.pack("<I", len(text)) + text + b"".join(writer.blobs), 1)


def decode(payload: bytes) -> object:
    """Inverse of `encode`.

    Raises:
      BeamfleetError: the payload is not one that `encode` writes.
    """
    try:
        content = _decompress(payload)
        [length] = struct.unpack_from("<I", content)
        version, names, root = json.loads(content[4 : 4 + length])
        if names:
            allowed.check_version(version)
        reader = _Reader([allowed.load_class(name) for name in names], content, 4 + length)
        model = reader.node(root)
        reader.finish()
    except BeamfleetError:
        raise
    except Exception as error:  # whatever a hostile payload makes json, numpy or us raise
        raise BeamfleetError(
            f"the model payload was changed ({type(error).__name__}: {error}); restore the artifact"
        ) from error
    return model


def _decompress(payload: bytes) -> bytes:
    stream = zlib.decompressobj()
    content = stream.decompress(payload, MAX_PAYLOAD_BYTES)
    if not stream.eof or stream.unused_data:
        raise ValueError("cut off, or too large")
    return content


class _Writer:
    def __init__(self) -> None:
        self.classes: list[str] = []
        self.blobs: list[bytes] = []
        self._open: set[int] = set()

    def node(self, value: Any, path: str) -> Any:
        if type(value) in _PLAIN:
            return value
        write = _WRITERS.get(type(value))
        if write is None and isinstance(value, np.generic):
            write = _Writer._scalar
        if write is None and isinstance(value, np.dtype):
            write = _Writer._dtype
        if write is None:
            write = _Writer._object
        if id(value) in self._open:
            raise BeamfleetError(f"cannot save the model: {path} contains itself")
        self._open.add(id(value))
        result = write(self, value, path)
        self._open.discard(id(value))
        return result

    def _list(self, value: list[Any], path: str) -> Any:
        return ["l", *self._items(value, path)]

    def _tuple(self, value: tuple[Any, ...], path: str) -> Any:
        return ["t", *self._items(value, path)]

    def _items(self, values: Sequence[Any], path: str) -> Iterator[Any]:
        for i, item in enumerate(values):
            yield item if type(item) in _PLAIN else self.node(item, f"{path}[{i}]")

    def _dict(self, value: dict[Any, Any], path: str) -> Any:
        if all(type(key) is str for key in value):
            return ["d", {key: self.node(item, f"{path}[{key!r}]") for key, item in value.items()}]
        return ["m", *(self.node(x, f"{path} keys") for pair in value.items() for x in pair)]

    def _bytes(self, value: bytes, path: str) -> Any:
        self.blobs.append(value)
        return ["b", len(value)]

    def _slice(self, value: slice, path: str) -> Any:
        return ["c", *(self.node(x, path) for x in (value.start, value.stop, value.step))]

    def _array(self, value: np.ndarray[Any, Any], path: str) -> Any:
        if value.dtype == object:
            return ["A", list(value.shape), list(self._items(value.ravel().tolist(), path))]
        value = value.astype(value.dtype.newbyteorder("<"), copy=False)
        order: Literal["F", "C"] = (
            "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
        )
        code = allowed.dtype_code(value.dtype, path)
        self.blobs.append(value.tobytes(order=order))
        return ["a", code, list(value.shape), order]

    def _scalar(self, value: np.generic, path: str) -> Any:
        return ["s", self._array(np.asarray(value), path)]

    def _type(self, value: type, path: str) -> Any:
        if _TYPES.get(value.__name__) is value:
            return ["y", value.__name__]
        if issubclass(value, np.generic):
            return ["Y", allowed.dtype_code(np.dtype(value), path)]
        raise _unknown(value, path)

    def _dtype(self, value: np.dtype[Any], path: str) -> Any:
        return ["D", "O" if value.hasobject else allowed.dtype_code(value, path)]

    def _ufunc(self, value: np.ufunc, path: str) -> Any:
        if allowed.UFUNCS.get(value.__name__) is not value:
            raise _unknown(value, path)
        return ["u", value.__name__]

    def _random_state(self, value: object, path: str) -> Any:
        return None  # only training draws from it

    def _object(self, value: Any, path: str) -> Any:
        name = f"{type(value).__module__}.{type(value).__qualname__}"
        if name == "sklearn.tree._tree.Tree":
            return self._tree(value, path)
        if name.endswith("_hist_gradient_boosting.predictor.TreePredictor"):
            return self._boosted_tree(value, path)
        if name not in allowed.CLASSES:
            return self._nested(value, path)
        if name not in self.classes:
            self.classes.append(name)
        dropped = allowed.dropped(name)
        # Most attributes are plain: the test saves a call and a path for each of them.
        nodes = {
            key: item if type(item) in _PLAIN else self.node(item, f"{path}.{key}")
            for key, item in vars(value).items()
            if key not in dropped
        }
        return ["o", self.classes.index(name), nodes]

    def _tree(self, tree: Any, path: str) -> Any:
        arguments, state = tree.__reduce__()[1], tree.__getstate__()
        # Column by column: the padding of the node structure holds whatever was in memory.
        parts = (*arguments, state["max_depth"], _columns(state["nodes"]), state["values"])
        return ["T", *(self.node(part, path) for part in parts)]

    def _boosted_tree(self, tree: Any, path: str) -> Any:
        if tree.nodes["is_categorical"].any():
            raise BeamfleetError(
                f"cannot save {path}: it splits by category; encode words before, for example "
                "with OneHotEncoder"
            )
        return ["H", self.node(_columns(tree.nodes), path)]

    def _nested(self, value: Any, path: str) -> Any:
        from components.entity_models import codecs

        if value is None or type(value).__module__.partition(".")[0] in ("sklearn", "builtins"):
            raise _unknown(value, path)
        try:
            framework, payload = codecs.encode(value)
        except BeamfleetError as error:
            raise _unknown(value, path) from error
        self.blobs.append(payload)
        return ["n", framework, len(payload)]


_WRITERS: dict[type, Callable[[_Writer, Any, str], Any]] = {
    list: _Writer._list,
    tuple: _Writer._tuple,
    dict: _Writer._dict,
    bytes: _Writer._bytes,
    slice: _Writer._slice,
    np.ndarray: _Writer._array,
    np.ufunc: _Writer._ufunc,
    type: _Writer._type,
    np.random.RandomState: _Writer._random_state,
}


def _columns(nodes: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    return {name: nodes[name] for name in nodes.dtype.names or ()}


def _unknown(value: object, path: str) -> BeamfleetError:
    kind = value if isinstance(value, type) else type(value)
    return BeamfleetError(
        f"cannot save {path}: a {kind.__module__}.{kind.__qualname__} is not on the list of what "
        "may be loaded (components/entity_models/allowed.py); use another estimator, or subclass "
        "components.entity_models.custom.CustomModel"
    )


class _Reader:
    def __init__(self, classes: list[type], content: bytes, offset: int) -> None:
        self._classes = classes
        self._content = content
        self._offset = offset

    def node(self, node: Any) -> Any:
        if type(node) is not list:
            if type(node) is dict:
                raise ValueError("stray object")
            return node
        return _READERS[node[0]](self, node)

    def finish(self) -> None:
        if self._offset != len(self._content):
            raise ValueError("bytes left over")

    def _take(self, size: int) -> int:
        start = self._offset
        if not 0 <= size <= len(self._content) - start:
            raise ValueError("array larger than the payload")
        self._offset = start + size
        return start

    def _list(self, node: list[Any]) -> list[Any]:
        return [self.node(item) for item in node[1:]]

    def _tuple(self, node: list[Any]) -> tuple[Any, ...]:
        return tuple([self.node(item) for item in node[1:]])

    def _dict(self, node: list[Any]) -> dict[str, Any]:
        return {key: self.node(item) for key, item in node[1].items()}

    def _pairs(self, node: list[Any]) -> dict[Any, Any]:
        values = [self.node(item) for item in node[1:]]
        return dict(zip(values[::2], values[1::2], strict=True))

    def _bytes(self, node: list[Any]) -> bytes:
        start = self._take(node[1])
        return self._content[start : self._offset]

    def _slice(self, node: list[Any]) -> slice:
        _, start, stop, step = node
        return slice(self.node(start), self.node(stop), self.node(step))

    def _array(self, node: list[Any]) -> np.ndarray[Any, Any]:
        _, code, shape, order = node
        dtype = allowed.dtype_of(code)
        size = 1
        for length in shape:
            if type(length) is not int or length < 0:
                raise ValueError("bad shape")
            size *= length
        start = self._take(size * dtype.itemsize)
        flat = np.frombuffer(self._content, dtype, size, start) if size else np.empty(0, dtype)
        return flat.reshape(shape, order=order).copy(order="K")

    def _objects(self, node: list[Any]) -> np.ndarray[Any, Any]:
        _, shape, items = node
        array = np.empty(len(items), dtype=object)
        for i, item in enumerate(items):
            array[i] = self.node(item)
        return array.reshape(shape)

    def _scalar(self, node: list[Any]) -> Any:
        return self._array(node[1])[()]

    def _builtin(self, node: list[Any]) -> type:
        return _TYPES[node[1]]

    def _dtype(self, node: list[Any]) -> np.dtype[Any]:
        return np.dtype(object) if node[1] == "O" else allowed.dtype_of(node[1])

    def _type(self, node: list[Any]) -> type:
        return allowed.dtype_of(node[1]).type

    def _ufunc(self, node: list[Any]) -> np.ufunc:
        return allowed.UFUNCS[node[1]]

    def _object(self, node: list[Any]) -> object:
        _, index, attributes = node
        if type(index) is not int or index < 0:
            raise ValueError("bad class")
        kind = self._classes[index]
        # Most attributes are plain: the test saves a call for each of them.
        state = {k: self.node(v) if type(v) is list else v for k, v in attributes.items()}
        checks.check_state(kind, state)
        instance: Any = object.__new__(kind)
        instance.__dict__.update(state)
        checks.restore(kind, instance)
        return instance

    def _tree(self, node: list[Any]) -> object:
        return checks.make_tree(*(self.node(part) for part in node[1:]))

    def _boosted_tree(self, node: list[Any]) -> object:
        return checks.make_boosted_tree(self.node(node[1]))

    def _nested(self, node: list[Any]) -> object:
        from components.entity_models import codecs

        _, framework, length = node
        start = self._take(length)
        return codecs.decode(framework, self._content[start : start + length])


_READERS: dict[str, Callable[[_Reader, list[Any]], Any]] = {
    "l": _Reader._list,
    "t": _Reader._tuple,
    "d": _Reader._dict,
    "m": _Reader._pairs,
    "b": _Reader._bytes,
    "c": _Reader._slice,
    "a": _Reader._array,
    "A": _Reader._objects,
    "s": _Reader._scalar,
    "y": _Reader._builtin,
    "Y": _Reader._type,
    "u": _Reader._ufunc,
    "o": _Reader._object,
    "T": _Reader._tree,
    "H": _Reader._boosted_tree,
    "D": _Reader._dtype,
    "n": _Reader._nested,
}
