"""The file of the contact sheet."""

import json
import random
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from components.caption_report import contact_sheet
from components.caption_report.contact_sheet import SheetConfig, write_contact_sheet
from components.errors import BeamfleetError
from tests.components.caption_report.results import HOSTILE, row, write_rejects, write_result


def test_more_images_than_fit_are_said_to_be_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(contact_sheet, "MAX_FAILED", 2)
    dead = [(f"/p/{i}.jpg", "read", "empty") for i in range(5)]
    uri = write_result(tmp_path / "r", (row(f"/p/{i}.png", "a cat") for i in range(30)), dead)
    write_contact_sheet(uri, str(tmp_path / "sheet.html"), SheetConfig(max_images=20))
    page = (tmp_path / "sheet.html").read_text()
    assert f"This page shows the first 20 of 30 images; all are in {uri}/predictions." in page
    assert f"3 more are in {uri}/dead_letters." in page
    assert "30 images captioned" in page
    assert "/19.png" not in page  # names are short
    assert sum(len(rows) for rows in _rows(page)) == 20


def test_those_that_failed_are_named_without_any_script(tmp_path):
    uri = write_result(tmp_path / "r", [row("/p/a.png", "a cat")], [("/p/<b>.jpg", "read", "&")])
    write_contact_sheet(uri, str(tmp_path / "sheet.html"))
    page = _Page((tmp_path / "sheet.html").read_text())
    assert page.cells == ["Image", "Stage", "Reason", "<b>.jpg", "read", "&"]


def test_all_that_failed_are_in_one_order(tmp_path):
    dead = [(f"/p/{name}.jpg", "rank", "x") for name in ("c", "a10", "a9")]
    uri = write_result(tmp_path / "r", [row("/p/0.png", "a cat")], dead)
    unread = [("/p/z.jpg", 1, "empty", ""), ("/p/B.jpg", 1, "empty", "")]
    rejects = write_rejects(tmp_path / "rejects.parquet", unread)
    write_contact_sheet(uri, str(tmp_path / "sheet.html"), rejects=rejects)
    cells = _Page((tmp_path / "sheet.html").read_text()).cells
    assert cells[3::3] == ["a9.jpg", "a10.jpg", "B.jpg", "c.jpg", "z.jpg"]


def test_no_character_of_the_data_can_end_its_element(tmp_path):
    rows = [row(f"/p/{text}", text, reference=text) for text in HOSTILE]
    write_contact_sheet(write_result(tmp_path / "r", rows), str(tmp_path / "sheet.html"))
    raw = (tmp_path / "sheet.html").read_bytes()
    data = re.findall(rb'<script type="application/json"[^>]*>(.*)</script>\n', raw)
    assert len(data) == 2
    for block in data:
        assert not set(block) & set(b"<>&")
        assert block.isascii()
    [rows] = _rows(raw.decode())
    assert [captions[0][0] for _, _, captions, *_ in rows][:5] == list(HOSTILE[:5])


def test_a_sheet_is_whole_or_absent(tmp_path, monkeypatch):
    uri = write_result(tmp_path / "r", (row(f"/p/{i}.png", "a cat") for i in range(600)))
    sheet = tmp_path / "out" / "captions.html"
    write_contact_sheet(uri, str(sheet))
    before = sheet.read_bytes()
    broken = tmp_path / "r" / "predictions" / "part-00001.parquet"
    content = broken.read_bytes()
    broken.write_bytes(content[:4] + bytes(200) + content[204:])
    with pytest.raises(BeamfleetError, match=r"part-00001\.parquet is damaged"):
        write_contact_sheet(uri, str(sheet))
    assert sheet.read_bytes() == before
    assert [path.name for path in sheet.parent.iterdir()] == ["captions.html"]
    with pytest.raises(BeamfleetError, match="is no result of captions"):
        write_contact_sheet(str(tmp_path), str(sheet))


@pytest.mark.parametrize("rows_a_file", [500, 10_000])
def test_memory_does_not_grow_with_the_images(tmp_path, rows_a_file):
    """Ten times as many images, also where all lie in one row group: less than 1 KB more each."""
    peaks = []
    for count in (1_000, 10_000):
        picture = random.Random(1).randbytes(6144)
        rows = (
            row(f"/p/{i:05}.png", "a cat", thumbnail=picture[i % 99 :] + str(i).encode())
            for i in range(count)
        )
        uri = write_result(tmp_path / str(count), rows, rows_a_file=rows_a_file)
        code = (
            "import sys\n"
            "from components.caption_report.contact_sheet import write_contact_sheet\n"
            "write_contact_sheet(*sys.argv[1:])\n"
            "[peak] = [x for x in open('/proc/self/status') if x.startswith('VmHWM')]\n"
            "print(peak.split()[1])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, uri, str(tmp_path / f"{count}.html")],
            cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True,
        )  # fmt: skip
        peaks.append(int(done.stdout) * 1024)
    assert (tmp_path / "10000.html").stat().st_size > 75_000_000
    assert peaks[1] - peaks[0] < 20_000_000


def test_the_page_is_part_of_the_package(monkeypatch):
    """What is installed has the page's files: setup.py names them."""
    import setuptools

    given = {}
    monkeypatch.setattr(setuptools, "setup", lambda **arguments: given.update(arguments))
    root = Path(__file__).parents[3]
    exec(compile((root / "setup.py").read_text(), "setup.py", "exec"), {})
    shipped = {
        path
        for pattern in given["package_data"]["components"]
        for path in (root / "components").glob(pattern)
    }
    assert set((root / "components" / "caption_report" / "page").iterdir()) <= shipped


def _rows(page):
    blocks = re.findall(r'<script type="application/json" class="rows">(.*)</script>', page)
    return [json.loads(block)["rows"] for block in blocks]


class _Page(HTMLParser):
    """The cells of tables, as a browser without scripts shows them."""

    def __init__(self, text):
        super().__init__()
        self.cells = []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self._in_cell = tag in ("th", "td")
        if self._in_cell:
            self.cells.append("")

    def handle_endtag(self, tag):
        self._in_cell = False

    def handle_data(self, data):
        if self._in_cell:
            self.cells[-1] += data
