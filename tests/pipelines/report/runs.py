"""Runs as ML Metadata would tell of them, with real artifacts on disk and no TFX."""

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from google.protobuf import text_format
from tensorboard.compat.proto import event_pb2
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from pipelines.metadata import Artifact, Node, Run

HOSTILE = (
    "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=1'>\u202e\x1b[31m"
)
"""A name that tries all."""
VERDICTS = ("blessed", "kept", "fallback", "refused")
SERVES = {"blessed": "candidate", "kept": "pushed", "fallback": "fallback", "refused": "none"}


def a_run(root: Path, nodes: Sequence[Node], state: str = "done") -> Run:
    return Run("20260102-030405", "shops", str(root), state, tuple(nodes), 12.5,
               {"python": "3.11.7", "git commit": "f" * 40})  # fmt: skip


def entity_run(root: Path, names: Sequence[str], *, pushed: bool = True) -> Run:
    """Read, validated, trained for each of these entities, evaluated; hostile wherever it can."""
    examples = made(root, "ExampleGen", "examples", "Examples", rows_in=1000, rows_rejected=3,
                    rows_train=700, rows_eval=297)  # fmt: skip
    statistics = made(root, "StatisticsGen", "statistics", "ExampleStatistics")
    schema = made(root, "SchemaGen", "schema", "Schema")
    found = json.dumps([f"split train, column {HOSTILE!r}: odd"])
    anomalies = made(root, "ExampleValidator", "anomalies", "ExampleAnomalies", anomalies=1,
                     found=found, notes="")  # fmt: skip
    model = made(root, "EntityTrainer", "model", "Model")
    evaluation = made(root, "EntityEvaluator", "evaluation", "ModelEvaluation", rows_evaluated=297,
                      entities_fallback=1, notes=HOSTILE, overall=json.dumps(OVERALL))  # fmt: skip
    blessing = made(root, "EntityEvaluator", "blessing", "ModelBlessing", blessed=1, reason="")
    write_statistics(Path(statistics.uri))
    write_schema(Path(schema.uri))
    write_drift(Path(anomalies.uri))
    write_models(Path(model.uri), names)
    write_entities(Path(evaluation.uri), names, pushed=pushed)
    write_fairness(Path(evaluation.uri))
    write_slices(Path(evaluation.uri))
    source = {"source": {"paths": [f"/data/{HOSTILE}"], "window": 2}}
    nodes = [
        node("ExampleGen", 0, outputs=[examples], source=json.dumps(source),
             input_fingerprint="ab" * 32, span=3),
        node("StatisticsGen", 1, [examples], [statistics]),
        node("SchemaGen", 2, [statistics], [schema]),
        node("ExampleValidator", 3, [statistics, schema], [anomalies]),
        node("EntityTrainer", 4, [examples, schema], [model], train_fn="user_code.x.train_fn",
             hparams=json.dumps({"depth": 3}), code_fingerprint="cd" * 32),
        node("EntityEvaluator", 5, [examples, model], [evaluation, blessing], min_eval_rows=30,
             thresholds=json.dumps({"accuracy": {"min": 0.7, "max_drop": 0.01}})),
    ]  # fmt: skip
    return a_run(root, [*nodes, *delivery(root)])


def delivery(root: Path) -> list[Node]:
    """Served against gates, pushed to where nothing is any more, used on new rows."""
    blessing = made(root, "InfraValidator", "blessing", "InfraBlessing", blessed=0, p50_ms=2.5,
                    p99_ms=250.0, rss_mb=300.0, reason=f"too slow {HOSTILE}")  # fmt: skip
    report = {"gates": {"max_p99_ms": 200.0}, "requests": {"sent": 200, "failed": 1},
              "malformed": {HOSTILE: 400}}  # fmt: skip
    (Path(blessing.uri) / "report.json").write_text(json.dumps(report))
    pushed = made(root, "Pusher", "pushed_model", "PushedModel", pushed=1, version=7,
                  reason=HOSTILE, pushed_destination=str(root / "gone"))  # fmt: skip
    result = made(root, "BulkInferrer", "inference_result", "InferenceResult", rows_in=60, rows=58,
                  rows_failed=2, model_version=7)  # fmt: skip
    return [
        node("InfraValidator", 6, outputs=[blessing]),
        node("Pusher", 7, [blessing], [pushed]),
        node("BulkInferrer", 8, [pushed], [result]),
    ]


