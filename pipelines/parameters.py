"""What the parameters of a node say, whatever JSON they hold."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

_FUNCTIONS = ("_fn", "clean")
_CODE = ("features", "code_fingerprint", "clean_fingerprint", "definition_fingerprint")
_FINGERPRINTS = ("fingerprint", "sha256")


def flat(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by dotted name, such as `custom_config.hparams.units`; lists stay whole."""
    found = [pair for name, value in parameters.items() for pair in _flat(name, value)]
    return dict(sorted(found))


def is_code(name: str) -> bool:
    """Whether a dotted name is that of a user's function or features, or of their fingerprint."""
    last = name.rpartition(".")[2]
    return last.endswith(_FUNCTIONS) or last in _CODE


def is_fingerprint(name: str) -> bool:
    """Whether a dotted name is that of a hash."""
    return name.rpartition(".")[2].endswith(_FINGERPRINTS)


def code(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The user's functions, and the fingerprints of their code, by dotted name."""
    return {name: str(value) for name, value in flat(parameters).items() if is_code(name) and value}


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    decoded = _decoded(value)
    if isinstance(decoded, Mapping) and decoded:
        for name, one in decoded.items():
            yield from _flat(f"{prefix}.{name}", one)
    else:
        yield prefix, decoded


def _decoded(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(("{", "[")):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
