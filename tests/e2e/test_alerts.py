"""A run that fails tells a chat so, and leaves the chat's address nowhere."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.e2e.beamfleet import beamfleet

pytestmark = pytest.mark.e2e
PIPELINE = """
from pathlib import Path
from pipelines.pipeline import Pipeline

def pipeline(root=None):
    here = Path(__file__).parent
    return (
        Pipeline("small", root=root).from_csv(here / "rows.csv").generate_statistics()
        .with_schema(here / "schema.pbtxt").validate_examples("stop").alert(f"file:{here}/chat")
        .on_exit("user_code.small.exit_fn")
    )
"""
EXIT = """
from dataclasses import asdict
import json
from pathlib import Path

def exit_fn(outcome):
    Path(outcome.root, "ended.json").write_text(json.dumps(asdict(outcome)))
    raise ValueError("no more room")
"""


def test_a_failed_run_is_told_its_secret_kept_and_the_exit_function_called(tmp_path: Path) -> None:
    told: list[str] = []

    class Chat(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["content-length"])))["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Chat)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    secret = "verysecret123"
    (tmp_path / "chat").write_text(f"http://127.0.0.1:{server.server_port}/{secret}")
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "user_code").mkdir()
    (tmp_path / "user_code" / "small.py").write_text(EXIT)
    (tmp_path / "rows.csv").write_text("fare\n" + "".join(f"{n}\n" for n in range(50)))
    needed = 'feature { name: "tips" type: FLOAT presence { min_fraction: 1.0 min_count: 1 } }'
    (tmp_path / "schema.pbtxt").write_text(needed)
    said = beamfleet("run", tmp_path / "pipeline.py", "--root", tmp_path / "root", code=1)
    server.shutdown()
    assert told, said
    [text] = told
    assert text.startswith("*small* run ") and "run failed: ExampleValidator: " in text
    assert "column 'tips'" in text and "beamfleet show" in text
    assert secret not in said
    [report] = (tmp_path / "root" / "reports").iterdir()
    assert f"report: {report.as_uri()}" in text and f"report: {report.as_uri()}" in said
    assert "ExampleValidator failed" in report.read_text()
    ended = json.loads((tmp_path / "root" / "ended.json").read_text())
    assert (ended["pipeline"], ended["state"]) == ("small", "failed")
    assert "column 'tips'" in ended["error"]
    assert "user_code.small.exit_fn failed: " in said and "no more room" in said
    kept = [p for p in (tmp_path / "root").rglob("*") if p.is_file()]
    assert kept and not [p for p in kept if secret.encode() in p.read_bytes()]
