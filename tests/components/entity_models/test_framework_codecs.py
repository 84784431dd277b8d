"""XGBoost, LightGBM and custom models come back with the same predictions."""

import json
import zlib

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from components.entity_models import graph, lightgbm_codec, xgboost_codec
from components.entity_models.codecs import decode, encode
from components.entity_models.custom import CustomModel
from components.entity_models.prepared import PreparedModel
from components.errors import BeamfleetError

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({"a": RNG.normal(size=200), "b": RNG.normal(size=200)})
VALUE = FRAME["a"] * 2 + RNG.normal(size=200) / 5
CODES = pd.cut(VALUE, 3, labels=False)
WORDS = CODES.map({0: "low", 1: "mid", 2: "high"})


def _xgboost(label, kind=xgboost.XGBClassifier):
    return kind(n_estimators=4, max_depth=3, random_state=0).fit(FRAME, label)


def _lightgbm(label, kind=lightgbm.LGBMClassifier):
    return kind(n_estimators=4, num_leaves=5, verbose=-1, random_state=0).fit(FRAME, label)


@pytest.mark.parametrize(
    "model",
    [
        _xgboost(CODES),
        _xgboost(CODES > 0),
        _xgboost(VALUE, xgboost.XGBRegressor),
        _lightgbm(WORDS),
        _lightgbm(CODES > 0),
        _lightgbm(VALUE, lightgbm.LGBMRegressor),
        make_pipeline(MinMaxScaler(), _xgboost(VALUE, xgboost.XGBRegressor)).fit(FRAME, VALUE),
        make_pipeline(MinMaxScaler(), _lightgbm(WORDS)).fit(FRAME, WORDS),
    ],
    ids=lambda m: type(m).__name__,
)
def test_round_trip(model):
    framework, payload = encode(model)
    loaded = decode(framework, payload)
    np.testing.assert_array_equal(loaded.predict(FRAME), model.predict(FRAME))
    if hasattr(model, "predict_proba"):
        np.testing.assert_array_equal(loaded.predict_proba(FRAME), model.predict_proba(FRAME))
        np.testing.assert_array_equal(loaded.classes_, model.classes_)
    assert encode(model) == (framework, payload)


def test_bare_boosters():
    booster = decode(*encode(_xgboost(VALUE, xgboost.XGBRegressor).get_booster()))
    assert booster.inplace_predict(FRAME).shape == (200,)
    assert decode(*encode(_lightgbm(VALUE, lightgbm.LGBMRegressor).booster_)).num_trees() == 4


def test_prepared_xgboost_speaks_words():
    classes, codes = np.unique(WORDS, return_inverse=True)
    model = decode(*encode(PreparedModel(_xgboost(codes), None, classes)))
    assert set(model.predict(FRAME)) == {"low", "mid", "high"}
    assert (model.predict(FRAME) == WORDS).mean() > 0.8


def test_same_training_gives_same_bytes():
    assert encode(_xgboost(CODES)) == encode(_xgboost(CODES))
    assert encode(_lightgbm(WORDS)) == encode(_lightgbm(WORDS))


