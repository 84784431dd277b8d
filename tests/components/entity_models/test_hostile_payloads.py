"""No payload runs code, reads a file, or makes compiled code touch foreign memory."""

import hashlib
import json
import os
import pickle
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from components.entity_models import allowed
from components.entity_models.codecs import decode, encode
from components.entity_models.frame import to_frame
from components.errors import BeamfleetError
from tests.components.entity_models.stores import REGRESSION, SPEC, rows, train

NUMBERS = np.random.default_rng(0).normal(size=(80, 3))
SIGNS = np.where(NUMBERS[:, 0] > 0, "a", "b")


def opened(payload):
    """The JSON head and the bytes of the arrays."""
    content = zlib.decompress(payload)
    [length] = struct.unpack_from("<I", content)
    return json.loads(content[4 : 4 + length]), content[4 + length :]


def closed(head, blobs=b""):
    text = json.dumps(head).encode()
    return zlib.compress(struct.pack("<I", len(text)) + text + blobs)


def refused(payload, message="payload"):
    with pytest.raises(BeamfleetError, match=message):
        decode("sklearn", payload)


class _Reduce:
    def __init__(self, *parts):
        self._parts = parts

    def __reduce__(self):
        return self._parts


@pytest.mark.parametrize(
    "payload",
    [
        pickle.dumps(_Reduce(os.system, ("touch pwned",))),
        pickle.dumps(_Reduce(eval, ("open('pwned', 'w')",))),
        pickle.dumps(DecisionTreeClassifier()),
        b"csklearn.utils\nos.system\n(S'touch pwned'\ntR.",
        b"\x80\x04\x8c\rsklearn.utils\x8c\x09os.system\x93\x8c\x0btouch pwned\x85R.",
        b"cposix\nsystem\n(S'touch pwned'\ntR.",
        b"\x80\x02\x82\x01.",
    ],
)
def test_pickles_are_not_read(payload, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for framework in ("sklearn", "xgboost", "lightgbm", "keras"):
        for wrapped in (
            payload,
            zlib.compress(payload),
            closed(["", [], ["b", len(payload)]], payload),
        ):
            try:
                model = decode(framework, wrapped)
            except BeamfleetError:
                continue
            assert model == payload  # bytes that stay bytes
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "posix.system",
        "builtins.eval",
        "builtins.getattr",
        "sklearn.utils.os.system",
        "sklearn.utils.joblib.Memory",
        "sklearn.externals._packaging",
        "sklearn.feature_extraction.text.CountVectorizer",
        "sklearn.tree._classes.DecisionTreeClassifier.__init__",
        "sklearn.tree._classes",
        "numpy.load",
        "numpy.core.multiarray._reconstruct",
        "components.errors.BeamfleetError",
        "",
        7,
        ["os", "system"],
    ],
)
def test_classes_outside_the_list_are_refused(name):
    refused(closed([allowed.sklearn_version(), [name], ["o", 0, {}]]), "payload")


@pytest.mark.parametrize(
    "node",
    [
        ["u", "load"],
        ["u", "frompyfunc"],
        ["y", "eval"],
        ["Y", "|O"],
        ["D", "|O8"],
        ["a", "|O", [1], "C"],
        ["a", "<f8", [10**15], "C"],
        ["a", "<f8", [2**62, 2**62], "C"],
        ["a", "<f8", [-1], "C"],
        ["a", "<f8", [True], "C"],
        ["a", "<U0", [10**12], "C"],
        ["a", "<U999999999", [1], "C"],
        ["a", "V8,O", [1], "C"],
        ["A", [10**12], []],
        ["A", [2], [1]],
        ["b", 10**12],
        ["b", -1],
        ["o", 0, {}],
        ["o", -1, {}],
        ["m", 1],
        ["m", ["l"], 1],
        ["d", 3],
        ["n", "custom:os.system", 0],
        ["n", "pickle", 0],
        ["?"],
        [],
        [[]],
        {"a": 1},
        ["T", 1, 2, 3],
        ["H", {}],
        ["c", 1],
    ],
)
def test_malformed_nodes_are_refused(node):
    refused(closed(["", [], node]), ".")


