"""A pushed directory of entity models, what they served, and what the labels said later."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from components.entity_models.codecs import encode
from components.entity_models.spec import ModelSpec
from components.entity_models.store import IndexEntry, ShardWriter, commit
from components.feature_monitor.look import Watched
from components.pusher.versions import PushedVersions, Version
from components.served_log import ServedLog
from tests.components.pusher.stores import Constant
from tests.components.served_log.services import FRAUD

CATEGORIES = ("books", "fuel", "grocery", "travel")
SPEC = ModelSpec(("category",), "is_fraud", "classification", (("amount", "double"),), (0, 1))
ACCURACY, AUC, EVALUATED = 0.9, 0.85, 2000
DAY = timedelta(days=1)


def push(root: Path, value: float, categories: Sequence[str] = CATEGORIES, **other: Any) -> Version:
    """A version whose models all are another than those of other values."""
    metrics = json.dumps({"rows": EVALUATED, "accuracy": ACCURACY, "auc": AUC, **other})
    store = root / f"model-{value}"
    writer = ShardWriter(str(store), 0, 1)
    for entity in (*categories, ""):
        framework, payload = encode(Constant(value))
        kind = "entity" if entity else "fallback"
        entry = IndexEntry(
            kind=kind, entity=entity, status="trained", rows=1, framework=framework, metrics=metrics
        )
        writer.add(entry, payload)
    commit(str(store), SPEC, writer.close(), {"entities": len(categories)})
    pushed = PushedVersions(str(root / "pushed"))
    current = pushed.current()
    return pushed.push(str(store), str(store), current.number if current else 0, 9)


def training(seed: int, rows: int = 4000) -> pl.DataFrame:
    """Training rows as the store has them."""
    dice = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "category": dice.choice(CATEGORIES, rows).tolist(),
            "amount": dice.lognormal(3, 1, rows),
            "mean_4h": np.where(dice.random(rows) < 0.2, np.nan, dice.lognormal(3, 1, rows)),
            "count_4h": dice.poisson(2, rows),
        }
    ).with_columns(pl.col("mean_4h").fill_nan(None))


def serve(
    root: Path,
    seed: int,
    *,
    rows: int = 4000,
    accuracy: Mapping[str, float] | None = None,
    scale: Mapping[str, float] | None = None,
    version: int = 1,
    start: datetime | None = None,
    days: int = 5,
) -> pl.DataFrame:
    """Serves rows of all categories and gives their labels, which come a day later.

    Args:
      accuracy: Category -> share of right predictions, where it is not that of the evaluation.
      scale: Category -> factor of the amount.
    """
    dice = np.random.default_rng(seed)
    frame = training(seed + 10_000, rows)
    start = start or datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    times = [start + days * DAY * float(part) for part in np.sort(dice.random(rows))]
    label = (dice.random(rows) < 0.3).astype(int)
    category = frame["category"].to_list()
    right = dice.random(rows) < [(accuracy or {}).get(c, ACCURACY) for c in category]
    prediction = np.where(right, label, 1 - label)
    score = np.clip(dice.normal(0.25 + 0.5 * prediction, 0.12), 0, 1)
    factor = [(scale or {}).get(c, 1.0) for c in category]
    ids = [f"{seed}-{version}-{n}" for n in range(rows)]
    log = pl.DataFrame(
        {
            "request_id": ids,
            "time": times,
            "model_version": str(version),
            "entity": category,
            "prediction": [str(one) for one in prediction],
            "score": score,
            "key.card_id": "c1",
            "request.txn_id": ids,
            "request.amount": frame["amount"].to_numpy() * factor,
            "request.category": category,
            "feature.mean_4h": frame["mean_4h"],
            "feature.count_4h": frame["count_4h"],
        }
    )
    with ServedLog(root, FRAUD) as served:
        served.append(log)
    return pl.DataFrame(
        {"txn_id": ids, "ts": times, "seen": [t + DAY for t in times], "is_fraud": label}
    )


def watched(root: Path, labels: pl.DataFrame | None, reference: pl.DataFrame | None) -> Watched:
    return Watched(FRAUD, root, str(root / "pushed"), labels, reference)
