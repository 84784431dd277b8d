"""What was decided about each entity, when, by whom and why: a line each, never changed.

<root>/served/<service>/decisions.jsonl
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from components.pusher import files

_LOCK_WAIT_S = 60.0
Decision = Mapping[str, Any]


def decisions_file(root: str | Path, service: str) -> Path:
    """Where they are."""
    return Path(root, "served", service, "decisions.jsonl")


def record(root: str | Path, service: str, decisions: Iterable[Decision]) -> None:
    """Appends decisions; each is on the disk when this returns."""
    path = decisions_file(root, service)
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.exclusive(path.with_name(".decisions.lock"), _LOCK_WAIT_S):
        for decision in decisions:
            files.append_line(path, json.dumps(decision, sort_keys=True, default=str))


def read_decisions(root: str | Path, service: str) -> list[dict[str, Any]]:
    """All of them, oldest first; a line that a power cut left unfinished is none."""
    path = decisions_file(root, service)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [decision for line in lines if (decision := _read(line))]


def _read(line: str) -> dict[str, Any]:
    try:
        decision = json.loads(line)
    except ValueError:
        return {}
    return decision if isinstance(decision, dict) else {}
