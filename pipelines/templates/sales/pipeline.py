"""One sales model for every store: `beamfleet run pipeline.py`."""

from pathlib import Path

from pipelines.pipeline import Pipeline, from_csv

DATA = Path(__file__).resolve().parent / "data"


def pipeline(
    root: Path | None = None, data: str | None = None, eval_data: str | None = None
) -> Pipeline:
    """What `beamfleet run` calls; the arguments are --root, --data and --eval-data."""
    return (
        Pipeline("sales", root=root)
        .from_csv(data or DATA / "sales.csv", eval_data=eval_data)
        .generate_statistics()
        .infer_schema()
        .validate_examples(on_anomaly="stop")
        .train_per_entity(
            "user_code.sales.train_fn",
            entity="store",
            label="sales",
            task="regression",
            missing="keep",  # train_fn fills empty cells; "drop" would leave such rows out
        )
        .evaluate(metrics=["mae", "rmse"])
        .infra_validate(max_startup_s=5, max_p99_ms=200)
        .push_to()
        .bulk_infer(
            from_csv(DATA / "sales_next_week.csv"),
            # Written beside each prediction, so that you can join it to your rows.
            output_columns=["store", "weekday", "price", "promotion"],
        )
        .cache()
    )
