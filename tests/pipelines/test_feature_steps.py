"""What is wrong with features of a pipeline is said before TFX is loaded."""

from pathlib import Path
from typing import Any

import pytest

from components.errors import BeamfleetError
from pipelines import payments
from pipelines.pipeline import Pipeline

FRAUD = "user_code.payments.fraud"
NEWEST = "data/payments/newest"


def features(**options: Any) -> Pipeline:
    given = {"splits": {"eval": "2024-05-15"}, "as_of": "2024-05-22", **options}
    name = given.pop("features", FRAUD)
    return Pipeline("x").from_feature_view(name, **given)


def trained(pipeline: Pipeline, **options: Any) -> Pipeline:
    given = {"entity": "category", "label": "is_fraud", **options}
    return (
        pipeline.generate_statistics()
        .infer_schema()
        .train_per_entity("user_code.payments.train_fn", **given)
    )


def test_the_shipped_pipeline_is_accepted_and_short() -> None:
    payments.pipeline().check()
    lines = Path(payments.__file__).read_text().split("    return (")[1].splitlines()
    assert len(lines) < 30


def test_a_view_with_labels_is_accepted() -> None:
    pipeline = features(
        features="user_code.payments.card_spend",
        labels="user_code.payments.labels",
        label="is_fraud",
        request={"category": str},
        splits={"validation": 0.2, "eval": 0.2},
    )
    trained(pipeline).check()


def test_a_model_for_each_key_of_the_view() -> None:
    view: dict[str, Any] = {
        "features": "user_code.payments.card_spend",
        "labels": "user_code.payments.labels",
        "label": "is_fraud",
    }
    with pytest.raises(BeamfleetError, match=r"from_feature_view\(..., request=\{'card_id': str\}"):
        trained(features(**view), entity="card_id").check()
    trained(features(**view, request={"card_id": str}), entity="card_id").check()


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        (lambda: features(features="user_code.payments.frauds"), "has no 'frauds', expected a fea"),
        (lambda: features(features="fraud"), "'fraud' is not the dotted path"),
        (lambda: features(features="user_code.payments.card_spend"), "which has no labels: give"),
        (lambda: features(as_of=""), "needs as_of="),
        (lambda: features(as_of="2024-05-10"), "begins at 2024-05-15, behind as_of, 2024-05-10"),
        (lambda: features(splits={"train": "2024-05-01"}), "expected when eval begins"),
        (lambda: features(splits={"eval": "in May"}), "in May"),
        (lambda: features(gap="soon"), "soon"),
        (lambda: trained(features(), label="fraud"), "predicts 'fraud', the label of .*'is_fraud'"),
        (lambda: trained(features(), entity="card_id"), "entity 'card_id' is no column"),
        (lambda: Pipeline("x").from_csv("data/census").stream_features(until="2024-05-24"),
         r"stream_features\(\) needs features: add .from_feature_view"),
        (lambda: features().predict_online(NEWEST), "needs up-to-date features"),
        (lambda: features().stream_features(until="2024-05-24").predict_online(NEWEST),
         r"predict_online\(\) needs pushed models: add .push_to"),
        (lambda: features().from_csv("data/census"), "two sources of examples"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(pipeline: Any, said: str) -> None:
    with pytest.raises(BeamfleetError, match=said):
        pipeline().check()


def test_until_has_to_lie_behind_as_of() -> None:
    with pytest.raises(BeamfleetError, match="until"):
        features().stream_features(until="2024-05-21").check()
