"""What is known of the candidates for the one model of a pipeline, and how it looks."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.words import counted
from pipelines.metadata import Artifact, Run
from pipelines.render import escaped, figure, plain_table

if TYPE_CHECKING:
    from rich.console import Console

TRAINER = "Trainer"
"""Node of a lone model; of several `Trainer-<name>`."""


def comparison(evaluation: Artifact, file: Path | None) -> dict[str, Any]:
    """How one model was measured and chosen.

    Returns:
      intervals (low and high by metric), confidence, compared_with (in words), chosen (its name;
      empty for a lone one); candidates: the rows of candidates.parquet, if there are several.
    """
    properties = evaluation.properties
    section: dict[str, Any] = {
        "intervals": json.loads(properties.get("intervals") or "{}"),
        "confidence": properties.get("confidence"),
        "compared_with": properties.get("compared_with") or "",
        "chosen": properties.get("chosen") or "",
    }
    if file and section["chosen"]:
        import pyarrow.parquet as pq

        section["candidates"] = pq.read_table(file).to_pylist()
    return section


def warm_start(run: Run) -> dict[str, str]:
    """Where the training started, if that was asked for.

    Returns:
      uri of the model, empty if there was none yet; notes, of candidates with their names.
    """
    models = {n.name: n.output("model") for n in run.nodes if n.name.split("-")[0] == TRAINER}
    found = {
        name.partition("-")[2]: model.properties
        for name, model in models.items()
        if model and "warm_start" in model.properties
    }
    if not found:
        return {}
    notes = [
        f"{name}: {said['notes']}" if name else said["notes"]
        for name, said in found.items()
        if said.get("notes")
    ]
    return {"uri": next(iter(found.values()))["warm_start"] or "", "notes": "; ".join(notes)}


def warm_start_lines(section: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Where the training started."""
    if section:
        none = "no model is pushed or blessed yet: trained from scratch"
        yield "warm start", escaped(section["uri"]) or none
        if section["notes"]:
            yield "", f"[yellow]{escaped(section['notes'])}[/]"


def interval(section: Mapping[str, Any], metric: str) -> str:
    """` (0.91 to 0.93)`, or nothing."""
    ends = section.get("intervals", {}).get(metric)
    return f", {figure(ends[0])} to {figure(ends[1])}" if ends else ""


def show_candidates(section: Mapping[str, Any], console: "Console") -> None:
    """Prints the candidates with what they are compared with: as many metrics as fit."""
    rows = section.get("candidates") or []
    if not rows:
        return
    known = [name for name in rows[0] if f"{name}_low" in rows[0]]
    metrics = known[: max(1, (console.width - _WITHOUT_METRICS) // _METRIC_WIDTH)]
    table = plain_table("candidate", "verdict", *metrics, right=tuple(metrics))
    for row in rows:
        table.add_row(_name(row), _verdict(row), *(_value(row, metric) for metric in metrics))
    console.print(table)
    more = len(known) - len(metrics)
    hidden = f"; {counted(more, 'more metric')} with --json" if more else ""
    console.print(f"[dim]best by {known[0]}; {section['confidence']:.0%} intervals{hidden}[/]")
    for row in rows:
        if row["reason"]:
            console.print(f"[bold]{escaped(row['name'])}[/]: [yellow]{escaped(row['reason'])}[/]")


def _name(row: Mapping[str, Any]) -> str:
    words = {"pushed": "(pushed)", "blessed": "(latest blessed)", "constant": "(best constant)"}
    return words.get(row["role"], escaped(row["name"]))


def _value(row: Mapping[str, Any], metric: str) -> str:
    low, high = row[f"{metric}_low"], row[f"{metric}_high"]
    ends = "" if low is None else f"\n[dim]{figure(low)} to {figure(high)}[/]"
    return figure(row[metric]) + ends


def _verdict(row: Mapping[str, Any]) -> str:
    if row["passes"] is None:
        return ""
    word = "[green]passes[/]" if row["passes"] else "[yellow]fails[/]"
    return f"{word}, the best" if row["chosen"] else word


_METRIC_WIDTH = 19
"""Characters of `0.8765 to 0.8941` with the space around."""
_WITHOUT_METRICS = 55
"""Characters of names and verdicts."""
