"""XGBoost models as XGBoost's own JSON, whose trees are checked before XGBoost reads them."""

import json
import re
from typing import Any

import numpy as np

from components.entity_models import graph
from components.entity_models.checks import check_walk
from components.errors import BeamfleetError

_WRAPPERS = ("XGBClassifier", "XGBRFClassifier", "XGBRegressor", "XGBRFRegressor")
_MAX_FEATURES = 1_000_000
_MAX_CLASSES = 100_000


def encode(model: Any) -> bytes:
    """Gives the bytes of a Booster or of a scikit-learn wrapper with a `gbtree` booster.

    Raises:
      BeamfleetError: the model is of another kind, or splits by category.
    """
    kind = type(model).__name__
    if kind not in (*_WRAPPERS, "Booster"):
        raise BeamfleetError(f"cannot save an xgboost.{kind}; expected one of {_WRAPPERS}")
    booster = model if kind == "Booster" else model.get_booster()
    content = bytes(booster.save_raw("json"))
    try:
        _check(json.loads(content))
    except (KeyError, ValueError) as error:
        raise BeamfleetError(
            f"cannot save this XGBoost model ({error}): only tree boosters that split by number "
            "are supported; encode words before"
        ) from error
    return graph.encode(
        {"kind": kind, "missing": getattr(model, "missing", None), "model": content}
    )


def decode(payload: bytes) -> object:
    """Inverse of `encode`; predicts on one thread, because one entity is small."""
    import xgboost

    parts: Any = graph.decode(payload)
    try:
        _check(json.loads(parts["model"]))
        if parts["kind"] == "Booster":
            model = xgboost.Booster({"nthread": 1})
        elif parts["kind"] in _WRAPPERS:
            model = getattr(xgboost, parts["kind"])(missing=float(parts["missing"]), n_jobs=1)
        else:
            raise ValueError("kind")
        model.load_model(bytearray(parts["model"]))
    except Exception as error:  # whatever a hostile payload makes json, numpy or XGBoost raise
        raise BeamfleetError(
            f"the XGBoost payload was changed ({type(error).__name__}: {error}); restore the "
            "artifact"
        ) from error
    return model


def _check(content: Any) -> None:
    """XGBoost follows the child and feature numbers of a file without looking."""
    learner = content["learner"]
    shape, booster = learner["learner_model_param"], learner["gradient_booster"]
    features, classes = _whole(shape["num_feature"]), max(_whole(shape["num_class"]), 1)
    if booster["name"] != "gbtree" or _whole(shape["num_target"]) != 1:
        raise ValueError(f"booster {booster['name']}")
    if not (1 <= features <= _MAX_FEATURES and classes <= _MAX_CLASSES):
        raise ValueError("number of features or classes")
    names = learner.get("feature_names", [])
    if names and len(names) != features:
        raise ValueError("feature names")
    if len(json.loads(shape["base_score"])) not in (1, classes):
        raise ValueError("base score")
    _check_forest(booster["model"], features, classes)


def _check_forest(forest: Any, features: int, classes: int) -> None:
    trees, groups = forest["trees"], np.array(forest["tree_info"], dtype=np.int64)
    rounds = np.array(forest["iteration_indptr"], dtype=np.int64)
    if _whole(forest["gbtree_model_param"]["num_trees"]) != len(trees) or len(groups) != len(trees):
        raise ValueError("number of trees")
    if len(trees) and not (0 <= groups.min() <= groups.max() < classes):
        raise ValueError("tree classes")
    if rounds[0] != 0 or rounds[-1] != len(trees) or (np.diff(rounds) < 0).any():
        raise ValueError("rounds")
    if forest.get("cats", {}).get("enc"):
        raise ValueError("native categories")
    for place, tree in enumerate(trees):
        if tree["id"] != place:
            raise ValueError("tree id")
        _check_tree(tree, features)


def _check_tree(tree: Any, features: int) -> None:
    shape = tree["tree_param"]
    count = _whole(shape["num_nodes"])
    if count < 1 or _whole(shape["num_deleted"]) or _whole(shape["size_leaf_vector"]) > 1:
        raise ValueError("tree shape")
    if _whole(shape["num_feature"]) != features or any(map(len, _categories(tree))):
        raise ValueError("tree features or native categories")
    columns = {name: np.array(tree[name]) for name in _NODE_COLUMNS}
    if any(column.shape != (count,) for column in columns.values()):
        raise ValueError("tree nodes")
    if any(columns[name].dtype.kind != "i" for name in _INDEX_COLUMNS):
        raise ValueError("tree indices")
    left, right = columns["left_children"], columns["right_children"]
    inner = left != -1
    if columns["split_type"].any() or (inner != (right != -1)).any():
        raise ValueError("native categories or half a node")
    check_walk(left, right, columns["split_indices"], inner, features)
    parents = np.full(count, 2**31 - 1)
    parents[left[inner]] = parents[right[inner]] = np.flatnonzero(inner)
    if (columns["parents"] != parents).any():
        raise ValueError("tree parents")


_INDEX_COLUMNS = ("left_children", "right_children", "parents", "split_indices")
_NODE_COLUMNS = (
    *_INDEX_COLUMNS,
    "split_conditions",
    "split_type",
    "default_left",
    "base_weights",
    "loss_changes",
    "sum_hessian",
)


def _whole(text: str) -> int:
    """XGBoost reads digits only: no sign, space or underscore, as `int` would."""
    if not re.fullmatch("[0-9]{1,10}", text):
        raise ValueError(f"number {text!r}")
    return int(text)


def _categories(tree: Any) -> list[Any]:
    return [tree[f"categories{end}"] for end in ("", "_nodes", "_segments", "_sizes")]
