"""With what it ran: versions, commit, fingerprints of the code, parameters of the nodes."""

import json
from typing import Any

from components.words import counted
from pipelines.report.markup import (
    Html,
    absent,
    details,
    facts,
    fill,
    join,
    notice,
    plain,
    shortened,
    table,
)
from pipelines.report.sections.lineage import code_fingerprints
from pipelines.report.source import Source

_MOST = 400
"""Characters of a parameter."""


def render(source: Source) -> Html:
    """What the run noted when it ended; what this page is made with is not mixed into it."""
    found = source.run.environment
    unknown = "It is not known with what it ran: it was killed, or an older release ran it."
    versions = facts(found.items(), "two") if found else notice(unknown, "info")
    code = list(code_fingerprints(source))
    prints = table(["code", "fingerprint"], code, label="Code", text=99) if code else absent(
        "This run used no code of a user."
    )  # fmt: skip
    return join(
        [versions, Html("<h3>Code</h3>"), prints, Html("<h3>Parameters</h3>"), _parameters(source)]
    )


def _parameters(source: Source) -> Html:
    rows = [
        (node.name, name, _value(value))
        for node in source.run.nodes
        for name, value in sorted(node.parameters.items())
    ]
    if not rows:
        return absent("The nodes of this run have no parameters.")
    made = table(["node", "parameter", "value"], rows, label="Parameters", text=99)
    return details(f"{counted(len(rows), 'parameter')} of the nodes", made)


def _value(value: Any) -> Html:
    text = json.dumps(value) if isinstance(value, (dict, list)) else plain(value)
    return fill('<code class="value">{}</code>', shortened(text, _MOST))
