"""The report of a run, as a real browser without a network shows it."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.report.make import Report, write_report
from pipelines.report.page import SECTIONS
from tests.components.caption_report.browser import PROGRAM, Browser
from tests.pipelines.report.runs import (
    HOSTILE,
    a_run,
    candidates_run,
    caption_run,
    entity_run,
    made,
    node,
    write_events,
)

needs_browser = pytest.mark.skipif(not PROGRAM, reason="neither chromium nor chrome is on PATH")
MOST_BYTES = 6_000_000
SHOPS = [f"shop {number:05}" for number in range(9_999)]
FIRST = "document.querySelector('#entity-table tbody th').textContent"
NAMES = "[...document.querySelectorAll('#entity-table tbody th')].map(e => e.textContent)"
STATUS = "document.getElementById('entity-status').textContent"
SEARCH = "document.getElementById('entity-search')"


@pytest.fixture(scope="module")
def browser():
    with Browser() as opened:
        opened.call(
            "Network.emulateNetworkConditions",
            offline=True, latency=0, downloadThroughput=0, uploadThroughput=0,
        )  # fmt: skip
        yield opened


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Ten thousand entities with a trainer of each kind, and hostile names."""
    root = tmp_path_factory.mktemp("shops")
    run = entity_run(root, [*SHOPS, HOSTILE])
    model_run = made(root, "Trainer", "model_run", "ModelRun")
    losses = {"epoch_loss": [0.5, 0.4, 0.3], "epoch_accuracy": [0.7, 0.8, 0.9]}
    write_events(Path(model_run.uri, "train", "events.out.tfevents.1"), losses)
    write_events(Path(model_run.uri, "validation", "events.out.tfevents.2"), losses)
    run = dataclasses.replace(run, nodes=(*run.nodes, node("Trainer", 9, outputs=[model_run])))
    return write_report(run)


@pytest.fixture
def page(browser: Browser, shops: Report) -> Browser:
    browser.open(shops.path)
    return browser


def text_of(browser: Browser, section: str) -> str:
    return str(browser.run(f"document.getElementById('{section}').innerText"))


def type_into(browser: Browser, text: str) -> None:
    browser.run(f"{SEARCH}.focus(), {SEARCH}.select()")
    browser.type(text)


@needs_browser
def test_every_section_is_drawn_without_a_network(page: Browser, shops: Report) -> None:
    assert not shops.problems
    plots = page.run("drawAll().then(() => plots.length)")
    assert plots == 7  # 2 curves, 2 slicings, 3 of entities
    drawn = "plots.filter(p => p.querySelector('.points path, .js-line, image')).length"
    assert page.run(drawn) == 7
    titled = "plots.filter(p => p.querySelector('.xtitle')).length"
    assert page.run(titled) == 7
    for anchor, title, _ in SECTIONS:
        shown = text_of(page, anchor)
        assert shown.startswith(title) and len(shown) > len(title) + 20, anchor
    assert page.requests() == [shops.path.as_uri()]
    assert page.complaints() == []


@needs_browser
def test_names_of_data_are_text_wherever_they_are(page: Browser) -> None:
    page.run("drawAll()")
    type_into(page, "</script>")
    assert len(page.run(NAMES)) == 1 and page.run(FIRST).startswith(
        "</script><script>window.hacked"
    )
    for section in ("data", "metrics", "fairness", "serving", "delivery", "lineage", "card"):
        assert "</script><script>" in text_of(page, section), section
    labels = "[...document.querySelectorAll('#metrics .ytick text')].map(e => e.textContent)"
    assert {"</script><script>window.h...", "<b>b</b>"} <= set(page.run(labels))
    assert "\\u202e" in text_of(page, "data") and "\u202e" not in text_of(page, "data")
    assert (
        page.run("document.querySelectorAll('main img, main script[src], main iframe').length") == 0
    )
    assert page.run("window.hacked") is None
    assert page.complaints() == []


@needs_browser
def test_no_other_script_runs_and_nothing_is_asked_for(page: Browser) -> None:
    page.run(
        "document.body.append(made('script', {textContent: 'window.injected = 1'}), "
        "made('img', {src: 'http://127.0.0.1:9/x.png'}))"
    )
    page.wait("document.images[0].complete")
    assert page.run("window.injected") is None
    assert len(page.requests()) == 1  # the policy stopped the picture before the network did


def test_ten_thousand_entities_fit_into_six_megabytes(shops: Report) -> None:
    assert shops.size == shops.path.stat().st_size < MOST_BYTES


