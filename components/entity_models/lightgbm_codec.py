"""LightGBM models as LightGBM's own text, whose trees are checked before LightGBM reads them."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from components.entity_models import graph
from components.entity_models.checks import check_walk
from components.errors import BeamfleetError

_WRAPPERS = ("LGBMClassifier", "LGBMRegressor")
_HEAD_KEYS = frozenset(
    {"version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx"}
    | {"objective", "feature_names", "feature_infos", "monotone_constraints", "average_output"}
)
_INNER_KEYS = (
    "split_feature",
    "split_gain",
    "threshold",
    "decision_type",
    "left_child",
    "right_child",
    "internal_value",
    "internal_weight",
    "internal_count",
)
_WHOLE_KEYS = frozenset(
    {"num_leaves", "num_cat", "is_linear", "split_feature", "decision_type"}
    | {"left_child", "right_child"}
)
_LEAF_KEYS = ("leaf_value", "leaf_weight", "leaf_count")


def encode(model: Any) -> bytes:
    """Gives the bytes of a Booster or of a scikit-learn wrapper.

    Raises:
      BeamfleetError: the model is of another kind, or splits by category.
    """
    kind = type(model).__name__
    if kind not in (*_WRAPPERS, "Booster"):
        raise BeamfleetError(f"cannot save a lightgbm.{kind}; expected one of {_WRAPPERS}")
    text = (model if kind == "Booster" else model.booster_).model_to_string()
    text = _without_training(text)
    try:
        _check(text)
    except (KeyError, ValueError) as error:
        raise BeamfleetError(
            f"cannot save this LightGBM model ({error}): only trees that split by number are "
            "supported; encode words before"
        ) from error
    wrapper = {name: getattr(model, name) for name in _FITTED} if kind in _WRAPPERS else {}
    classes = np.asarray(model.classes_) if kind == "LGBMClassifier" else None
    return graph.encode({"kind": kind, "model": text, "fitted": wrapper, "classes": classes})


def decode(payload: bytes) -> object:
    """Inverse of `encode`; predicts on one thread, because one entity is small."""
    import lightgbm

    parts: Any = graph.decode(payload)
    try:
        _check(parts["model"])
        booster = lightgbm.Booster(model_str=parts["model"])
        booster.params["num_threads"] = 1
        if parts["kind"] == "Booster":
            return booster
        if parts["kind"] not in _WRAPPERS:
            raise ValueError("kind")
        return _wrap(lightgbm, booster, parts)
    except Exception as error:  # whatever a hostile payload makes us or LightGBM raise
        raise BeamfleetError(
            f"the LightGBM payload was changed ({type(error).__name__}: {error}); restore the "
            "artifact"
        ) from error


_FITTED = ("_best_iteration", "_objective", "_fitted_with_feature_names")


def _wrap(lightgbm: Any, booster: Any, parts: Any) -> object:
    """Sets what `fit` of LightGBM's scikit-learn wrapper leaves and prediction reads."""
    fitted = {name: parts["fitted"][name] for name in _FITTED}
    if type(fitted["_objective"]) is not str:
        raise ValueError("objective")
    model = getattr(lightgbm, parts["kind"])(n_jobs=1)
    vars(model).update(fitted)
    model._Booster = booster
    model._n_features = model._n_features_in = booster.num_feature()
    model.fitted_ = True
    if parts["kind"] == "LGBMClassifier":
        model._classes = parts["classes"]
        model._n_classes = len(model._classes)
        if max(model._n_classes, 2) != max(booster.num_model_per_iteration(), 2):
            raise ValueError("classes")
        model._le = lightgbm.compat._LGBMLabelEncoder().fit(model._classes)
    return model


def _without_training(text: str) -> str:
    """Leaves out the sizes, which would be trusted as offsets, and the training parameters."""
    model = text[: text.index("end of trees")] + "end of trees\n"
    lines = [line for line in model.split("\n") if not line.startswith("tree_sizes=")]
    return "\n".join(lines)


