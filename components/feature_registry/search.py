"""Finds declarations by words. The registry is small: a scan of it takes a few milliseconds."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from components.feature_registry.records import Record

_SAME, _WORD, _BEGIN, _WITHIN = 10.0, 6.0, 4.0, 1.0


@dataclass(frozen=True)
class Found:
    """A declaration that has all the words."""

    record: Record
    score: float
    where: tuple[str, ...]
    """What they were found in, the best first: `feature mean_4h`, `owner`."""


def found(records: Iterable[Record], text: str) -> list[Found]:
    """Those in which every word of the text occurs, the best first.

    A name counts most, then features, then columns and sources, owner and description; a whole
    name more than a word of it, a word more than the beginning or the middle of one.
    """
    words = text.casefold().split()
    hits = [one for record in records if (one := _hit(record, words)) is not None]
    return sorted(hits, key=lambda one: (-one.score, one.record.name, one.record.kind))


def _hit(record: Record, words: list[str]) -> Found | None:
    total, where = 0.0, dict[str, float]()
    fields = list(_fields(record))
    for word in words:
        scored = [(weight * _score(word, text), said) for said, text, weight in fields]
        best = max(scored)
        if not best[0]:
            return None
        total += best[0]
        for score, said in scored:
            if score:
                where[said] = max(score, where.get(said, 0.0))
    return Found(record, total, tuple(sorted(where, key=lambda said: -where[said])))


def _fields(record: Record) -> Iterator[tuple[str, str, float]]:
    """What it was found in, its text, and how much that counts."""
    yield "name", record.name, 10
    kind = "key" if record.kind == "entity" else "feature"
    own = 4 if record.kind == "service" else 6  # it only reads them
    for name, _ in record.schema:
        yield f"{kind} {name}", name, own
    facts = record.facts
    for name in (*facts.get("sources", ()), *filter(None, [facts.get("labels")])):
        yield f"source {name}", name, 4
    for name in facts.get("entities", ()):
        yield f"entity {name}", name, 4
    columns = [*facts.get("keys", ()), *facts.get("columns", {}).values()]
    columns += [facts.get(name) for name in ("event_time", "created", "id", "label")]
    for name in dict.fromkeys(filter(None, [*columns, facts.get("timestamp_field")])):
        yield f"column {name}", name, 3
    yield "owner", record.owner, 3
    yield "description", record.description, 2
    yield "place", f"{facts.get('batch', '')} {facts.get('stream', '')}", 1


def _score(word: str, text: str) -> float:
    text = text.casefold()
    if word not in text:
        return 0.0
    if word == text:
        return _SAME
    parts = re.split(r"[\W_]+", text)
    if word in parts:
        return _WORD
    return _BEGIN if any(part.startswith(word) for part in parts) else _WITHIN
