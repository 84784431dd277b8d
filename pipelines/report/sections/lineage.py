"""From the files that were read to the model that was pushed: what was made from what."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.words import counted
from pipelines.metadata import Artifact, Node
from pipelines.report.markup import Html, absent, details, facts, fill, join, shortened, table
from pipelines.report.source import Source
from pipelines.report.words import count

_PRINT = 12
"""Characters of a fingerprint that are shown; the whole one is its tooltip."""


def render(source: Source) -> Html:
    """Inputs, artifacts by node, the pushed version."""
    if not source.run.nodes:
        return absent("No node ran, so that nothing was made.")
    return join(
        [
            Html("<h3>What was read</h3>"),
            _inputs(source),
            Html("<h3>What was made of it</h3>"),
            _artifacts(source),
            Html("<h3>What was pushed</h3>"),
            _pushed(source),
        ]
    )


def _inputs(source: Source) -> Html:
    rows = [_input(node) for node in source.run.nodes if "input_fingerprint" in node.parameters]
    if not rows:
        return absent("No node of this run reads files.")
    heads = ["read by", "files", "span", "fingerprint of the files", "rows read", "rejected"]
    return table(heads, rows, label="Inputs", text=4)


def _input(node: Node) -> tuple[object, ...]:
    examples = node.output("examples")
    known: Mapping[str, Any] = examples.properties if examples else {}
    span = node.parameters.get("span")
    return (
        node.name,
        join((fill("<div>{}</div>", path) for path in _paths(node)), ""),
        "-" if span is None else _window(node, int(span)),
        fingerprint(str(node.parameters["input_fingerprint"])),
        count(known["rows_in"]) if "rows_in" in known else None,
        count(known["rows_rejected"]) if "rows_rejected" in known else None,
    )


def _source(node: Node) -> Mapping[str, Any]:
    given = node.parameters.get("source") or "{}"
    config: Any = json.loads(given) if isinstance(given, str) else given
    found = config.get("source", config) if isinstance(config, dict) else {}
    return found if isinstance(found, dict) else {}


def _paths(node: Node) -> list[str]:
    paths = _source(node).get("paths") or node.parameters.get("paths") or []
    try:
        listed = json.loads(paths) if isinstance(paths, str) and paths.startswith("[") else paths
    except ValueError:
        listed = paths
    return [str(p) for p in ([listed] if isinstance(listed, str) else listed)] or ["-"]


def _window(node: Node, span: int) -> str:
    window = int(_source(node).get("window") or 1)
    return f"{span - window + 1} to {span}" if window > 1 else str(span)


def _artifacts(source: Source) -> Html:
    makers = {a.uri: n.name for n in source.run.nodes for a in n.outputs}
    rows = [
        (*_once(place, node.name), artifact.key, artifact.type,
         *_once(place, _from(node, makers)), _where(artifact, source), _size(artifact))
        for node in source.run.nodes
        for place, artifact in enumerate(node.outputs)
    ]  # fmt: skip
    if not rows:
        return absent("The nodes of this run made nothing.")
    made = table(["made by", "output", "type", "made from", "where", "rows"], rows,
                 label="Artifacts", text=5)  # fmt: skip
    root = fill('<p class="hint">Paths are below {}</p>', source.run.root)
    return details(counted(len(rows), "artifact"), join([made, root]), is_open=len(rows) <= 30)


def _once(place: int, text: str) -> tuple[str]:
    """What is the same for all outputs of a node stands beside the first."""
    return ("" if place else text,)


def _from(node: Node, makers: Mapping[str, str]) -> str:
    names = dict.fromkeys(f"{makers.get(a.uri, 'an earlier run')}: {a.key}" for a in node.inputs)
    return ", ".join(names) or "-"


def _where(artifact: Artifact, source: Source) -> str:
    try:
        return str(Path(artifact.uri).relative_to(source.run.root))
    except ValueError:
        return artifact.uri


def _size(artifact: Artifact) -> str:
    rows = artifact.properties.get("rows_in", artifact.properties.get("rows"))
    return "-" if rows is None else count(int(rows))


def _pushed(source: Source) -> Html:
    section = source.summary.push
    if not section or not section.get("version"):
        return absent("This run has pushed nothing, and no version was there before.")
    version, directory = section["version"], section["directory"]
    known: list[tuple[str, object]] = [("version", f"{version} in {directory}")]
    file = Path(directory, str(version), "version.json")
    if file.is_file():
        document = json.loads(file.read_text(encoding="utf-8"))
        known += [
            ("pushed at", _time(str(document.get("created", "-")))),
            ("candidate", document.get("candidate_uri", "-")),
            ("compared with", _version(document.get("baseline_version"))),
            ("version before", _version(document.get("previous_version"))),
            ("fingerprint of the model", _print(document, "store_fingerprint")),
            ("fingerprint of its interface", _print(document, "schema_fingerprint")),
        ]
    else:
        known.append(("", "the version's folder is not there any more"))
    return facts(known)


def _time(iso: str) -> str:
    return iso.replace("T", " ").replace("+00:00", " UTC")


def _print(document: Mapping[str, Any], name: str) -> Html:
    return fingerprint(str(document.get(name, "-")))


def _version(number: object) -> str:
    return f"version {number}" if number else "none"


def fingerprint(text: str) -> Html:
    """Its first characters, the whole of it at a touch."""
    return fill(
        '<code title="{}">{}</code>', text, text[:_PRINT] + ("…" if len(text) > _PRINT else "")
    )


def code_fingerprints(source: Source) -> Iterator[tuple[str, Html]]:
    """Node and parameter -> fingerprint, of all code that the run used."""
    for node in source.run.nodes:
        for name, value in node.parameters.items():
            if name.endswith("_fingerprint") and name != "input_fingerprint" and value:
                yield f"{node.name}: {name.removesuffix('_fingerprint')}", fingerprint(str(value))
        config = node.parameters.get("custom_config")
        if isinstance(config, str) and "code_fingerprint" in config:
            code = json.loads(config)["code_fingerprint"]
            yield f"{node.name}: code", fingerprint(shortened(str(code), 80))