def test_bombs_are_refused(monkeypatch):
    refused(closed(["", [], json.loads("[" * 900 + "]" * 900)]))
    deep = b"[" * 1_000_000
    refused(zlib.compress(struct.pack("<I", len(deep)) + deep))
    monkeypatch.setattr("components.entity_models.graph.MAX_PAYLOAD_BYTES", 1_000_000)
    refused(zlib.compress(b"\0" * 50_000_000), "too large")


def test_truncated_extended_and_flipped_payloads_never_crash():
    """In a subprocess, because the failure that this looks for is a segmentation fault."""
    code = "from tests.components.entity_models.test_hostile_payloads import fuzz; fuzz(1000)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-1]) > 100  # mutants that loaded were used for predictions


def fuzz(count, seed=0):
    """Flips, swaps and cuts behind the compression; what loads has to predict or to raise."""
    rng = np.random.default_rng(seed)
    table = rows(60)
    frame = to_frame(table, SPEC)
    forest = RandomForestClassifier(3, max_depth=4, random_state=0)
    tree = DecisionTreeClassifier(random_state=0)
    boosted = HistGradientBoostingRegressor(max_iter=3, max_leaf_nodes=5)
    models = [
        (train(table), frame),
        (forest.fit(NUMBERS, SIGNS), NUMBERS),
        (tree.fit(NUMBERS, SIGNS), NUMBERS),
        (boosted.fit(NUMBERS, NUMBERS[:, 0]), NUMBERS),
        (OneHotEncoder(drop="first").fit(frame[["word", "count"]]), frame[["word", "count"]]),
    ]
    seeds = [(bytearray(zlib.decompress(encode(model)[1])), data) for model, data in models]
    loaded = 0
    for _ in range(count):
        content, data = seeds[rng.integers(len(seeds))]
        mutant = bytearray(content)
        for _ in range(rng.integers(1, 4)):
            place = int(rng.integers(4, len(mutant)))
            mutant[place] = int(rng.choice([0, 1, 255, ord("9"), ord("-"), rng.integers(256)]))
        try:
            model = decode("sklearn", zlib.compress(bytes(mutant), 0))
        except BeamfleetError:
            continue
        loaded += 1
        for method in ("predict", "predict_proba", "transform"):
            try:
                result = getattr(model, method)(data)
                if hasattr(result, "toarray"):
                    result.toarray()
            except Exception:  # any Python error is fine, a crash is not
                continue
    print(loaded)


def tampered_tree(change):
    model = DecisionTreeClassifier(max_depth=3, random_state=0).fit(NUMBERS, SIGNS)
    [version, names, root], blobs = opened(encode(model)[1])
    tree = root[2]["tree_"]
    arrays = {}
    offset = [0]

    def walk(node):
        if isinstance(node, list) and node and node[0] == "a":
            size = np.dtype(node[1]).itemsize * int(np.prod(node[2]))
            arrays[id(node)] = np.frombuffer(blobs[offset[0] : offset[0] + size], node[1]).copy()
            offset[0] += size
        elif isinstance(node, list):
            [walk(item) for item in node]
        elif isinstance(node, dict):
            [walk(item) for item in node.values()]

    walk(root)
    columns = {name: arrays[id(node)] for name, node in tree[5][1].items()}
    change(root, tree, columns)
    return closed([version, names, root], b"".join(a.tobytes() for a in arrays.values()))


def test_an_unchanged_tree_is_accepted():
    decode("sklearn", tampered_tree(lambda root, tree, columns: None)).predict(NUMBERS)


def _put(column, place, value):
    def change(root, tree, columns):
        columns[column][place] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _put("left_child", 0, 10**9),
        _put("left_child", 0, 0),
        _put("left_child", 1, 0),
        _put("right_child", 0, -5),
        _put("right_child", 0, -1),
        _put("feature", 0, 3),
        _put("feature", 0, -2),
        _put("feature", 0, 2**40),
        lambda root, tree, columns: tree.__setitem__(1, 100),
        lambda root, tree, columns: tree.__setitem__(1, 2**40),
        lambda root, tree, columns: tree.__setitem__(3, 7),
        lambda root, tree, columns: tree.__setitem__(4, -1),
        lambda root, tree, columns: root[2].__setitem__("n_features_in_", 1),
        lambda root, tree, columns: root[2].pop("n_features_in_"),
        lambda root, tree, columns: root[2].__setitem__("predict", 1),
        lambda root, tree, columns: root[2].__setitem__("_check_n_features", ["u", "log"]),
        lambda root, tree, columns: root[2].__setitem__("_validate_X_predict", ["y", "str"]),
        lambda root, tree, columns: root[2].__setitem__("__class__", ["y", "str"]),
        lambda root, tree, columns: root[2].__setitem__("memory", "/tmp/cache"),
    ],
)
def test_a_tampered_tree_is_refused(change):
    refused(tampered_tree(change))


