"""Writes runs into ML Metadata as TFX's launcher does, in milliseconds."""

import json
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import metadata

SOURCE = {"clean": "user_code.shop.clean_fn", "source": {"paths": ["data/shop"], "window": 1}}


class Recorder:
    """The metadata of one root."""

    def __init__(self, root: Path, pipeline: str = "shop") -> None:
        from ml_metadata import MetadataStore
        from ml_metadata.proto import metadata_store_pb2 as pb

        root.mkdir(parents=True, exist_ok=True)
        config = pb.ConnectionConfig()
        config.sqlite.filename_uri = str(root / metadata.DATABASE)
        config.sqlite.connection_mode = 3
        self._pb, self._store = pb, MetadataStore(config)
        self.root, self._pipeline = root, pipeline
        self._contexts = {
            name: self._store.put_context_type(pb.ContextType(name=name))
            for name in ("pipeline", "pipeline_run", "node")
        }

    def node(self, run, name, parameters=None, inputs=None, outputs=None, state="COMPLETE"):
        """One execution. An output is (type, properties), or the id of a cached artifact.

        Gives the ids of the outputs, and makes their folders.
        """
        pb = self._pb
        execution_type = self._store.put_execution_type(pb.ExecutionType(name=name))
        execution = pb.Execution(
            type_id=execution_type, last_known_state=pb.Execution.State.Value(state)
        )
        _set(execution, parameters or {})
        pairs = [self._read(key, artifact) for key, artifact in (inputs or {}).items()]
        pairs += [self._made(name, key, made) for key, made in (outputs or {}).items()]
        contexts = [
            pb.Context(type_id=self._contexts["pipeline"], name=self._pipeline),
            pb.Context(type_id=self._contexts["pipeline_run"], name=run),
            pb.Context(type_id=self._contexts["node"], name=f"{self._pipeline}.{name}"),
        ]
        _, ids, _ = self._store.put_execution(
            execution, pairs, contexts, reuse_context_if_already_exist=True
        )
        time.sleep(0.002)  # started one after the other
        return dict(zip((outputs or {}), ids[len(inputs or {}) :], strict=True))

    def uri(self, artifact: int) -> Path:
        [found] = self._store.get_artifacts_by_id([artifact])
        return Path(found.uri)

    def end(self, run: str, state: str = "done", seconds: float = 1.5) -> None:
        context = self._store.get_context_by_type_and_name("pipeline_run", run)
        context.custom_properties["state"].string_value = state
        context.custom_properties["seconds"].double_value = seconds
        self._store.put_contexts([context])

    def _read(self, key, artifact):
        [known] = self._store.get_artifacts_by_id([artifact])
        return known, self._event("INPUT", key)

    def _made(self, node, key, made):
        event = self._event("OUTPUT", key)
        if isinstance(made, int):
            [known] = self._store.get_artifacts_by_id([made])
            return known, event
        type_name, properties = made
        type_id = self._store.put_artifact_type(self._pb.ArtifactType(name=type_name))
        number = len(self._store.get_artifacts()) + 1
        uri = self.root / "artifacts" / node / key / str(number)
        uri.mkdir(parents=True)
        artifact = self._pb.Artifact(type_id=type_id, uri=str(uri))
        _set(artifact, properties)
        return artifact, event

    def _event(self, kind, key):
        event = self._pb.Event(type=self._pb.Event.Type.Value(kind))
        event.path.steps.add().key = key
        return event


def _set(thing, values):
    for name, value in values.items():
        kind = {int: "int_value", float: "double_value"}.get(type(value), "string_value")
        setattr(thing.custom_properties[name], kind, value)


def entity(name, value, verdict="blessed", serves="candidate", rows=100):
    return {
        "entity": name, "rows": rows, "metric": "accuracy", "value": value, "baseline": 0.5,
        "fallback_value": 0.6, "majority_value": 0.4, "verdict": verdict, "serves": serves,
        "p_value": 0.01, "reason": f"because {name}",
    }  # fmt: skip


def put_shop(recorder, run, entities, *, examples=None, depth=3, baseline=0, version=1, eval_rows=2,
             accuracy=0.8):  # fmt: skip
    """A run of entity models, from rows to a pushed version; gives the ids of its artifacts."""
    fingerprints = {"input_fingerprint": "f1", "clean_fingerprint": "c1"}
    rows = {"rows_in": 10, "rows_rejected": 1, "rows_eval": eval_rows,
            "files": json.dumps(["data/shop/a.csv", "data/shop/b.csv"])}  # fmt: skip
    made = recorder.node(
        run, "ExampleGen", {"source": json.dumps(SOURCE)} | ({} if examples else fingerprints),
        outputs={"examples": examples or ("Examples", rows)},
        state="CACHED" if examples else "COMPLETE",
    )  # fmt: skip
    if not examples:
        split = recorder.uri(made["examples"]) / "Split-eval"
        split.mkdir()
        pq.write_table(pa.table({"price": list(range(eval_rows))}), split / "data.parquet")
    made |= recorder.node(
        run, "EntityTrainer",
        {"train_fn": "user_code.shop.train_fn", "code_fingerprint": f"t{depth}", "label": "sales",
         "hparams": json.dumps({"depth": depth})},
        {"examples": made["examples"]}, {"model": ("Model", {"entities": len(entities)})},
    )  # fmt: skip
    pushed = str(recorder.root / "pushed")
    overall = json.dumps({"composed": {"accuracy": accuracy}, "majority": {"accuracy": 0.4}})
    made |= recorder.node(
        run, "EntityEvaluator",
        {"baseline_version": baseline, "push_destination": pushed, "eval_split": "eval"},
        {"examples": made["examples"], "model": made["model"]},
        {"evaluation": ("ModelEvaluation", {"overall": overall, "rows_evaluated": eval_rows}),
         "blessing": ("ModelBlessing", {"blessed": 1, "reason": ""})},
    )  # fmt: skip
    evaluation = recorder.uri(made["evaluation"])
    pq.write_table(pa.Table.from_pylist(entities), evaluation / "entities.parquet")
    groups = [{"column": "size", "group": "big", "rows": 9, "accuracy": accuracy, "reason": ""}]
    pq.write_table(pa.Table.from_pylist(groups), evaluation / "fairness.parquet")
    recorder.node(
        run, "InfraValidator", {}, {"model": made["model"]},
        {"blessing": ("InfraBlessing", {"blessed": 1, "p99_ms": 4.5 * depth, "reason": ""})},
    )  # fmt: skip
    made |= recorder.node(
        run, "Pusher", {"baseline_version": baseline, "push_destination": pushed},
        {"model": made["model"], "model_blessing": made["blessing"]},
        {"pushed_model": ("PushedModel", {"pushed": 1, "version": version,
                                          "pushed_destination": pushed, "reason": ""})},
    )  # fmt: skip
    folder = recorder.root / "pushed" / str(version)
    folder.mkdir(parents=True)
    document = {"number": version, "model_uri": str(recorder.uri(made["model"]))}
    (folder / "version.json").write_text(json.dumps(document))
    recorder.end(run)
    return made
