"""Is a card transaction a fraud? Features of a stream, a model for every merchant category."""

from pathlib import Path

from pipelines.pipeline import Pipeline
from user_code.payments import DATA, HPARAMS, THRESHOLDS

FRAUD = "user_code.payments.fraud"


def pipeline(root: Path | None = None) -> Pipeline:
    """Wires the payments pipeline."""
    return (
        Pipeline("payments", root=root)
        .from_feature_view(FRAUD, splits={"eval": "2024-05-15"}, gap="1d", as_of="2024-05-22")
        .generate_statistics()
        .infer_schema()
        .validate_examples(on_anomaly="stop")
        .train_per_entity(
            "user_code.payments.train_fn",
            entity="category",
            label="is_fraud",
            hparams=HPARAMS,
            missing="keep",
        )
        .evaluate(["accuracy", "auc", "f1"], THRESHOLDS, slices=["category"])
        .infra_validate(max_startup_s=5, max_p99_ms=200)
        .push_to()
        .stream_features(until="2024-05-24T18:00")
        .predict_online(DATA / "newest")
        .cache()
    )