def one_hot(**changes):
    words = np.array([["a"], ["b"], ["c"]], dtype=object)
    model = OneHotEncoder(drop="first").fit(words)
    vars(model).update(changes)
    return encode(model)[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"_n_features_outs": [1]},
        {"_n_features_outs": [2, 2]},
        {"_drop_idx_after_grouping": np.array([7], dtype=object)},
        {"_drop_idx_after_grouping": None},
        {"_drop_idx_after_grouping": np.array([0, 0], dtype=object)},
        {"categories_": [np.array([3.0, 1.0, 2.0])]},
        {"categories_": [np.array([["a", "b", "c"]], dtype=object)]},
        {
            "_infrequent_enabled": True,
            "_infrequent_indices": [np.array([1, 2])],
            "_default_to_infrequent_mappings": [np.array([0, 90, 1])],
        },
        {"n_features_in_": 2},
    ],
)
def test_a_tampered_one_hot_encoder_is_refused(changes):
    decode("sklearn", one_hot())
    refused(one_hot(**changes))


def test_other_tampered_models_are_refused():
    forest = RandomForestClassifier(2, random_state=0).fit(NUMBERS, SIGNS)
    forest.n_features_in_ = 2
    refused(encode(forest)[1])
    forest = RandomForestClassifier(2, random_state=0).fit(NUMBERS, SIGNS)
    forest.estimators_[1] = DummyClassifier().fit(NUMBERS, SIGNS)
    refused(encode(forest)[1])
    boosted = HistGradientBoostingRegressor(max_iter=2).fit(NUMBERS, NUMBERS[:, 0])
    boosted.n_features_in_ = 0
    refused(encode(boosted)[1])
    boosted.n_features_in_ = 3
    boosted._predictors[0][0].nodes["left"][0] = 4_000_000
    refused(encode(boosted)[1])


def test_nothing_is_read_from_disk_or_started(monkeypatch):
    """A payload may not ask for threads, and a numpy function is not any function."""
    forest = RandomForestClassifier(2, random_state=0, n_jobs=500).fit(NUMBERS, SIGNS)
    assert decode(*encode(forest)).n_jobs is None
    [version, names, root], blobs = opened(encode(FunctionTransformer(np.log1p))[1])
    root[2]["func"] = ["u", "load"]
    refused(closed([version, names, root], blobs))


def test_another_minor_release_of_sklearn_is_refused():
    [_, names, root], blobs = opened(encode(DummyClassifier().fit(NUMBERS, SIGNS))[1])
    refused(closed(["0.1.0", names, root], blobs), "scikit-learn 0.1.0")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_an_error(payload):
    for wrapped in (payload, zlib.compress(payload)):
        with pytest.raises(BeamfleetError):
            decode("sklearn", wrapped)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**19) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.builds(
            lambda tag, rest: [tag, *rest],
            st.sampled_from(list("ltdmbcaAsyYDuoTHn")),
            st.lists(inner, max_size=4),
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_random_nodes_give_data_or_an_error(node):
    try:
        value = decode("sklearn", closed(["", [], node]))
    except BeamfleetError:
        return
    assert not callable(value) or isinstance(value, (type, np.ufunc))


def digests():
    models = [train(rows(300), spec, depth) for spec in (SPEC, REGRESSION) for depth in (2, None)]
    return [hashlib.sha256(encode(model)[1]).hexdigest() for model in models]


def test_same_bytes_in_every_process():
    here = digests()
    code = f"from {__name__} import digests; print(*digests())"
    there = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "77"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.split() == here
    assert len(set(here)) == 4
