"""Small stores of entity models for the tests of serving."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from sklearn.compose import make_column_transformer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

from components.entity_models.codecs import encode
from components.entity_models.layout import HEADER
from components.entity_models.spec import ModelSpec
from components.entity_models.store import IndexEntry, ShardWriter, commit

SPEC = ModelSpec(
    entity_columns=("education",),
    label="income",
    task="classification",
    features=(("age", "int64"), ("workclass", "string"), ("hours", "double")),
    classes=("<=50K", ">50K"),
)
ENTITIES = ("Bachelors", "HS-grad", "Masters")


def rows(count: int = 300, seed: int = 0) -> pa.Table:
    """Census-like rows with the label; a few values are missing where the model takes that."""
    random = np.random.default_rng(seed)
    age = random.integers(17, 90, count)
    hours = random.uniform(1, 99, count)
    rich = age + hours + random.normal(0, 20, count) > 100
    return pa.table(
        {
            "education": random.choice(ENTITIES, count).tolist(),
            "age": age,
            "workclass": random.choice(["Private", "State-gov", "Ünï'c\"ode"], count).tolist(),
            "hours": hours,
            "income": np.where(rich, ">50K", "<=50K").tolist(),
        }
    )


def tree(seed: int = 0) -> Pipeline:
    data = rows(200, seed).to_pandas()
    columns = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["workclass"]), (MinMaxScaler(), ["age", "hours"])
    )
    model = make_pipeline(columns, DecisionTreeClassifier(max_depth=5, random_state=seed))
    features = data[[name for name, _ in SPEC.features]].astype({"workclass": object})
    return model.fit(features, data["income"])


def write_store(
    uri: Path | str, models: dict[str, object], fallback: object | None, spec: ModelSpec = SPEC
) -> str:
    """Writes a store with one shard and gives its uri."""
    writer = ShardWriter(str(uri), 0, 1)
    every = [("entity", name, model) for name, model in models.items()]
    if fallback is not None:
        every.append(("fallback", "", fallback))
    for kind, entity, model in every:
        framework, payload = encode(model)
        entry = IndexEntry(
            kind=kind, entity=entity, status="trained", rows=200, framework=framework
        )
        writer.add(entry, payload)
    commit(str(uri), spec, writer.close(), {"entities_trained": len(models)})
    return str(uri)


def census_store(uri: Path | str, seed: int = 0) -> str:
    models = {name: tree(seed + place) for place, name in enumerate(ENTITIES)}
    return write_store(uri, models, tree(seed + 100))


def tamper(uri: str) -> None:
    """Flips the first byte of the first model in the only shard, not of the fallback."""
    [shard] = Path(uri, "shards").iterdir()
    content = bytearray(shard.read_bytes())
    content[len(HEADER)] ^= 1
    shard.write_bytes(content)
