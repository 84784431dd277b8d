"""What the validation measured and decided."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from components.errors import BeamfleetError
from components.model_server.servable import is_ensemble


@dataclass(frozen=True)
class Gates:
    """Limits that the server must keep to be blessed.

    Raises:
      BeamfleetError: a limit is not above 0.
    """

    max_startup_s: float = 5.0
    """Seconds from the start of loading to readiness, code imported before; one retry."""
    max_p99_ms: float = 200.0
    """Milliseconds that 99 of 100 requests may take at most."""
    max_rss_mb: float | None = None
    """Resident memory after all requests, in units of 1,000,000 bytes; None for no limit."""
    requests: int = 200
    """How many requests of one row are sent, one after the other."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and value <= 0:
                raise BeamfleetError(f"{name} must be above 0, got {value}")


ENSEMBLE_GATES = Gates(max_startup_s=60.0, max_p99_ms=10_000.0, requests=20)
"""Where an ensemble's user sets none: large models load for a while, and a row takes seconds."""


def default_gates(model_uri: str) -> Gates:
    """The limits where the user sets none."""
    return ENSEMBLE_GATES if is_ensemble(model_uri) else Gates()


def with_limits(gates: Gates, limits: Mapping[str, Any]) -> Gates:
    """The gates with those limits that are not None.

    Raises:
      BeamfleetError: a limit is not above 0.
    """
    return replace(gates, **{k: v for k, v in limits.items() if v is not None})


@dataclass
class Report:
    """Measured figures, and the reasons against a blessing."""

    gates: Gates
    reasons: list[str] = field(default_factory=list)
    """Why it is not blessed, in words; empty if it is."""
    startup: dict[str, Any] = field(default_factory=dict)
    """attempts, import_s, load_s, ready_s and startup_s (the last two together) of the last one."""
    requests: dict[str, Any] = field(default_factory=dict)
    """sent = answered + refused (without prediction here as outside the server) + differing (from
    the same models outside it) + failed; entities and unseen (rows) of entity models, examples of
    an ensemble; p50_ms, p99_ms."""
    memory: dict[str, Any] = field(default_factory=dict)
    """rss_mb after all requests."""
    malformed: dict[str, int] = field(default_factory=dict)
    """HTTP status by case; 0 if no response came."""
    log_tail: list[str] = field(default_factory=list)
    """The server's last lines, if it is not blessed."""

    @property
    def blessed(self) -> bool:
        return not self.reasons

    def to_json(self) -> str:
        return json.dumps({"blessed": self.blessed, **asdict(self)}, indent=1, ensure_ascii=False)