def caption_run(root: Path) -> Run:
    """Images were captioned; slices by what is seen on them."""
    overall = {"candidate": {"exact_match": 0.8, "coverage": 1.0}, "pushed": {"exact_match": 0.7}}
    evaluation = made(
        root, "CaptionEvaluator", "evaluation", "ModelEvaluation", overall=json.dumps(overall),
        intervals=json.dumps({"exact_match": [0.75, 0.85], "coverage": None}), rows_evaluated=40,
        ranking="null", notes="",
    )  # fmt: skip
    blessing = made(root, "CaptionEvaluator", "blessing", "ModelBlessing", blessed=1, reason="")
    sheet = made(root, "CaptionReport", "report", "Report")
    (Path(sheet.uri) / "captions.html").write_text("<p>images</p>")
    rows = [
        {"slice": name, "columns": columns, "values": columns, "rows_evaluated": 40,
         "exact_match": value, "exact_match_low": value - 0.1, "exact_match_high": value + 0.1}
        for name, columns, value in (("overall", [], 0.8), (HOSTILE, ["colour"], 0.5))
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), Path(evaluation.uri) / "slices.parquet")
    limits = json.dumps({"exact_match": {"min": 0.7}})
    return a_run(root, [
        node("CaptionEvaluator", 0, outputs=[evaluation, blessing], thresholds=limits),
        node("CaptionReport", 1, outputs=[sheet], note=HOSTILE),
    ])  # fmt: skip


def candidates_run(root: Path) -> Run:
    """Two candidates, each with curves, and what they are compared with."""
    evaluation = made(
        root, "Evaluator", "evaluation", "ModelEvaluation", compared_with="the pushed version 3",
        overall=json.dumps({"candidate": {"auc": 0.9}, "blessed": {"auc": 0.8}}), chosen="wide",
        intervals=json.dumps({"auc": [0.88, 0.92]}),
    )  # fmt: skip
    blessing = made(root, "Evaluator", "blessing", "ModelBlessing", blessed=1, reason="")
    rows = [
        {"name": "wide", "role": "candidate", "chosen": True, "passes": True, "reason": "",
         "rows": 100, "auc": 0.9, "auc_low": 0.88, "auc_high": 0.92},
        {"name": HOSTILE, "role": "candidate", "chosen": False, "passes": False,
         "reason": "too bad", "rows": 100, "auc": 0.6, "auc_low": 0.5, "auc_high": 0.7},
        {"name": "blessed", "role": "blessed", "chosen": None, "passes": None, "reason": None,
         "rows": 100, "auc": 0.8, "auc_low": 0.7, "auc_high": 0.9},
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), Path(evaluation.uri) / "candidates.parquet")
    nodes = []
    for name in ("Trainer.wide", "Trainer.deep"):
        model_run = made(root, name, "model_run", "ModelRun")
        file = Path(model_run.uri, "train", "events.out.tfevents.1")
        write_events(file, {"epoch_loss": [0.5, 0.4]})
        nodes.append(node(name, len(nodes), outputs=[model_run]))
    return a_run(root, [*nodes, node("Evaluator", 3, outputs=[evaluation, blessing])])


OVERALL = {
    "composed": {"accuracy": 0.91, "auc": 0.95},
    "pushed": {"accuracy": 0.9, "auc": 0.94},
    "majority": {"accuracy": 0.65, "auc": 0.5},
}


def made(root: Path, maker: str, key: str, kind: str, **properties: Any) -> Artifact:
    folder = root / "artifacts" / maker / key / "1"
    folder.mkdir(parents=True, exist_ok=True)
    return Artifact(key, kind, str(folder), properties)


def node(
    name: str,
    started: float,
    inputs: Sequence[Artifact] = (),
    outputs: Sequence[Artifact] = (),
    state: str = "done",
    error: str = "",
    **parameters: Any,
) -> Node:
    return Node(name, state, 1.7e9 + started, 0.75, tuple(outputs), error, parameters,
                tuple(inputs), 1.5, 1200.0, 1000.0)  # fmt: skip


def write_entities(folder: Path, names: Sequence[str], *, pushed: bool) -> None:
    random = np.random.default_rng(0)
    count = len(names)
    values = np.round(random.beta(8, 2, count), 4)
    verdicts = [VERDICTS[i % 4] for i in range(count)]
    reason = "own {:.4f}, fallback 0.8: not significantly better (adjusted p 1), " + HOSTILE[:20]
    table = pa.table(
        {
            "entity": pa.array(list(names)),
            "verdict": verdicts,
            "serves": [SERVES[v] for v in verdicts],
            "metric": ["accuracy"] * count,
            "value": values,
            "baseline": values - random.normal(0, 0.02, count)
            if pushed
            else pa.nulls(count, "double"),
            "fallback_value": np.full(count, 0.8),
            "majority_value": np.full(count, 0.6),
            "rows": random.integers(1, 2000, count),
            "p_value": random.random(count),
            "reason": [reason.format(v) for v in values],
            "rows_failed": np.zeros(count, int),
            "accuracy": values,
            "auc": np.where(values < 0.5, np.nan, values),
        }
    )
    pq.write_table(table, folder / "entities.parquet")