def test_more_entities_than_fit_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    names = [f"{'x' * 90} {number}" for number in range(20_000)]
    report = write_report(entity_run(tmp_path, names))
    text = report.path.read_text()
    assert report.size < MOST_BYTES
    assert "best entities are left out here; all are in" in text
    assert text.count("<b>5,000</b> ") == 4  # of each verdict: of all, not of those in the table


def test_many_slices_groups_and_columns_do_not_make_the_page_too_large(tmp_path: Path) -> None:
    run = entity_run(tmp_path, [f"{'x' * 90} {number}" for number in range(20_000)])
    [folder] = tmp_path.glob("artifacts/EntityEvaluator/evaluation/1")
    rows = [{"column": "zip", "group": f"{n:060}", "rows": n, "accuracy": 0.5, "reason": ""}
            for n in range(10_000)]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), folder / "fairness.parquet")
    cuts = [{"slice": f"c{c}={n:060}", "columns": [f"c{c}"], "rows": n, "accuracy": 0.5}
            for c in range(20) for n in range(1_000)]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(cuts), folder / "slices.parquet")
    report = write_report(run)
    assert not report.problems and report.size < MOST_BYTES
    text = report.path.read_text()
    assert "The 200 largest groups; 9,800 more are in the evaluation." in text
    assert "1,000 slices by c19 (the worst 60), worst first" in text


@needs_browser
def test_entities_are_found_sorted_and_paged_by_keyboard(page: Browser) -> None:
    assert page.run(STATUS) == "10,000 entities" and len(page.run(NAMES)) == 50
    type_into(page, "SHOP 0042")
    assert page.run(STATUS) == "10 of 10,000 entities"
    assert sorted(page.run(NAMES)) == [f"shop 0042{n}" for n in range(10)]
    type_into(page, " ")
    page.run("document.querySelectorAll('#entity-table th button')[0].focus()")
    page.press("Enter", 13)
    assert page.run(NAMES)[1:3] == ["shop 00000", "shop 00001"]  # 0: the hostile one
    page.press("Enter", 13)
    assert page.run(FIRST) == "shop 09998"
    head = "document.querySelector('#entity-table th[aria-sort]')"
    assert page.run(f"{head}.ariaSort + {head}.innerText") == "descendingentity ▼"
    page.run("document.querySelectorAll('#entity-pager button')[2].focus()")
    page.press("Enter", 13)
    assert page.run(FIRST) == "shop 09948"
    assert "page 2 of 200" in page.run("document.getElementById('entity-pager').innerText")


@needs_browser
def test_columns_of_numbers_are_sorted_as_numbers_and_gaps_come_last(page: Browser) -> None:
    page.run("sortBy(table.fields.findIndex(f => f.name === 'rows'))")
    column = "table.shown.map(r => r[table.fields.findIndex(f => f.name === '{}')])"
    rows = page.run(column.format("rows"))
    assert rows == sorted(rows, reverse=True)
    for _ in range(2):  # downwards, then upwards
        page.run("sortBy(table.fields.findIndex(f => f.name === 'auc'))")
        values = page.run(column.format("auc"))
        known = [value for value in values if value is not None]
        assert values[len(known):] == [None] * (len(values) - len(known)) != []  # fmt: skip
    assert known == sorted(known)


@needs_browser
def test_verdicts_are_selected(page: Browser) -> None:
    page.run("document.getElementById('entity-verdict').value = 'refused', select()")
    assert page.run(STATUS) == "2,500 of 10,000 entities"


@needs_browser
def test_the_page_can_be_dark_and_charts_follow(page: Browser) -> None:
    page.run("drawAll()")
    ink = "getComputedStyle(document.querySelector('.xtick text')).fill"
    back = "getComputedStyle(document.body).backgroundColor"
    before = page.run(back), page.run(ink)
    page.run("document.getElementById('theme').click()")
    page.wait(f"{ink} !== '{before[1]}'")
    assert page.run(back) != before[0]
    page.run("document.getElementById('theme').click()")
    assert page.run(back) == before[0]


@needs_browser
def test_a_phone_needs_no_sideways_scrolling(page: Browser) -> None:
    page.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1,
              mobile=True)  # fmt: skip
    page.run("drawAll()")
    assert page.run("document.documentElement.scrollWidth") == 390
    wide = "[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll') && "
    cut = (
        f"{wide} e.getBoundingClientRect().right > 391 && !e.closest('svg')).map(e => e.outerHTML)"
    )
    assert page.run(cut) == []
    tables = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth)"
    assert set(page.run(f"{tables}.map(e => getComputedStyle(e).overflowX)")) == {"auto"}
    page.run("document.documentElement.style.scrollBehavior = 'auto', scrollTo(0, 3000)")
    assert page.run("document.getElementById('nav').getBoundingClientRect().top") == 0
    page.call("Emulation.clearDeviceMetricsOverride")


