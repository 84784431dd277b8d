"""Whenever we say without TFX that nothing changed, TFX's own driver says the same.

The other side is TFX itself: its compiler, launcher and driver on a copy of the metadata, stopped
where a node would run.
"""

import importlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration import metadata as tfx_metadata

from components.errors import BeamfleetError
from components.pusher.versions import PushedVersions
from pipelines import launching, metadata, plan, runner, unchanged
from pipelines.metadata_store import opened
from pipelines.pipeline import Pipeline, from_csv
from pipelines.progress import Silent

REPO = Path(__file__).parents[2]
HEADER = "shop,price,sales\n"
FUNCTIONS = """
from walked.helper import SCALE
from aside import OTHER

def clean_fn(table):
    return table

def train_fn(examples, hparams):
    from sklearn.dummy import DummyRegressor
    return DummyRegressor().fit(examples.features, examples.label)
"""


class Project:
    """A small project in which anything may happen between two runs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "root"
        self.options: dict[str, Any] = {"hparams": {"a": 1}, "min_rows": 3}
        self.data = folder / "data" / "span-{SPAN}"
        self.runs = 0
        self.write("walked/__init__.py", "")
        self.write("walked/functions.py", FUNCTIONS)
        self.write("walked/helper.py", "SCALE = 1\n")
        self.write("aside.py", "OTHER = 1\n")
        self.write("unrelated.py", "A = 1\n")
        for span in (1, 2):
            self.add_span(span)
        self.write("new/rows.csv", HEADER + "a,1,2\nb,2,4\n")

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def span(self, number: int) -> Path:
        return self.folder / "data" / f"span-{number}"

    def newest_span(self) -> int:
        return max(int(path.name[5:]) for path in (self.folder / "data").iterdir())

    def copied(self) -> Path:
        """The same rows in another folder."""
        folder = self.folder / f"data-{self.runs}"
        shutil.copytree(self.folder / "data", folder, dirs_exist_ok=True)
        return folder / "span-{SPAN}"

    def add_span(self, span: int) -> None:
        rows = [f"{shop},{n},{n * span}\n" for n in range(12) for shop in "ab"]
        self.write(f"data/span-{span}/rows.csv", HEADER + "".join(rows))

    def pipeline(self) -> Pipeline:
        return (
            Pipeline("walked", root=self.root)
            .from_csv(self.data, window=2, clean="walked.functions.clean_fn")
            .generate_statistics()
            .infer_schema()
            .train_per_entity(
                "walked.functions.train_fn",
                entity="shop",
                label="sales",
                task="regression",
                **self.options,
            )
            .push_to()
            .bulk_infer(from_csv(self.folder / "new"))
            .cache()
        )

    def run(self) -> None:
        self.runs += 1
        runner.run_or_reuse(self.pipeline(), f"run-{self.runs}", "local", Silent())
        metadata.close_runs(self.root, "done")

    def without_tfx(self) -> dict[str, list[int]]:
        """Node -> ids of the artifacts that we would reuse; {} if we would ask TFX."""
        found = unchanged.find(self.root, plan.digest_of(self.pipeline()))
        return {r.node.name: sorted(a.id for a in r.outputs.values()) for r in found}

    def by_tfx(self) -> dict[str, list[int]]:
        """Node -> ids of the artifacts that TFX reuses; nodes that would run are missing."""
        copy = self.folder / "copy.db"
        with sqlite3.connect(self.root / "metadata.db") as source, sqlite3.connect(copy) as target:
            source.backup(target)
        built = self.pipeline().build()
        config = tfx_metadata.sqlite_metadata_connection_config(str(copy))
        built.metadata_connection_config = config
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(launching._ObservedLauncher, "_run_executor", _stop)
            try:
                runner.run(built, "asked", "local", Silent())
            except launching.NodeFailedError as error:
                assert "would run" in error.reason, error
        reused = _cached_outputs(copy, "asked")
        copy.unlink()
        return reused

    def edit_metadata(self, change: Callable[[Any], None], kind: str) -> None:
        """Changes the newest artifact of a type, or the newest execution of the trainer."""
        with opened(self.root) as store:
            if kind == "execution":
                found = [e for e in store.get_executions() if "EntityTrainer" in e.type]
                change(found[-1])
                store.put_executions(found[-1:])
                return
            found = store.get_artifacts_by_type(kind)
            change(found[-1])
            store.put_artifacts(found[-1:])

    def newest(self, node: str, key: str) -> Path:
        folders = (self.root / "artifacts" / node / key).iterdir()
        return max(folders, key=lambda path: int(path.name))


def _stop(*_: Any) -> None:
    raise RuntimeError("would run")


def _cached_outputs(database: Path, run_id: str) -> dict[str, list[int]]:
    from ml_metadata import MetadataStore

    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(database)
    store = MetadataStore(config)
    context = store.get_context_by_type_and_name("pipeline_run", run_id)
    reused = {}
    for execution in store.get_executions_by_context(context.id):
        if execution.last_known_state == metadata_store_pb2.Execution.CACHED:
            contexts = store.get_contexts_by_execution(execution.id)
            [node] = [c.name.rpartition(".")[2] for c in contexts if c.type == "node"]
            events = store.get_events_by_execution_ids([execution.id])
            outputs = [e for e in events if e.type == metadata_store_pb2.Event.OUTPUT]
            reused[node] = sorted(event.artifact_id for event in outputs)
    return reused


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Has run twice, so that the second run came from the cache."""
    made = Project(tmp_path_factory.mktemp("project"))
    before, place = set(sys.modules), Path.cwd()
    sys.path.insert(0, str(made.folder))
    importlib.invalidate_caches()
    made.run()
    yield made
    os.chdir(place)  # a change that the walk makes
    sys.path.remove(str(made.folder))
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("walked", "aside"):
            del sys.modules[name]


