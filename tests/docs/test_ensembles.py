"""The script in docs/ensembles.md does what the page says."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_script_runs_as_it_stands(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "ensembles.md").read_text(encoding="utf-8")
    script, *others = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    lines = sorted(done.stdout.splitlines())
    assert len(lines) == 3
    assert "'greeting': 'Hello you (en)'" in lines[2]
    assert "failure=Failure(stage='language', reason=\"KeyError: 'bonjour'" in lines[0]
    for other in others:
        compile(other, "docs/ensembles.md", "exec")
        for line in other.splitlines():
            if line.startswith("from "):
                exec(line, {})  # the names are where the page says