@needs_browser
def test_charts_that_nobody_scrolls_to_are_there_to_be_printed(page: Browser) -> None:
    assert page.run("drawn.size") < 7
    page.wait("drawn.size === 7")
    page.call("Emulation.setEmulatedMedia", media="print")
    assert page.run("document.getElementById('nav').checkVisibility()") is False
    assert page.run("plots.every(p => p.checkVisibility())")
    page.call("Emulation.setEmulatedMedia", media="")


def test_a_failed_run_has_a_report_of_what_there_is(tmp_path: Path) -> None:
    run = entity_run(tmp_path, ["a", "b"])
    broken = node("EntityEvaluator", 5, state="failed", error="shop 'b': no <rows>:\nsecond line")
    report = write_report(dataclasses.replace(run, state="failed", nodes=(*run.nodes[:5], broken)))
    text = report.path.read_text()
    assert not report.problems
    what = "EntityEvaluator failed: shop &#x27;b&#x27;: no &lt;rows&gt;"
    assert f"{what} (Pipeline below has all of it)</p>" in text
    assert f"{what}:\nsecond line</p>" in text
    assert 'class="node failed"' in text and "Histogram of price" in text
    assert "No metrics: this run evaluated no model." in text


@needs_browser
def test_captions_and_candidates_are_shown(browser: Browser, tmp_path: Path) -> None:
    browser.open(write_report(caption_run(tmp_path / "captions")).path)
    shown = text_of(browser, "captions")
    for words in ("exact match", "0.7500 to 0.8500", "min 0.7", "</script>", "1 slice, worst"):
        assert words in shown, words
    assert browser.run("fetch(document.querySelector('#captions a').href).catch(() => 0)") == 0
    sheet = browser.run("document.querySelector('#captions a').href")
    assert Path(sheet.removeprefix("file://")).read_text() == "<p>images</p>"
    browser.open(write_report(candidates_run(tmp_path / "candidates")).path)
    shown = text_of(browser, "metrics")
    for words in ("the pushed version 3", "0.8800 to 0.9200", "passes, chosen", "too bad",
                  "latest blessed model"):  # fmt: skip
        assert words in shown, words
    assert "Loss of Trainer.wide" in text_of(browser, "training")
    assert browser.run("window.hacked") is None


def test_the_card_has_the_hyperparameters_of_the_chosen_candidate(tmp_path: Path) -> None:
    run, best = candidates_run(tmp_path), made(tmp_path, "Tuner", "hyperparameters", "H")
    values = {"units": 8, "rate": 0.02}
    Path(best.uri, "best_hyperparameters.txt").write_text(json.dumps({"values": values}))
    nodes = []
    for name, own in (("deep", {"units": 16}), ("wide", {"units": 128})):
        model = made(tmp_path, f"Trainer-{name}", "model", "Model", candidate=name)
        spec = {"spec": {"label": "tip", "task": "classification", "features": []}}
        Path(model.uri, "Format-Serving").mkdir()
        Path(model.uri, "Format-Serving", "beamfleet.json").write_text(json.dumps(spec))
        config = {"hparams": {"units": 4, "epochs": 6}, "candidate_hparams": own}
        nodes.append(node(f"Trainer-{name}", 1, [best], [model], custom_config=json.dumps(config)))
    run = dataclasses.replace(run, nodes=(*nodes, run.nodes[-1]))
    page = write_report(run).path.read_text()
    assert "<dd>units 128, epochs 6, rate 0.02</dd>" in page
    assert "AUC 0.9000 (latest blessed model 0.8000)" in page


def test_what_is_undefined_or_infinite_takes_nothing_else_away(tmp_path: Path) -> None:
    run = candidates_run(tmp_path)
    folder = Path(run.nodes[-1].outputs[0].uri)
    table = pq.read_table(folder / "candidates.parquet").to_pylist()
    table[0] |= {"auc": None, "auc_low": None, "auc_high": None}
    pq.write_table(pa.Table.from_pylist(table), folder / "candidates.parquet")
    slices = [
        {"slice": f"hour={hour}", "columns": ["hour"], "values": [str(hour)], "rows": 5,
         "auc": value, "auc_low": 0.0, "auc_high": value}
        for hour, value in enumerate((0.5, float("inf"), 0.7))
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(slices), folder / "slices.parquet")
    made = write_report(run)
    assert made.problems == ()
    page = made.path.read_text()
    shown = page[page.index("<h3>Candidates") :].split("</table>")[0]
    assert ">AUC<" in shown and "0.6000" in shown