def _append(name: str) -> Callable[[Project], None]:
    def change(project: Project) -> None:
        with (project.folder / name).open("a") as file:
            file.write("# edited\n" if name.endswith(".py") else "a,3,9\n")

    return change


def _remove(node: str, key: str) -> Callable[[Project], None]:
    return lambda project: shutil.rmtree(project.newest(node, key))


def _marked(kind: str) -> Callable[[Project], None]:
    def change(thing: Any) -> None:
        thing.state = metadata_store_pb2.Artifact.MARKED_FOR_DELETION

    return lambda project: project.edit_metadata(change, kind)


def _noted(kind: str) -> Callable[[Project], None]:
    def change(thing: Any) -> None:
        thing.custom_properties["note"].string_value = "by hand"

    return lambda project: project.edit_metadata(change, kind)


def _failed(project: Project) -> None:
    def change(thing: Any) -> None:
        thing.last_known_state = metadata_store_pb2.Execution.FAILED

    project.edit_metadata(change, "execution")


def _pushed_gone(project: Project) -> None:
    shutil.rmtree(project.root / "pushed")


def _touch(project: Project) -> None:
    os.utime(project.span(project.newest_span()) / "rows.csv", (1, 1))


CHANGES: dict[str, Callable[[Project], None]] = {
    "row": lambda p: _append(f"data/span-{p.newest_span()}/rows.csv")(p),
    "row to predict": _append("new/rows.csv"),
    "touched rows": _touch,
    "newer span": lambda p: p.add_span(p.newest_span() + 1),
    "span of the window gone": lambda p: shutil.rmtree(p.span(p.newest_span() - 1)),
    "function": _append("walked/functions.py"),
    "helper": _append("walked/helper.py"),
    "module aside": _append("aside.py"),
    "settings beside the function": lambda p: p.write("walked/settings.json", f"{p.runs}"),
    "hyperparameters": lambda p: p.options.update(hparams={"a": p.options["hparams"]["a"] + 1}),
    "parameter": lambda p: p.options.update(min_rows=p.options["min_rows"] % 5 + 1),
    "rows gone": _remove("ExampleGen", "examples"),
    "model gone": _remove("EntityTrainer", "model"),
    "predictions gone": _remove("BulkInferrer", "inference_result"),
    "schema marked for deletion": _marked("Schema"),
    "model marked for deletion": _marked("Model"),
    "note on the statistics": _noted("ExampleStatistics"),
    "execution failed": _failed,
    "rolled back": lambda p: PushedVersions(str(p.root / "pushed")).rollback() and None,
    "pushed folder gone": _pushed_gone,
    "other rows": lambda p: setattr(p, "data", p.copied()),
}
HARMLESS: dict[str, Callable[[Project], None]] = {
    "nothing": lambda p: None,
    "a module that nothing imports": _append("unrelated.py"),
    "other folder": lambda p: os.chdir(p.folder),
    "environment": lambda p: os.environ.__setitem__("WALKED", str(p.runs)),
    "note on what no node reads": _noted("InferenceResult"),
    "older span": lambda p: p.add_span(0),
}


