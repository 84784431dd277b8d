"""A reviewed schema meets other data: stopped, seen, accepted, run again. No model is trained."""

import json
from pathlib import Path

import pytest

from tests.e2e.beamfleet import beamfleet, run

pytestmark = pytest.mark.e2e
PIPELINE = """
from pathlib import Path
from pipelines.pipeline import Pipeline

def pipeline(root=None):
    here = Path(__file__).parent
    return (
        Pipeline("taxi", root=root).from_csv(here / "rows.csv").generate_statistics()
        .with_schema(here / "schema.pbtxt")
        .validate_examples(
            "stop",
            checks={"enough trips": "count(*) > 5"},
            row_checks={"tips are no more than the fare": "tips <= fare"},
        )
    )
"""
SCHEMA = """# Kept by the taxi team.
feature { name: "fare" type: INT presence { min_fraction: 1 min_count: 1 } }
feature { name: "tips" type: INT presence { min_fraction: 1 min_count: 1 } }
feature { name: "payment" type: BYTES domain: "payment" presence { min_count: 1 } }
string_domain { name: "payment" value: "cash" value: "card" }
"""


def test_a_change_is_seen_accepted_and_fits(tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "schema.pbtxt").write_text(SCHEMA)
    kinds = ("cash", "card", "\x1b[31mMobile")
    lines = [f"{n + 5},{n % 5},{kinds[n % 3]},{n}" for n in range(60)]
    (tmp_path / "rows.csv").write_text("\n".join(["fare,tips,payment,company", *lines]) + "\n")
    root = tmp_path / "root"
    said = beamfleet("run", tmp_path / "pipeline.py", "--root", root, code=1)
    assert "column 'company': New column" in said and "missing from the schema" in said
    assert "beamfleet schema diff 20" in said and "\x1b" not in said
    name = next(path.stem for path in (root / "logs").glob("*.log"))
    [seen] = json.loads(beamfleet("runs", "--root", root, "--json"))
    assert seen["run"] == name and seen["state"] == "failed"
    shown = json.loads(beamfleet("show", "--root", root, "--json"))["validation"]
    assert shown["proposed"] == ["payment", "company"] and len(shown["found"]) == 4

    diff = beamfleet("schema", "diff", name, "--root", root)
    assert "column 'company': new column of whole numbers (INT), in every row" in diff
    assert "column 'payment': values: new" in diff and "\x1b" not in diff
    assert '+  value: "' in diff and (tmp_path / "schema.pbtxt").read_text() == SCHEMA
    seen = json.loads(beamfleet("schema", "diff", "--root", root, "--json"))
    assert [column["column"] for column in seen["columns"]] == ["payment", "company"]
    assert not seen["changed"]

    assert "no change of 'fair' is" in beamfleet(
        "schema", "accept", "--root", root, "--column", "fair", code=1
    )
    beamfleet("schema", "accept", "--root", root, "--by", "Ada", "--why", "Mobile is new")
    written = (tmp_path / "schema.pbtxt").read_text()
    assert written.startswith('# Kept by the taxi team.\nfeature { name: "fare" type: INT')
    history = json.loads((tmp_path / "schema.pbtxt.history.jsonl").read_text())
    assert (history["by"], history["why"], history["run"]) == ("Ada", "Mobile is new", name)
    again = beamfleet("schema", "accept", "--root", root, code=1)
    assert "has changed since run" in again and "accepted by Ada" in again
    assert "has changed since then" in beamfleet("schema", "diff", name, "--root", root)

    summary = run(tmp_path / "pipeline.py", "--root", root)
    assert summary["validation"]["anomalies"] == 0 and summary["validation"]["proposed"] == []
    assert "proposes no change" in beamfleet("schema", "diff", "--root", root)
    beamfleet("schema", "init", tmp_path / "copy.pbtxt", "--root", root)
    assert beamfleet("schema", "show", "--root", root) == (tmp_path / "copy.pbtxt").read_text()
    assert "is there already" in beamfleet(
        "schema", "init", tmp_path / "copy.pbtxt", "--root", root, code=1
    )
