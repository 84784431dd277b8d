"""How requests are shared between two pushed versions.

A split is a part of the pointer file CURRENT, so that one rename changes all: who is champion, who
is challenger, and what each of them gets.

    {"version": 3, "highest": 4, "change": {...}, "traffic": {
       "id": "9f0c...",                                     of this split, made once
       "labels": {"champion": 3, "challenger": 4},          label -> version
       "shares": {"champion": 90, "challenger": 10},        in any unit
       "shadow": false,                                     true: the challenger only computes
       "by": "entity",                                      or "request": what is sticky
       "start": "2026-11-21T00:00:00+00:00", "end": null,   ISO 8601 with a zone; null: open
       "stop_rule": {"max_error_share": 0.02, "max_p99_ms": 200, "min_requests": 500},
       "stopped": null}}                                    or {"time": ..., "reason": ...}
"""

import math
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any

from components.errors import BeamfleetError
from components.words import listed

CHAMPION, CHALLENGER = "champion", "challenger"
BY = ("entity", "request")
_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_PLAN = {"shares", "shadow", "by", "start", "end", "stop_rule"}
_SPLIT = {*_PLAN, "id", "labels", "stopped"}


@dataclass(frozen=True)
class StopRule:
    """When the server takes the challenger out by itself.

    Raises:
      BeamfleetError: a limit is out of its range, or there is none.
    """

    max_error_share: float | None = None
    """Of requests without an answer: status 422 and 500 to 599; 0 to below 1."""
    max_p99_ms: float | None = None
    """Milliseconds within which 99 of 100 requests are answered."""
    min_requests: int = 500
    """Before so many requests nothing is decided."""

    def __post_init__(self) -> None:
        share, slow = self.max_error_share, self.max_p99_ms
        if share is None and slow is None:
            raise BeamfleetError("stop_rule needs max_error_share or max_p99_ms")
        if share is not None and not (_is_number(share) and 0 <= share < 1):
            raise BeamfleetError(f"max_error_share must be from 0 to below 1, got {share!r}")
        if slow is not None and not (_is_number(slow) and slow > 0):
            raise BeamfleetError(f"max_p99_ms must be above 0, got {slow!r}")
        if type(self.min_requests) is not int or self.min_requests < 1:
            raise BeamfleetError(f"min_requests must be >= 1, got {self.min_requests!r}")

    def to_dict(self) -> dict[str, float]:
        """Only what was set."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class TrafficPlan:
    """What a new version gets beside the one that is served."""

    shares: tuple[tuple[str, float], ...]
    """(label, share in any unit), by name; one of them is the champion."""
    shadow: bool = False
    """The challenger computes an answer to each request, which nobody gets."""
    by: str = ""
    """`entity` or `request`; "" is `entity` where the model has entities."""
    start: datetime | None = None
    end: datetime | None = None
    stop_rule: StopRule | None = None

    @property
    def challenger(self) -> str:
        """The label beside the champion."""
        return next(label for label, _ in self.shares if label != CHAMPION)

    def check_time(self) -> None:
        """Refuses terms under which the challenger would never get a request.

        Raises:
          BeamfleetError: the end has passed.
        """
        if self.end and self.end <= datetime.now(UTC):
            raise BeamfleetError(
                f"the end of the traffic's split, {self.end.isoformat()}, has passed: give a later "
                "one, or none"
            )

    def to_dict(self) -> dict[str, Any]:
        """As it stands in CURRENT."""
        return {
            "shares": dict(self.shares),
            "shadow": self.shadow,
            "by": self.by,
            "start": self.start.isoformat() if self.start else None,
            "end": self.end.isoformat() if self.end else None,
            "stop_rule": self.stop_rule.to_dict() if self.stop_rule else None,
        }


@dataclass(frozen=True)
class Split:
    """A champion and a challenger in one pushed directory."""

    id: str
    versions: tuple[tuple[str, int], ...]
    """(label, version): of the champion and of one challenger."""
    plan: TrafficPlan
    stopped: str = ""
    """Why the stop rule ended it; "" if it did not."""
    stopped_at: str = ""
    """ISO 8601, UTC."""

    @property
    def challenger(self) -> int:
        """Number of the challenger's version."""
        return dict(self.versions)[self.plan.challenger]

    def state(self, now: datetime | None = None) -> str:
        """`stopped`, `waiting` for its start, `over`, or `running`."""
        now = now or datetime.now(UTC)
        if self.stopped:
            return "stopped"
        if self.plan.start and now < self.plan.start:
            return "waiting"
        return "over" if self.plan.end and now >= self.plan.end else "running"

    def to_dict(self) -> dict[str, Any]:
        """As it stands in CURRENT."""
        stopped = {"time": self.stopped_at, "reason": self.stopped} if self.stopped else None
        labels = dict(self.versions)
        return {**self.plan.to_dict(), "id": self.id, "labels": labels, "stopped": stopped}


def new_split(plan: TrafficPlan, champion: int, challenger: int) -> Split:
    """A split that nobody stopped yet."""
    versions = tuple(sorted({CHAMPION: champion, plan.challenger: challenger}.items()))
    return Split(uuid.uuid4().hex, versions, plan)