def _agree(project: Project) -> dict[str, list[int]]:
    """What we reuse, if we say so, is what TFX reuses, node by node; the folders are there."""
    ours = project.without_tfx()
    if ours:
        assert ours == project.by_tfx()
        with opened(project.root) as store:
            ids = [number for numbers in ours.values() for number in numbers]
            uris = [artifact.uri for artifact in store.get_artifacts_by_id(ids)]
        assert all(Path(uri).exists() for uri in uris)
    return ours


@pytest.mark.e2e
def test_a_run_without_tfx_leaves_in_ml_metadata_what_tfx_leaves(project: Project) -> None:
    assert len(_agree(project)) == 7
    project.run()
    fast = _described(project, f"run-{project.runs}")
    (project.root / plan.FILE).unlink()
    project.run()
    assert _described(project, f"run-{project.runs}") == fast
    assert {state for state, *_ in fast.values()} == {metadata_store_pb2.Execution.CACHED}


def _described(project: Project, run_id: str) -> dict[str, tuple[Any, ...]]:
    """Node -> all of its execution but for ids, names and times."""
    with opened(project.root) as store:
        run = store.get_context_by_type_and_name("pipeline_run", run_id)
        parents = [c.name for c in store.get_parent_contexts_by_context(run.id)]
        used = sorted(a.id for a in store.get_artifacts_by_context(run.id))
        found = {}
        for execution in store.get_executions_by_context(run.id):
            contexts = store.get_contexts_by_execution(execution.id)
            events = store.get_events_by_execution_ids([execution.id])
            [node] = [c.name for c in contexts if c.type == "node"]
            found[node] = (
                execution.last_known_state,
                execution.type,
                sorted((c.type, c.name) for c in contexts if c.id != run.id),
                sorted((e.type, e.artifact_id, str(e.path)) for e in events),
                {k: str(v) for k, v in execution.custom_properties.items()},
                (parents, used),
            )
        return found


@pytest.mark.e2e
def test_the_command_line_imports_neither_tfx_nor_tensorflow(project: Project) -> None:
    _agree(project) or project.run()
    project.write("pipeline.py", _as_file(project))
    program = (
        "import sys; from pipelines.cli import main; status = main(sys.argv[1:])\n"
        "heavy = {'tensorflow', 'tfx', 'apache_beam', 'torch'} & set(sys.modules)\n"
        "print(heavy or 'light'); sys.exit(status)"
    )
    command = ["run", str(project.folder), "--root", str(project.root)]
    done = subprocess.run(
        [sys.executable, "-c", program, *command],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(REPO)},
    )  # fmt: skip
    assert "7 nodes from the cache" in done.stdout
    assert done.stdout.splitlines()[-1] == "light"


def _as_file(project: Project) -> str:
    return f"""
from pipelines.metadata_store import opened
from pipelines.pipeline import Pipeline, from_csv

def pipeline(root=None):
    return (
        Pipeline("walked", root=root)
        .from_csv({str(project.data)!r}, window=2, clean="walked.functions.clean_fn")
        .generate_statistics()
        .infer_schema()
        .train_per_entity(
            "walked.functions.train_fn",
            entity="shop", label="sales", task="regression", **{project.options!r},
        )
        .push_to()
        .bulk_infer(from_csv({str(project.folder / "new")!r}))
        .cache()
    )
"""


@pytest.mark.e2e
@pytest.mark.parametrize("change", HARMLESS)
def test_what_tfx_does_not_look_at_costs_no_import_of_it(
    project: Project, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("WALKED", "0")
    HARMLESS[change](project)
    assert len(_agree(project)) == 7


@pytest.mark.e2e
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_never_overlooked(project: Project, change: str) -> None:
    if not project.without_tfx():
        project.run()
        assert project.without_tfx()
    CHANGES[change](project)
    assert _agree(project) == {}


@pytest.mark.e2e
@settings(
    max_examples=4,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.sampled_from(["run", "run", *CHANGES, *HARMLESS]), min_size=2, max_size=5))
def test_whatever_happens_tfx_would_have_said_so_too(project: Project, happens: list[str]) -> None:
    for what in happens:
        act = {**CHANGES, **HARMLESS, "run": Project.run}[what]
        with suppress(FileNotFoundError, BeamfleetError):  # there is nothing of the kind just now
            act(project)
        _agree(project)
