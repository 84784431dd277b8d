"""Examples are what a slow look at each label says, and every label is accounted for."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from components.errors import BeamfleetError
from components.feature_computer.compute import compute
from components.feature_computer.declared import moment
from components.feature_example_gen.config import FeatureExamplesConfig
from components.feature_example_gen.labelled import labelled_service
from components.feature_example_gen.make import Made, make_examples
from components.feature_store.store import FeatureStore
from components.features.service import FeatureService
from tests.components.feature_computer import shop

AS_OF = "2024-01-03"
SPLITS: dict[str, str | float] = {"eval": "2024-01-02T12:00"}


def made(project: Path, **options: Any) -> tuple[FeatureService, Made, dict[str, pl.DataFrame]]:
    defaults = {"features": "shop_features.returned", "splits": SPLITS, "as_of": AS_OF}
    config = FeatureExamplesConfig(**{**defaults, **options})
    service, store = labelled_service(config), FeatureStore(project / "store")
    as_of = moment(config.as_of, "as_of")
    assert as_of is not None
    compute(service, store, as_of)
    counts = make_examples(service, config, store, as_of, str(project / "examples"))
    frames = {
        name: pl.read_parquet(project / "examples" / f"Split-{name}" / "*.parquet").select(
            pl.all().list.first()
        )
        for name in config.split_names
    }
    return service, counts, frames


def raw(project: Path, table: str) -> pl.DataFrame:
    return pl.read_parquet(project / "data" / table / "part.parquet")


def slow(buys: pl.DataFrame, label: dict[str, Any]) -> tuple[float | None, int | None]:
    """Mean and count of the hour before a label, without what is at its own time."""
    mine = (pl.col("shopper_id") == label["shopper_id"]) & (pl.col("price") > 0)
    past = buys.filter(mine & (pl.col("at") < label["at"]))
    # value(t) just before the label: the events of (t - 1h, t].
    inside = past.filter(pl.col("at") >= label["at"] - timedelta(hours=1))
    if past.is_empty() or label["at"] - past["at"].max() > timedelta(hours=25):
        return None, None
    return inside["price"].mean(), inside.height  # type: ignore[return-value]


def test_features_are_those_of_a_slow_look(project: Path) -> None:
    _, counts, frames = made(project)
    fitted = counts.fitted["mean_1h"]
    known = raw(project, "returns").filter(pl.col("judged") <= moment(AS_OF, ""))
    begin = moment(str(SPLITS["eval"]), "")
    for name, asked in (("train", pl.col("at") < begin), ("eval", pl.col("at") >= begin)):
        labels = known.filter(asked)
        assert frames[name].columns == [
            "price",
            "shop",
            "mean_1h",
            "count_1h",
            "weekend",
            "came_back",
        ]
        assert frames[name]["price"].to_list() == labels["price"].to_list()
        for row, label in zip(frames[name].to_dicts(), labels.to_dicts(), strict=True):
            mean, count = slow(raw(project, "buys"), label)
            assert row["count_1h"] == count and row["weekend"] == int(label["at"].weekday() > 4)
            scaled = None if mean is None else (mean - fitted["mean"]) / fitted["scale"]
            assert row["mean_1h"] == (None if scaled is None else pytest.approx(scaled))


def test_every_label_is_in_a_split_the_gap_the_rejects_or_unknown(project: Path) -> None:
    labels = raw(project, "returns")
    spoilt = labels.with_columns(
        shopper_id=pl.when(pl.int_range(pl.len()) == 3).then(None).otherwise("shopper_id")
    )
    twice = pl.concat([spoilt, labels.head(2)])
    twice.write_parquet(project / "data" / "returns" / "part.parquet")
    _, counts, _ = made(project, gap="2h")
    assert counts.rows_in + counts.unknown == twice.height
    assert counts.rows_rejected == 3 and counts.rows_gap == 11 and counts.unknown > 0
    rejects = pl.read_parquet(project / "examples" / "rejects.parquet")
    assert rejects["line"].to_list()[0] == 4
    assert "shopper_id is missing" in rejects["reason"][0] and "twice" in rejects["reason"][1]


def test_a_view_alone_with_labels(project: Path) -> None:
    _, counts, frames = made(
        project,
        features="shop_features.spend",
        labels="shop_features.returns",
        label="came_back",
        request={"shop": "str"},
        splits={"validation": 0.2, "eval": 0.2},
    )
    assert frames["eval"].columns == ["shop", "mean_1h", "count_1h", "came_back"]
    assert set(counts.splits) == {"train", "validation", "eval"} and all(counts.splits.values())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"features": "shop_features.no_labels"}, "has no labels: declare"),
        ({"features": "shop_features.spend"}, "is a view, which has no labels: give them with"),
        ({"label": "x"}, "labels, label and request of its own"),
        ({"splits": {"train": "2024-01-01"}}, "expected when eval begins"),
        ({"splits": {"eval": "2023-01-01"}}, "no row is in train"),
        ({"as_of": "soon"}, "as_of is 'soon', expected a day"),
    ],
)
def test_what_cannot_be_made_is_refused(project: Path, options: Any, said: str) -> None:
    with pytest.raises(BeamfleetError, match=said):
        made(project, **options)


def test_a_changed_definition_without_a_new_version_is_refused(project: Path) -> None:
    made(project)
    shop.change(project, 'Rolling("1h")', 'Rolling("2h")')
    with pytest.raises(BeamfleetError, match=r"spend.*version"):
        made(project)
    shop.change(project, "version=1", "version=2")
    with pytest.raises(BeamfleetError, match="version"):
        made(project)  # the service and the on-demand view read another view now


def test_models_of_a_later_training_read_the_same_features(project: Path) -> None:
    shop.change(project, 'Rolling("1h")', 'Rolling("4h")')
    _, before, frames = made(project)
    file = project / "data" / "returns" / "part.parquet"
    pl.read_parquet(file).tail(250).write_parquet(file)
    _, after, later = made(project)
    assert after.number == before.number + 1
    assert later["train"].height < frames["train"].height
    assert after.fitted == before.fitted
    pairs = zip(later["eval"]["mean_1h"], frames["eval"]["mean_1h"], strict=True)
    assert all(one == other for one, other in pairs)
    shop.change(project, 'boundary="strict"', 'boundary="strict", version=2')
    assert made(project)[1].fitted != before.fitted


def test_a_key_becomes_a_column_of_the_examples(project: Path) -> None:
    options = {
        "features": "shop_features.spend",
        "labels": "shop_features.returns",
        "label": "came_back",
        "request": {"shopper_id": "str"},
    }
    _, _, frames = made(project, **options)
    assert frames["train"].columns == ["shopper_id", "mean_1h", "count_1h", "came_back"]
    assert set(frames["train"]["shopper_id"]) == {f"s{n}" for n in range(7)}