def traffic_plan(
    shares: Mapping[str, float],
    shadow: bool = False,
    by: str = "",
    start: str | datetime | None = None,
    end: str | datetime | None = None,
    stop_rule: Mapping[str, float] | None = None,
) -> TrafficPlan:
    """Checks what a person or a file says.

    Args:
      shares: label -> share in any unit: of `champion` and one other label, whose share is 0 if,
        and only if, it is a shadow.
      shadow: The other one computes an answer to every request, and nobody gets it.
      by: `entity`, `request`, or "" for what fits the model.
      start, end: When the challenger takes part: ISO 8601 with a zone, or a datetime with one.
      stop_rule: Of StopRule.

    Raises:
      BeamfleetError: it makes no sense.
    """
    _check_shares(shares, shadow)
    if by not in ("", *BY):
        raise BeamfleetError(f"traffic is sticky by {listed(BY, 'or')}, got {by!r}")
    times = _time("start", start), _time("end", end)
    if times[0] and times[1] and times[0] >= times[1]:
        raise BeamfleetError(f"start {start} must be before end {end}")
    ordered = tuple(sorted((label, share) for label, share in shares.items()))
    return TrafficPlan(ordered, shadow, by, *times, stop_rule=_stop_rule(stop_rule))


def split_from(content: object, champion: int, highest: int) -> Split:
    """Reads the part `traffic` of CURRENT.

    Args:
      content: JSON.
      champion: Number of the current version.
      highest: The last number given out.

    Raises:
      BeamfleetError: something in it is not what it has to be; says what.
    """
    if not isinstance(content, dict) or set(content) != _SPLIT:
        raise BeamfleetError(f"its 'traffic' must be an object with {listed(sorted(_SPLIT))}")
    if not isinstance(content["by"], str) or not isinstance(content["shadow"], bool):
        raise BeamfleetError("its 'by' must be a text and its 'shadow' true or false")
    plan = traffic_plan(**{name: content[name] for name in _PLAN})
    labels, stopped = content["labels"], content["stopped"]
    named = isinstance(labels, dict) and set(labels) == {CHAMPION, plan.challenger}
    if not named or any(type(n) is not int or not 1 <= n <= highest for n in labels.values()):
        raise BeamfleetError(f"its 'labels' must give {CHAMPION} and {plan.challenger} a version")
    if labels[CHAMPION] != champion or labels[plan.challenger] == champion:
        raise BeamfleetError(f"its champion must be version {champion}, its challenger another")
    if not isinstance(content["id"], str) or not re.fullmatch("[0-9a-f]{32}", content["id"]):
        raise BeamfleetError("its 'id' must be 32 hexadecimal digits")
    split = Split(content["id"], tuple(sorted(labels.items())), plan)
    return split if stopped is None else _stopped(split, stopped)


def _stopped(split: Split, content: object) -> Split:
    texts = content if isinstance(content, dict) else {}
    if set(texts) != {"time", "reason"} or not all(isinstance(v, str) for v in texts.values()):
        raise BeamfleetError("its 'stopped' must be null, or have a time and a reason")
    return replace(split, stopped=texts["reason"] or "no reason", stopped_at=texts["time"])


def _check_shares(shares: object, shadow: bool) -> None:
    example = '{"champion": 90, "challenger": 10}'
    if not isinstance(shares, Mapping) or len(shares) != 2 or CHAMPION not in shares:
        raise BeamfleetError(f"traffic names {CHAMPION} and one other: {example}, got {shares!r}")
    for label, share in shares.items():
        if not isinstance(label, str) or not _LABEL.fullmatch(label):
            raise BeamfleetError(f"label {label!r} must be lower-case letters, digits, '-', '_'")
        if not (_is_number(share) and share >= 0):
            raise BeamfleetError(f"the share of {label} must be a number from 0, got {share!r}")
        if label == CHAMPION and share == 0:
            raise BeamfleetError("the champion needs a share; to replace it, push without traffic")
        if label != CHAMPION and (share == 0) != shadow:
            raise BeamfleetError(
                f"the share of {label} is {share:g} and shadow is {shadow}: a shadow has share 0, "
                "any other more"
            )


def _is_number(value: object) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1e300
    return whole or (isinstance(value, float) and math.isfinite(value))


def _time(name: str, value: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        time = value
    if time is not None and not (isinstance(time, datetime) and time.tzinfo):
        raise BeamfleetError(
            f'{name} must be a time in ISO 8601 with its zone, "2026-11-21T08:00+01:00", '
            f"got {value!r}"
        )
    return time


def _stop_rule(content: object) -> StopRule | None:
    if content is None:
        return None
    if not isinstance(content, Mapping) or not set(content) <= {
        field.name for field in fields(StopRule)
    }:
        raise BeamfleetError(
            'stop_rule takes {"max_error_share": 0.02, "max_p99_ms": 200, "min_requests": 500}, '
            f"got {content!r}"
        )
    return StopRule(**content)
