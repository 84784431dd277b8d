"""Will the passenger tip more than a fifth of the fare? One TensorFlow model, TFX's steps."""

from pathlib import Path

from pipelines.pipeline import Pipeline, from_csv

THRESHOLDS = {"auc": {"min": 0.85}, "accuracy": {"min": 0.8, "max_drop": 0.02}}
DRIFT = {"payment_type": 0.05, "company": 0.05, "fare": 0.05, "trip_miles": 0.05}
HPARAMS = {"units": 32, "learning_rate": 0.005, "epochs": 8, "batch_size": 128}
DATA = Path(__file__).resolve().parents[1] / "data"


def pipeline(root: Path | None = None, data: str | None = None) -> Pipeline:
    """Wires the taxi pipeline; `data` may be the public Chicago Taxi sample."""
    return (
        Pipeline("taxi", root=root)
        .from_csv(data or DATA / "taxi" / "span-{SPAN}", window=1 if data else 2)
        .generate_statistics()
        .infer_schema()
        .validate_examples(on_anomaly="warn", drift=None if data else DRIFT)
        .preprocess("user_code.taxi.preprocessing_fn")
        .tune("user_code.taxi.tuner_fn", trials=4)
        .train("user_code.taxi.run_fn", label="tipped", hparams=HPARAMS)
        .evaluate(["accuracy", "auc"], THRESHOLDS, slices=["trip_start_hour", "company"])
        .infra_validate(max_startup_s=30, max_p99_ms=200)
        .push_to()
        .bulk_infer(from_csv(DATA / "taxi_unlabelled" / "span-1"))
        .cache()
    )
