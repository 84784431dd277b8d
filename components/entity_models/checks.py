"""Checks what compiled code trusts, so that a changed file is an error and never a crash."""

from typing import Any

import numpy as np


def check_state(kind: type, state: dict[str, Any]) -> None:
    """Refuses attributes with which an estimator would do more than compute.

    Raises:
      ValueError: an attribute is not what fitting leaves.
    """
    if any(key.startswith("__") for key in state):
        raise ValueError("special attribute")
    if state.get("memory") is not None:
        raise ValueError("a cache folder")  # joblib would unpickle what lies there
    if "n_jobs" in state:
        state["n_jobs"] = None  # one entity is small; a payload must not start threads
    if "tree_" in state and state.get("n_features_in_") != state["tree_"].n_features:
        raise ValueError("number of features")
    if kind.__module__ == "sklearn.ensemble._forest" and "estimators_" in state:
        counts = {tree.n_features_in_ for tree in state["estimators_"]}
        if counts != {state["n_features_in_"]}:
            raise ValueError("number of features")


def make_tree(
    features: Any,
    classes: np.ndarray[Any, Any],
    outputs: Any,
    max_depth: Any,
    columns: dict[str, np.ndarray[Any, Any]],
    values: np.ndarray[Any, Any],
) -> object:
    """Builds scikit-learn's Tree from checked arrays.

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
    nodes = np.zeros(count, NODE_DTYPE)
    for name in NODE_DTYPE.names:
        if columns[name].shape != (count,) or columns[name].dtype != NODE_DTYPE[name]:
            raise ValueError("tree nodes")
        nodes[name] = columns[name]
    left, right, feature = nodes["left_child"], nodes["right_child"], nodes["feature"]
    inner = left != -1
    own = np.arange(count)[inner]
    # Children come after their parent, so every walk ends.
    for child in (left[inner], right[inner]):
        if not ((child > own).all() and (child < count).all()):
            raise ValueError("tree children")
    if not ((feature[inner] >= 0).all() and (feature[inner] < features).all()):
        raise ValueError("tree features")
    tree = Tree(int(features), classes, int(outputs))
    state = {"max_depth": max_depth, "node_count": count, "nodes": nodes, "values": values}
    tree.__setstate__(state)
    return tree