def write_models(folder: Path, names: Sequence[str]) -> None:
    spec = {"label": HOSTILE, "task": "classification", "classes": ["no", "yes"],
            "entity_columns": ["shop"],
            "features": [["price", "double"], [HOSTILE, "string"]]}  # fmt: skip
    counts = {
        "entities_trained": len(names),
        "rows_in": 700,
        "rows_trained": 650,
        "rows_dropped": 50,
    }
    (folder / "manifest.json").write_text(json.dumps({"spec": spec, "counts": counts}))
    index = pa.table({"kind": ["entity"] * len(names), "entity": list(names),
                      "rows": list(range(len(names)))})  # fmt: skip
    pq.write_table(index, folder / "index.parquet")
    costs = [
        {"kind": "entity", "entity": name, "rows": number, "fit_cpu_seconds": number / 500}
        for number, name in enumerate(names)
    ]
    costs[0]["fit_cpu_seconds"] = None  # its process died
    costs.append({"kind": "fallback", "entity": "", "rows": 650, "fit_cpu_seconds": 2.5})
    pq.write_table(pa.Table.from_pylist(costs), folder / "costs.parquet")


def write_fairness(folder: Path) -> None:
    rows = [
        {"column": "sex", "group": HOSTILE, "rows": 100, "accuracy": 0.9, "reason": ""},
        {"column": "sex", "group": "b", "rows": 90, "accuracy": 0.8, "reason": ""},
        {
            "column": "sex",
            "group": "(gap)",
            "rows": 190,
            "accuracy": 0.1,
            "reason": "over 2 groups",
        },
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "fairness.parquet")


def write_slices(folder: Path) -> None:
    def row(columns: list[str], values: list[str], rows: int, value: float) -> dict[str, Any]:
        name = ", ".join(f"{c}={v}" for c, v in zip(columns, values, strict=True)) or "overall"
        return {"slice": name, "columns": columns, "values": values, "rows": rows,
                "accuracy": value, "pushed_accuracy": value - 0.01, "accuracy_low": value - 0.02,
                "accuracy_high": value + 0.02}  # fmt: skip

    rows = [
        row([], [], 297, 0.91),
        row(["company"], [HOSTILE], 97, 0.8),
        row(["company"], ["<b>b</b>"], 200, 0.95),
    ]
    rows += [row(["hour"], [str(hour)], 12, 0.85 + hour / 200) for hour in range(24)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "slices.parquet")


def write_statistics(folder: Path) -> None:
    for split, rows in (("train", 700), ("eval", 297)):
        statistics = statistics_pb2.DatasetFeatureStatisticsList()
        dataset = statistics.datasets.add(num_examples=rows)
        number = dataset.features.add(type=statistics_pb2.FeatureNameStatistics.FLOAT)
        number.path.step.append("price")
        number.num_stats.common_stats.num_non_missing = rows - 7
        number.num_stats.mean, number.num_stats.max = 2.5, 10.0
        histogram = number.num_stats.histograms.add()
        for bucket in range(10):
            histogram.buckets.add(low_value=bucket, high_value=bucket + 1, sample_count=10 - bucket)
        word = dataset.features.add(type=statistics_pb2.FeatureNameStatistics.STRING)
        word.path.step.append(HOSTILE)
        word.string_stats.common_stats.num_non_missing = rows
        word.string_stats.unique = 9
        for place in range(8):
            value = HOSTILE if place == 0 else f"word {place}"
            word.string_stats.top_values.add(value=value, frequency=80 - 10 * place)
        empty = dataset.features.add(type=statistics_pb2.FeatureNameStatistics.STRING)
        empty.path.step.append("empty")
        empty.string_stats.common_stats.num_missing = rows
        place = folder / f"Split-{split}"
        place.mkdir()
        (place / "FeatureStats.pb").write_bytes(statistics.SerializeToString())


def write_schema(folder: Path) -> None:
    schema = schema_pb2.Schema()
    schema.feature.add(name="price", type=schema_pb2.FLOAT)
    schema.feature.add(name=HOSTILE, type=schema_pb2.BYTES, domain="words")
    schema.string_domain.add(name="words", value=[HOSTILE, "b"])
    (folder / "schema.pbtxt").write_text(text_format.MessageToString(schema))


def write_drift(folder: Path) -> None:
    anomalies = anomalies_pb2.Anomalies()
    for column, value in (("price", 0.2), (HOSTILE, 0.01)):
        one = anomalies.drift_skew_info.add()
        one.path.step.append(column)
        kind = anomalies_pb2.DriftSkewInfo.Measurement.JENSEN_SHANNON_DIVERGENCE
        one.drift_measurements.add(value=value, threshold=0.05, type=kind)
    (folder / "Split-train").mkdir()
    (folder / "Split-train" / "SchemaDiff.pb").write_bytes(anomalies.SerializeToString())


def write_events(file: Path, values: dict[str, list[float]]) -> None:
    """As the TensorBoard callback of Keras does: one scalar an epoch, in a tensor."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        for tag, numbers in values.items():
            for step, number in enumerate(numbers):
                event = event_pb2.Event(step=step)
                value = event.summary.value.add(tag=tag)
                value.metadata.plugin_data.plugin_name = "scalars"
                value.tensor.dtype, value.tensor.tensor_content = 1, struct.pack("<f", number)
                content = event.SerializeToString()
                stream.write(struct.pack("<Q", len(content)) + b"\0" * 4 + content + b"\0" * 4)