@pytest.mark.parametrize(
    ("bounds", "verdict"),
    [
        ({"min": 0.91}, "passes"),
        ({"min": 0.92}, "fails"),
        ({"max": 0.9}, "fails"),
        ({"max_drop": 0.0}, "passes"),  # it is better than the pushed one
        ({"min": 0.5, "max_drop": -0.02}, "fails"),
    ],
)
def test_thresholds_are_judged_as_the_gate_does(
    tmp_path: Path, bounds: dict[str, float], verdict: str
) -> None:
    run = entity_run(tmp_path, ["a"])
    limits = {"thresholds": json.dumps({"accuracy": bounds})}
    nodes = [dataclasses.replace(n, parameters={**n.parameters, **limits}) for n in run.nodes]
    text = write_report(dataclasses.replace(run, nodes=tuple(nodes))).path.read_text()
    [row] = [line for line in text.splitlines() if '<th scope="row">accuracy</th>' in line]
    assert f">{verdict}</span>" in row


def test_a_model_that_serves_too_slowly_is_told(tmp_path: Path) -> None:
    text = write_report(entity_run(tmp_path, ["a"])).path.read_text()
    assert "The model did not pass serving: too slow" in text
    assert '<span class="word bad">over</span>' in text and "200 ms" in text
    assert "holds no pushed version" in text


def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    """To import TensorFlow takes longer than all else."""
    program = (
        "import sys; from pathlib import Path\n"
        "from tests.pipelines.report.runs import entity_run\n"
        "from pipelines.report.make import write_report\n"
        "assert not write_report(entity_run(Path(sys.argv[1]), ['a', 'b'])).problems\n"
        "heavy = {'tensorflow', 'tfx', 'apache_beam', 'plotly', 'sklearn', 'torch'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True,
                          text=True, check=True, cwd=root)  # fmt: skip
    assert done.stdout == "[]\n"


def test_a_run_without_nodes_or_artifacts_has_a_report(tmp_path: Path) -> None:
    assert not write_report(a_run(tmp_path, [], "failed")).problems
    run = a_run(tmp_path, [node("StatisticsGen", 0, state="failed", error="disk full")], "failed")
    assert "disk full" in write_report(run).path.read_text()


def test_a_damaged_artifact_costs_its_own_section_only(tmp_path: Path) -> None:
    run = entity_run(tmp_path, ["a", "b"])
    [statistics] = tmp_path.glob("artifacts/StatisticsGen/*/*/Split-train/FeatureStats.pb")
    statistics.write_bytes(b"\xff\xff\xff")
    report = write_report(run)
    [problem] = report.problems
    assert problem.startswith("Data could not be drawn: DecodeError")
    text = report.path.read_text()
    assert "Data could not be drawn" in text and 'id="entity-table"' in text


def test_deleted_artifacts_are_no_error(tmp_path: Path) -> None:
    run = entity_run(tmp_path, ["a", "b"])
    shutil.rmtree(tmp_path / "artifacts")
    assert not write_report(run).problems


def test_metrics_that_nobody_knows_yet_are_shown(tmp_path: Path) -> None:
    run = entity_run(tmp_path, ["a", "b", "c"])
    [file] = tmp_path.glob("artifacts/EntityEvaluator/evaluation/1/entities.parquet")
    table = pq.read_table(file)
    new: dict[str, Any] = {"calibration_error": [0.125, None, 0.5], "notes": [["x"], [], None]}
    for name, values in new.items():
        table = table.append_column(name, pa.array(values))
    pq.write_table(table, file)
    report = write_report(run)
    assert not report.problems and "calibration error" in report.path.read_text()


def test_a_report_is_whole_or_absent(tmp_path: Path) -> None:
    run = entity_run(tmp_path, ["a"])
    (tmp_path / "reports").write_text("a file is in the way")
    with pytest.raises(OSError, match=r"File exists|Not a directory"):
        write_report(run)
    target = tmp_path / "new" / "report.html"
    assert write_report(run, target).path == target
    assert [file.name for file in target.parent.iterdir()] == ["report.html"]
