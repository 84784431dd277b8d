"""One income model for every education level, from census rows."""

from pathlib import Path

from pipelines.pipeline import Pipeline, from_csv
from user_code.census import COLUMNS, HPARAMS, THRESHOLDS

DATA = Path(__file__).resolve().parents[1] / "data"


def pipeline(
    root: Path | None = None, data: str | None = None, eval_data: str | None = None
) -> Pipeline:
    """Wires the census pipeline; `data` may be UCI's own `adult.data`."""
    return (
        Pipeline("census", root=root)
        .from_csv(
            data or DATA / "census",
            columns=COLUMNS,
            eval_data=eval_data,
            clean="user_code.census.clean_fn",
        )
        .generate_statistics()
        .infer_schema()
        .validate_examples(on_anomaly="stop")
        .train_per_entity(
            "user_code.census.train_fn", entity="education", label="income", hparams=HPARAMS
        )
        .evaluate(
            ["accuracy", "auc", "f1"], THRESHOLDS, slices=["workclass"], fairness=["sex", "race"]
        )
        .infra_validate(max_startup_s=5, max_p99_ms=200)
        .push_to()
        .bulk_infer(from_csv(DATA / "census_unlabelled", columns=COLUMNS[:-1]))
        .cache()
    )