def _check(text: str) -> None:
    """LightGBM follows the child and feature numbers of a file without looking."""
    blocks = [block for block in text.split("\n\n") if block.strip()]
    head_lines = blocks[0].strip().split("\n")
    head = dict(line.partition("=")[::2] for line in head_lines[1:])
    if (
        head_lines[0] != "tree"
        or len(head) != len(head_lines) - 1
        or not head.keys() <= _HEAD_KEYS
        or blocks[-1].strip() != "end of trees"
    ):
        raise ValueError("head")
    features = _whole(head["max_feature_idx"]) + 1
    if {len(head[name].split(" ")) for name in ("feature_names", "feature_infos")} != {features}:
        raise ValueError("number of features")
    classes = _whole(head["num_class"])
    if not 1 <= classes == _whole(head["num_tree_per_iteration"]) <= 100_000:
        raise ValueError("number of classes")
    _check_objective(head.get("objective", ""), classes)
    trees = blocks[1:-1]
    if len(trees) % classes:
        raise ValueError("number of trees")
    for place, block in enumerate(trees):
        _check_tree(place, block, features)


def _check_objective(objective: str, classes: int) -> None:
    """The objective writes as many probabilities as it says itself."""
    for word in objective.split(" "):
        if "num_class" in word and word != f"num_class:{classes}":
            raise ValueError("number of classes")


def _check_tree(place: int, block: str, features: int) -> None:
    lines = block.strip().split("\n")
    tree = dict(line.partition("=")[::2] for line in lines)
    if lines[0] != f"Tree={place}" or len(tree) != len(lines):
        raise ValueError("tree order")
    allowed = {"Tree", "num_leaves", "num_cat", "is_linear", "shrinkage"}
    if not tree.keys() <= allowed | {*_INNER_KEYS, *_LEAF_KEYS}:
        raise ValueError("tree fields")
    for name, text in tree.items():
        # Python takes more for a number than LightGBM: "\t1", "1_0", digits of any script.
        if not re.fullmatch("[-0-9 ]+" if name in _WHOLE_KEYS else "[-+.0-9aefin ]+", text):
            raise ValueError(name)
    leaves = _whole(tree["num_leaves"])
    if leaves < 1 or _whole(tree["num_cat"]) or _whole(tree["is_linear"]):
        raise ValueError("native categories or linear leaves")
    float(tree["shrinkage"])
    for name, length in _lengths(leaves):
        if leaves > 1 and len(_numbers(tree[name])) != length:
            raise ValueError(name)
    if leaves > 1:
        _check_nodes(tree, leaves, features)


def _lengths(leaves: int) -> Iterator[tuple[str, int]]:
    yield from ((name, leaves) for name in _LEAF_KEYS)
    yield from ((name, leaves - 1) for name in _INNER_KEYS)


def _check_nodes(tree: dict[str, str], leaves: int, features: int) -> None:
    left, right, split, decision = (
        np.array(tree[name].split(" "), dtype=np.int64)
        for name in ("left_child", "right_child", "split_feature", "decision_type")
    )
    if (decision & 1).any():
        raise ValueError("native categories")
    if max(left.max(), right.max()) >= leaves - 1:
        raise ValueError("tree children")
    # A leaf is the complement of its number: put the leaves behind the inner nodes.
    inner = np.arange(2 * leaves - 1) < leaves - 1
    none = np.zeros(leaves, dtype=np.int64)
    left, right = (np.where(child < 0, leaves - 1 + ~child, child) for child in (left, right))
    check_walk(
        np.append(left, none), np.append(right, none), np.append(split, none), inner, features
    )


def _whole(text: str) -> int:
    if not re.fullmatch("[0-9]{1,10}", text):
        raise ValueError(f"number {text!r}")
    return int(text)


def _numbers(text: str) -> np.ndarray[Any, Any]:
    return np.array(text.split(" "), dtype=np.float64)
