"""Small stores for the tests."""

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from components.entity_models.codecs import encode
from components.entity_models.frame import to_frame
from components.entity_models.spec import ModelSpec
from components.entity_models.store import IndexEntry, ShardWriter, commit

FEATURES = (("word", "string"), ("count", "int64"), ("size", "double"))
SPEC = ModelSpec(("place",), "label", "classification", FEATURES, ("no", "yes"))
REGRESSION = ModelSpec(("place",), "label", "regression", FEATURES)
PLACES = ("Ärger", "../../etc/passwd", "a\x00b", "名前", "plain", " ", "C:\\x", "x" * 300)


def rows(count, seed=0, places=PLACES):
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "place": pa.array(rng.choice(np.array(places, dtype=object), count), pa.string()),
            "word": pa.array(rng.choice(np.array(["a", "b", "c"], dtype=object), count)),
            "count": rng.integers(0, 9, count),
            "size": rng.normal(size=count),
            "label": pa.array(rng.choice(np.array(["no", "yes"], dtype=object), count)),
        }
    )


def train(table, spec=SPEC, depth=3):
    kind = DecisionTreeClassifier if spec.task == "classification" else DecisionTreeRegressor
    model = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), ["word"]),
            (MinMaxScaler(), ["count", "size"]),
        ),
        kind(max_depth=depth, random_state=0),
    )
    label = table["size"] if spec.task == "regression" else table["label"]
    return model.fit(to_frame(table, spec), pd.Series(label.to_pandas()))


def write(uri, models, spec=SPEC, fallback=None, others=(), shards=3):
    """Writes (entity, model) pairs, the fallback and entries without model into a store."""
    writers = [ShardWriter(uri, shard, shards) for shard in range(shards)]
    for i, (entity, model) in enumerate(models):
        framework, payload = encode(model)
        entry = IndexEntry(
            kind="entity", entity=entity, status="trained", rows=1, framework=framework
        )
        writers[i % shards].add(entry, payload)
    for entity, status in others:
        entry = IndexEntry(kind="entity", entity=entity, status=status, rows=1, reason="why")
        writers[0].add(entry, b"")
    if fallback is not None:
        framework, payload = encode(fallback)
        entry = IndexEntry(
            kind="fallback", entity="", status="trained", rows=1, framework=framework
        )
        writers[0].add(entry, payload)
    entries = [entry for writer in writers for entry in writer.close()]
    commit(uri, spec, entries, {"entities": len(entries)})
    return uri
