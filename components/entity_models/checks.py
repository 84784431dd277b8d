"""Checks what compiled code trusts, so that a changed file is an error and never a crash.

scikit-learn checks its input, not its own fitted attributes: a node that points outside the tree,
or a one-hot column beyond the declared width, would read or write foreign memory.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]
_State = dict[str, Any]


def check_state(kind: type, state: _State) -> None:
    """Refuses attributes with which an estimator would do more than compute.

    Raises:
      ValueError: an attribute is not what fitting leaves.
    """
    hidden = state.keys() & _class_attributes(kind)
    if hidden:
        raise ValueError(f"attributes {sorted(hidden)} hide those of the class")
    if state.get("memory") is not None:
        raise ValueError("a cache folder")  # joblib would unpickle what lies there
    if "n_jobs" in state:
        state["n_jobs"] = None  # one entity is small; a payload must not start threads
    check = _CHECKS.get(kind.__name__)
    if check:
        check(state)


def restore(kind: type, instance: Any) -> None:
    """Makes what is not stored because it follows from the rest."""
    if kind.__name__.startswith("HistGradientBoosting") and hasattr(instance, "_predictors"):
        instance._loss = instance._get_loss(sample_weight=None)


def make_tree(
    features: Any,
    classes: _Array,
    outputs: Any,
    max_depth: Any,
    columns: Mapping[str, _Array],
    values: _Array,
) -> object:
    """Builds scikit-learn's Tree from checked arrays.

    Args:
      features: number of features that the tree splits on.
      classes: (outputs,) number of classes, 1 for regression.
      outputs: number of labels.
      max_depth: depth of the deepest leaf.
      columns: (nodes,) for each field of scikit-learn's node.
      values: (nodes, outputs, classes) float64.

    Raises:
      ValueError: an index points outside, or a walk might not end.
    """
    from sklearn.tree._tree import NODE_DTYPE, Tree

    if not (1 <= features < 2**31 and 1 <= outputs < 2**16 and 0 <= max_depth < 2**31):
        raise ValueError("tree size")
    if classes.shape != (outputs,) or classes.dtype != np.intp or classes.min() < 1:
        raise ValueError("tree classes")
    count = len(values)
    if values.dtype != np.float64 or values.shape != (count, outputs, classes.max()) or not count:
        raise ValueError("tree values")
    nodes = _records(NODE_DTYPE, columns, count)
    inner = nodes["left_child"] != -1
    check_walk(nodes["left_child"], nodes["right_child"], nodes["feature"], inner, features)
    tree = Tree(int(features), classes, int(outputs))
    state = {
        "max_depth": int(max_depth),
        "node_count": count,
        "nodes": nodes,
        "values": np.ascontiguousarray(values),
    }
    tree.__setstate__(state)
    return tree


def make_boosted_tree(columns: Mapping[str, _Array]) -> object:
    """Builds one tree of histogram gradient boosting from checked (nodes,) columns.

    `check_state` of the estimator compares its features with those of the data.


    Raises:
      ValueError: an index points outside, or a split is by category.
    """
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

    count = len(columns["value"])
    if not count:
        raise ValueError("tree size")
    nodes = _records(PREDICTOR_RECORD_DTYPE, columns, count)
    inner = nodes["is_leaf"] == 0
    check_walk(nodes["left"], nodes["right"], nodes["feature_idx"], inner, 2**31)
    if nodes["is_categorical"].any():
        raise ValueError("a split by category")
    bitsets = np.zeros((0, 8), dtype=np.uint32)
    return TreePredictor(nodes, bitsets, bitsets.copy())


def check_walk(left: _Array, right: _Array, feature: _Array, inner: _Array, features: int) -> None:
    """Makes sure that each walk through a tree stays inside it and ends.

    Args:
      left: (nodes,) index of the left child.
      right: (nodes,) index of the right child.
      feature: (nodes,) what the node splits on.
      inner: (nodes,) whether it has children at all.
      features: number of features.

    Raises:
      ValueError: a child lies outside or before its parent, or a feature outside.
    """
    own = np.flatnonzero(inner)
    for child in (left[inner].astype(np.int64), right[inner].astype(np.int64)):
        if not ((child > own).all() and (child < len(inner)).all()):
            raise ValueError("tree children")
    if not ((feature[inner] >= 0).all() and (feature[inner] < features).all()):
        raise ValueError("tree features")


def _records(dtype: np.dtype[Any], columns: Mapping[str, _Array], count: int) -> _Array:
    records = np.zeros(count, dtype)
    for name in dtype.names or ():
        if columns[name].shape != (count,) or columns[name].dtype != dtype[name]:
            raise ValueError("tree nodes")
        records[name] = columns[name]
    return records


@cache
def _class_attributes(kind: type) -> frozenset[str]:
    return frozenset(dir(kind)) | {"__class__", "__dict__"}


def _check_decision_tree(state: _State) -> None:
    from sklearn.tree._tree import Tree

    if "tree_" in state and (
        type(state["tree_"]) is not Tree or state["n_features_in_"] != state["tree_"].n_features
    ):
        raise ValueError("number of features")


def _check_forest(state: _State) -> None:
    for tree in state.get("estimators_", ()):
        if type(tree).__module__ != "sklearn.tree._classes" or (
            tree.n_features_in_ != state["n_features_in_"]
        ):
            raise ValueError("number of features")


def _check_boosting(state: _State) -> None:
    """Words have to be encoded before: splits by category read bit sets by index."""
    if "_in_fit" in state or state.get("_preprocessor") is not None:
        raise ValueError("native categories")
    trees = [tree for stage in state.get("_predictors", ()) for tree in stage]
    for tree in trees:
        if type(tree).__name__ != "TreePredictor":
            raise ValueError("boosted trees")
        if tree.nodes["feature_idx"].max() >= state["n_features_in_"]:
            raise ValueError("number of features")


def _check_bin_mapper(state: _State) -> None:
    if state["is_categorical_"].any():
        raise ValueError("native categories")


def _check_dummy(state: _State) -> None:
    if state.get("sparse_output_"):
        raise ValueError("sparse output")


def _check_one_hot(state: _State) -> None:
    """The sparse result takes column numbers and width unchecked."""
    if "categories_" not in state:
        return
    widths = [_category_count(values) for values in state["categories_"]]
    if state["_infrequent_enabled"]:
        mappings = state["_default_to_infrequent_mappings"]
        pairs = zip(widths, state["_infrequent_indices"], mappings, strict=True)
        widths = [_grouped_count(*triple) for triple in pairs]
    dropped = state["_drop_idx_after_grouping"]
    if dropped is not None:
        for i, place in enumerate(_same_length(dropped, widths)):
            if place is not None:
                if not 0 <= int(place) < widths[i]:
                    raise ValueError("one-hot drop")
                widths[i] -= 1
    if list(state["_n_features_outs"]) != widths or state["n_features_in_"] != len(widths):
        raise ValueError("one-hot width")


def _category_count(values: _Array) -> int:
    if values.ndim != 1:
        raise ValueError("categories")
    if values.dtype != object and not (values[1:] > values[:-1])[: _real(values)].all():
        raise ValueError("categories must rise")  # searched by bisection
    return len(values)


def _real(values: _Array) -> int:
    """How many neighbours to compare: a NaN, which is sorted last, compares as False."""
    last_is_nan = len(values) and values.dtype.kind == "f" and np.isnan(values[-1])
    return max(len(values) - 1 - int(bool(last_is_nan)), 0)


def _grouped_count(width: int, rare: _Array | None, mapping: _Array | None) -> int:
    if rare is None or mapping is None:
        if rare is not None or mapping is not None:
            raise ValueError("rare categories")
        return width
    grouped = width - len(rare) + 1
    if not len(rare) or mapping.shape != (width,) or not (0 <= rare.min() <= rare.max() < width):
        raise ValueError("rare categories")
    if mapping.dtype.kind != "i" or not (0 <= mapping.min() <= mapping.max() < grouped):
        raise ValueError("rare categories")
    return grouped


def _same_length(values: Any, others: list[int]) -> Any:
    if len(values) != len(others):
        raise ValueError("one-hot drop")
    return values


_CHECKS: dict[str, Callable[[_State], None]] = {
    "DecisionTreeClassifier": _check_decision_tree,
    "DecisionTreeRegressor": _check_decision_tree,
    "ExtraTreeClassifier": _check_decision_tree,
    "ExtraTreeRegressor": _check_decision_tree,
    "RandomForestClassifier": _check_forest,
    "RandomForestRegressor": _check_forest,
    "ExtraTreesClassifier": _check_forest,
    "ExtraTreesRegressor": _check_forest,
    "HistGradientBoostingClassifier": _check_boosting,
    "HistGradientBoostingRegressor": _check_boosting,
    "_BinMapper": _check_bin_mapper,
    "DummyClassifier": _check_dummy,
    "DummyRegressor": _check_dummy,
    "OneHotEncoder": _check_one_hot,
}
