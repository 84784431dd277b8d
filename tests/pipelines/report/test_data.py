"""What the report reads from artifacts, and how it lays the graph out."""

from pathlib import Path

import pytest

from pipelines.report.data.costs import read_costs
from pipelines.report.data.curves import read_curves
from pipelines.report.data.entities import read_table
from pipelines.report.data.graph import Edge, direct, edges, lay_out
from pipelines.report.data.slices import read_slices
from pipelines.report.data.statistics import read_distances, read_schema, read_statistics
from pipelines.report.markup import Html, fill, table
from pipelines.report.sections import cost
from pipelines.report.source import Source
from pipelines.report.words import change, megabytes, metric, percent, short_time, value
from pipelines.summary import summarise
from tests.pipelines.report.runs import HOSTILE, a_run, entity_run, made, node, write_events


@pytest.fixture
def source(tmp_path: Path) -> Source:
    run = entity_run(tmp_path, ["a", "b"])
    return Source(run, summarise(run), tmp_path)


def test_statistics_are_those_of_the_file(source: Source) -> None:
    found = read_statistics(source)
    assert found is not None and found.rows == {"train": 700, "eval": 297}
    price = found.columns["price"]["train"]
    assert (price.type, price.rows, price.missing) == ("float", 700, 7)
    assert price.figures["mean"] == 2.5 and price.histogram[0] == (0, 1, 10)
    assert found.columns[HOSTILE]["eval"].top[1] == ("word 1", 70)


def test_distances_have_their_thresholds_the_worst_first(source: Source) -> None:
    found = [(d.column, d.kind, d.value, d.threshold, d.measure) for d in read_distances(source)]
    assert found[0] == ("price", "drift", 0.2, 0.05, "Jensen-Shannon")
    assert found[1][:3] == (HOSTILE, "drift", 0.01)


def test_the_schema_has_its_domains(source: Source) -> None:
    rows = read_schema(source)
    assert rows[0] == ("price", "float", "optional", "")
    assert rows[1][3].startswith("2 values: ")


def test_curves_are_read_up_to_where_the_file_was_cut(tmp_path: Path) -> None:
    model_run = made(tmp_path, "Trainer", "model_run", "ModelRun")
    file = Path(model_run.uri, "train", "events.out.tfevents.1")
    write_events(file, {"epoch_loss": [0.5, 0.25], "epoch_learning_rate": [0.1, 0.1]})
    write_events(Path(model_run.uri, "validation", "events.out.tfevents.2"),
                 {"epoch_loss": [0.75, 0.5], "evaluation_loss_vs_iterations": [1, 2]})  # fmt: skip
    run = a_run(tmp_path, [node("Trainer", 0, outputs=[model_run])])
    source = Source(run, summarise(run), tmp_path)
    [loss] = read_curves(source)  # a rate that stays is no curve
    assert (loss.metric, loss.by) == ("loss", "epoch")
    assert loss.lines == {"train": [(1, 0.5), (2, 0.25)], "validation": [(1, 0.75), (2, 0.5)]}
    file.write_bytes(file.read_bytes()[:100])
    [loss] = read_curves(source)
    assert loss.lines["train"] == [(1, 0.5)]


def test_the_dearest_entities_are_those_of_the_file(tmp_path: Path) -> None:
    names = [HOSTILE, *(f"shop {number}" for number in range(1, 100))]
    run = entity_run(tmp_path, names)
    source = Source(run, summarise(run), tmp_path)
    costs = read_costs(source)
    assert costs is not None and (len(costs.fits), costs.unknown) == (99, 1)
    assert costs.seconds == pytest.approx(9.9) and costs.fallback_seconds == 2.5
    assert [fit.name for fit in costs.fits[:2]] == ["shop 99", "shop 98"]
    page = cost.render(source)
    assert "99 fits took 9.9 s of CPU in all; 19.1 % of it went to the dearest 10" in page
    assert "The model of all rows took 2.5 s more." in page
    assert "Of 1 fit the process died: its time is not known." in page
    assert "198 ms" in page and "180 ms" in page and "178 ms" not in page
    table = read_table(source)
    assert table is not None and set(table.column("fit_cpu_seconds")) >= {None, 0.002, 0.198}


def test_without_costs_the_largest_entities_are_shown(source: Source) -> None:
    [file] = source.folder.rglob("costs.parquet")
    file.unlink()
    page = cost.render(source)
    assert "did not record the seconds of single entities" in page
    assert "rows trained" in page and "CPU time of the fit" not in page


def test_slices_know_other_models_and_intervals(source: Source) -> None:
    file = source.file("EntityEvaluator", "evaluation", "slices.parquet")
    assert file is not None
    found = read_slices(file)
    assert (found.metrics, found.models) == (("accuracy",), ("pushed",))
    assert found.overall is not None and found.overall.intervals["accuracy"] == (0.89, 0.93)
    assert found.slicings() == [("company",), ("hour",)]


def test_the_graph_goes_downwards_without_what_follows_from_other_lines(source: Source) -> None:
    found = edges(source.run)
    assert {(e.start, e.end) for e in found} >= {("ExampleGen", "EntityTrainer"),
                                                 ("SchemaGen", "EntityTrainer")}  # fmt: skip
    shown = {(e.start, e.end) for e in direct(found)}
    assert ("SchemaGen", "EntityTrainer") in shown and ("ExampleGen", "EntityTrainer") not in shown
    layout = lay_out([n.name for n in source.run.nodes], direct(found))
    depth = {name: place for place, layer in enumerate(layout.layers) for name in layer}
    assert all(depth[start] < depth[end] for start, end in shown)


def test_a_long_line_bends_in_every_layer_between() -> None:
    chain = [Edge("a", "b", ()), Edge("b", "c", ()), Edge("a", "d", ()), Edge("c", "e", ()),
             Edge("d", "e", ())]  # fmt: skip
    layout = lay_out(list("abcde"), chain)
    assert layout.paths[chain[4]] == ("d", "d>e@2", "e")
    assert [len(layer) for layer in layout.layers] == [1, 2, 2, 1]


def test_numbers_read_well() -> None:
    assert [metric(v) for v in (None, 0.91044, 12.3456, 1234.5, 1e-6)] == [
        "-", "0.9104", "12.35", "1,234", "1e-06"]  # fmt: skip
    assert [value(v) for v in (0, 17031081000.0, -87.66012, 2.5)] == [
        "0", "17,031,081,000", "-87.66", "2.5"]  # fmt: skip
    assert [short_time(v) for v in (0.00083, 0.0123, 0.9994, 0.9996, 3.21)] == [
        "0.8 ms", "12 ms", "999 ms", "1.0 s", "3.2 s"]  # fmt: skip
    assert [change(v) for v in (0.05, -0.05, 0.0)] == ["+0.0500", "−0.0500", "±0"]
    assert (percent(0.1234), megabytes(2172.1), megabytes(17)) == ("12.3 %", "2.17 GB", "17 MB")


def test_only_our_own_markup_is_markup() -> None:
    assert fill("<b>{}</b>", "<i>&'\"") == "<b>&lt;i&gt;&amp;&#x27;&quot;</b>"
    assert fill("<b>{}</b>", Html("<i>x</i>")) == "<b><i>x</i></b>"
    cells = table(["<h>"], [["<c>"]], label='"><l>')
    assert "<h>" not in cells and "<c>" not in cells and "<l>" not in cells