TREE = "learner.gradient_booster.model.trees.0"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{TREE}.left_children.0", 9_999_999),
        (f"{TREE}.left_children.0", 0),
        (f"{TREE}.right_children.1", -7),
        (f"{TREE}.split_indices.0", 2),
        (f"{TREE}.split_type.0", 1),
        (f"{TREE}.parents.1", 3),
        (f"{TREE}.split_conditions", [1.0]),
        (f"{TREE}.tree_param.num_nodes", "300"),
        (f"{TREE}.tree_param.num_nodes", " 3"),
        (f"{TREE}.tree_param.size_leaf_vector", "-1"),
        (f"{TREE}.left_children.0", 1.5),
        (f"{TREE}.split_indices.0", 10**30),
        (f"{TREE}.id", 3),
        ("learner.gradient_booster.model", [1]),
        ("learner.gradient_booster.name", "gblinear"),
        ("learner.gradient_booster.model.tree_info.0", 3),
        ("learner.gradient_booster.model.iteration_indptr.1", 900),
        ("learner.learner_model_param.num_feature", "1"),
        ("learner.learner_model_param.base_score", "[0.1,0.2]"),
        ("learner.objective.name", "no such"),
    ],
)
def test_a_tampered_xgboost_model_is_refused(path, value):
    parts = graph.decode(encode(_xgboost(CODES))[1])
    content = json.loads(parts["model"])
    node, *steps = content, *path.split(".")
    for step in steps[:-1]:
        node = node[int(step) if isinstance(node, list) else step]
    node[int(steps[-1]) if isinstance(node, list) else steps[-1]] = value
    with pytest.raises(BeamfleetError, match="was changed"):
        xgboost_codec.decode(graph.encode({**parts, "model": json.dumps(content).encode()}))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\nleft_child=", "\nleft_child=77 "),
        ("\nleft_child=1", "\nleft_child=0"),
        ("\nleft_child=1", "\nleft_child=5"),
        ("\nleft_child=1", "\nleft_child=\u0661"),
        ("\nnum_leaves=5", "\nnum_leaves=\t1"),
        ("\nshrinkage=", "\nshrinkage=1_"),
        ("objective=multiclass num_class:3", "objective=multiclass num_class:300"),
        ("\nmax_feature_idx=1", "\nmax_feature_idx=1\nmax_feature_idx=1"),
        ("\nright_child=", "\nright_child=-99 "),
        ("\nsplit_feature=0", "\nsplit_feature=5"),
        ("\ndecision_type=2", "\ndecision_type=3"),
        ("\nnum_cat=0", "\nnum_cat=1"),
        ("\nis_linear=0", "\nis_linear=1"),
        ("\nnum_leaves=5", "\nnum_leaves=500"),
        ("\nmax_feature_idx=1", "\nmax_feature_idx=0"),
        ("\nnum_class=3", "\nnum_class=1"),
        ("\nlabel_index=0", "\ntree_sizes=5 5"),
        ("Tree=1", "Tree=7"),
        ("objective=multiclass", "objective=nosuch"),
        ("tree\n", "graph\n"),
    ],
)
def test_a_tampered_lightgbm_model_is_refused(old, new):
    parts = graph.decode(encode(_lightgbm(WORDS))[1])
    assert old in parts["model"]
    changed = {**parts, "model": parts["model"].replace(old, new, 1)}
    with pytest.raises(BeamfleetError, match="was changed"):
        lightgbm_codec.decode(graph.encode(changed))


@pytest.mark.parametrize("codec", [xgboost_codec, lightgbm_codec])
@pytest.mark.parametrize("model", [None, 7, [], b"\xff", "[" * 100_000])
def test_a_payload_without_a_model_is_refused(codec, model):
    with pytest.raises(BeamfleetError, match="was changed"):
        codec.decode(graph.encode({"kind": "Booster", "model": model}))


class Mean(CustomModel):
    def __init__(self, value):
        self.value = value

    def predict(self, features):
        return np.full(len(features), self.value)

    def save(self):
        return json.dumps(self.value).encode()

    @classmethod
    def load(cls, payload):
        return cls(json.loads(payload))


def test_custom_model():
    framework, payload = encode(Mean(2.5))
    assert framework == f"custom:{__name__}.Mean"
    assert decode(framework, payload).value == 2.5
    pipeline = decode(*encode(make_pipeline(MinMaxScaler().fit(FRAME), Mean(1.0))))
    assert pipeline.predict(FRAME).tolist() == [1.0] * 200


@pytest.mark.parametrize(
    "framework",
    [
        "custom:os.system",
        "custom:subprocess.Popen",
        "custom:pickle.Unpickler",
        "custom:joblib.Memory",
        "custom:components.entity_models.custom.CustomModel",
        "custom:no.such.Class",
        "custom:Mean",
        "custom:",
        "pickle",
        "",
    ],
)
def test_a_framework_names_nothing_but_models(framework):
    with pytest.raises(BeamfleetError):
        decode(framework, b"cos\nsystem\n(S'true'\ntR.")


def test_payload_of_another_framework_is_refused():
    for framework in ("sklearn", "xgboost", "lightgbm"):
        for payload in (b"", b"{}", zlib.compress(b""), zlib.compress(b"\x01\0\0\0[")):
            with pytest.raises(BeamfleetError):
                decode(framework, payload)
