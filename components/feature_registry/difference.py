"""What two definitions differ in, field by field, and of code line by line."""

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from components.features.code import WRITTEN


@dataclass(frozen=True)
class Difference:
    """One field."""

    field: str
    """Such as `window.size_us` or `event_transforms[0].reads.LIMIT`."""
    old: str | None
    """As JSON, of code its text; None: it was not there."""
    new: str | None
    code: bool = False
    """Whether it is the text of a function or class."""

    @property
    def lines(self) -> list[str]:
        """For people: `field: old -> new`, or the field and the changed lines."""
        if not self.code:
            old, new = ("(none)" if one is None else one for one in (self.old, self.new))
            return [f"{self.field}: {old} -> {new}"]
        old_lines, new_lines = ((one or "").splitlines() for one in (self.old, self.new))
        changed = list(difflib.unified_diff(old_lines, new_lines, lineterm="", n=1))[2:]
        shown = [line for line in changed if not line.startswith("@@")]
        return [f"{self.field}:", *(f"  {line}" for line in shown)]


def differences(old: Any, new: Any, where: str = "") -> list[Difference]:
    """Where two definitions differ; nothing for two that mean the same."""
    return list(_differing(old, new, where))


def _differing(old: Any, new: Any, where: str) -> Iterator[Difference]:
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _of_objects(old, new, where)
    elif _is_schema(old) and _is_schema(new):
        yield from _of_schemas(old, new, where)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for place, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _differing(one, other, f"{where}[{place}]")
    elif old != new:
        yield Difference(where, _text(old), _text(new))


def _of_schemas(old: list[Any], new: list[Any], where: str) -> Iterator[Difference]:
    if [*map(_first, old)] != [*map(_first, new)]:  # others, or in another order
        yield Difference(where, _text(old), _text(new))
        return
    for (name, one), (_, other) in zip(old, new, strict=True):
        yield from _differing(one, other, f"{where}.{name}")


def _of_objects(old: dict[str, Any], new: dict[str, Any], where: str) -> Iterator[Difference]:
    if "code" in old and "code" in new and WRITTEN in old:
        if old["code"] != new["code"]:
            yield Difference(where, old[WRITTEN], new[WRITTEN], code=True)
    elif (WRITTEN in old and WRITTEN not in new) or (WRITTEN in new and WRITTEN not in old):
        yield Difference(where, old.get(WRITTEN, _text(old)), new.get(WRITTEN, _text(new)), True)
        return
    for name in dict.fromkeys([*old, *new]):
        if name in (WRITTEN, "code") and WRITTEN in old:
            continue
        inner = f"{where}.{name}" if where else name
        if name in old and name in new:
            yield from _differing(old[name], new[name], inner)
        else:
            yield _one_sided(inner, old.get(name), new.get(name))


def _one_sided(where: str, old: Any, new: Any) -> Difference:
    there = old if old is not None else new
    if isinstance(there, dict) and WRITTEN in there:
        texts = [one[WRITTEN] if one is not None else None for one in (old, new)]
        return Difference(where, texts[0], texts[1], code=True)
    return Difference(where, _text(old), _text(new))


def _is_schema(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(one, list) and len(one) == 2 and isinstance(one[0], str) for one in value
        )
    )


def _first(pair: list[Any]) -> Any:
    return pair[0]


def _text(value: Any) -> str | None:
    return None if value is None else json.dumps(_short(value), ensure_ascii=False)


def _short(value: Any) -> Any:
    """Code by its first line: the whole of it is shown where it changed."""
    if isinstance(value, dict):
        if WRITTEN in value:
            return value[WRITTEN].splitlines()[0]
        return {key: _short(one) for key, one in value.items()}
    return [_short(one) for one in value] if isinstance(value, list) else value
