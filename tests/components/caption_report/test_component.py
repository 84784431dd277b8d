"""The node writes the sheet of its inputs."""

import re

import pytest
from tfx.dsl.components.base import base_executor
from tfx.types import channel, standard_artifacts

from components.caption_report.component import CaptionReport, Executor, Report
from tests.components.caption_report.results import row, write_rejects, write_result


@pytest.mark.parametrize("with_examples", [True, False])
def test_the_sheet_names_also_what_the_examples_could_not_read(tmp_path, with_examples):
    result, examples = standard_artifacts.InferenceResult(), standard_artifacts.Examples()
    report = Report()
    result.uri = write_result(tmp_path / "result", [row("/p/1.png", "a cat")])
    examples.uri, report.uri = str(tmp_path), str(tmp_path / "report")
    write_rejects(tmp_path / "rejects.parquet", [("/p/y.png", 1, "the file is empty", "")])
    inputs = {"inference_result": [result]} | ({"examples": [examples]} if with_examples else {})
    Executor().Do(inputs, {"report": [report]}, {"title": "Holiday & more", "note": ""})
    page = (tmp_path / "report" / "captions.html").read_text()
    assert "<h1>Holiday &amp; more</h1>" in page
    assert ("1 failed" in page, "y.png" in page) == (with_examples, with_examples)


def test_the_sheet_names_its_run_and_has_the_note(tmp_path):
    result, report = standard_artifacts.InferenceResult(), Report()
    result.uri = write_result(tmp_path / "result", [row("/p/1.png", "a cat")])
    report.uri = str(tmp_path / "report")
    executor = Executor(base_executor.BaseExecutor.Context(pipeline_run_id="20250101-<7>"))
    properties = {"title": "t", "note": "for <drawn> scenes"}
    executor.Do({"inference_result": [result]}, {"report": [report]}, properties)
    page = (tmp_path / "report" / "captions.html").read_text()
    assert re.search(r"run 20250101-&lt;7&gt;, \d{4}-\d\d-\d\d \d\d:\d\d, version 3", page)
    assert '<p class="notice">for &lt;drawn&gt; scenes</p>' in page


def test_the_examples_are_optional():
    result = channel.Channel(type=standard_artifacts.InferenceResult)
    examples = channel.Channel(type=standard_artifacts.Examples)
    assert set(CaptionReport(result).inputs) == {"inference_result"}
    assert set(CaptionReport(result, examples).inputs) == {"inference_result", "examples"}
