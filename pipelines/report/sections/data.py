"""The rows: how many, how they are distributed, and what is odd about them."""

from collections.abc import Iterator, Mapping, Sequence

from components.words import counted
from pipelines.report.data.statistics import (
    Column,
    Distance,
    Statistics,
    read_distances,
    read_schema,
    read_statistics,
)
from pipelines.report.markup import Html, absent, bar, details, fill, join, notice, table
from pipelines.report.sections.histogram import drawing
from pipelines.report.source import Source
from pipelines.report.words import count, metric, percent, value

_MOST_COLUMNS = 150
_MOST_ANOMALIES = 100


def render(source: Source) -> Html:
    """Rows by split, anomalies, drift and skew, the columns, the schema."""
    return join(
        [
            _rows(source),
            _anomalies(source),
            _distances(source),
            _columns(read_statistics(source)),
            _schema(source),
        ]
    )


def _rows(source: Source) -> Html:
    section = source.summary.examples
    if not section:
        return absent("The run has read no rows.")
    apart = ("rows_in", "rows_rejected", "rows_gap", "rows_eval_in_train")
    splits = {
        name.removeprefix("rows_"): rows
        for name, rows in sorted(section.items(), key=lambda i: (i[0] != "rows_train", i[0]))
        if name.startswith("rows_") and name not in apart
    }
    total = section.get("rows_in", 0) or 1
    rows = [
        (f"split {name}", bar(n / total, count(n)), percent(n / total))
        for name, n in splits.items()
    ]
    rejected = section.get("rows_rejected", 0)
    rows.append(
        ("rejected", bar(rejected / total, count(rejected), "warn"), percent(rejected / total))
    )
    if gap := section.get("rows_gap"):
        rows.append(
            ("in the gap between splits", bar(gap / total, count(gap)), percent(gap / total))
        )
    rows.append(("read in all", bar(1, count(section.get("rows_in", 0)), "quiet"), "100.0 %"))
    notes = [notice(note) for note in section.get("notes", ())]
    if both := section.get("rows_eval_in_train"):
        notes.append(notice(f"{count(both)} rows of the evaluation are also in the training."))
    if where := section.get("rejects"):
        notes.append(notice(f"Rejected rows with their reasons: {where}", "info"))
    return join([table(["rows", "count", "share"], rows, label="Rows by split"), *notes])


def _anomalies(source: Source) -> Html:
    section = source.summary.validation
    head = Html("<h3>Anomalies</h3>")
    if not section:
        return join([head, absent("This run did not validate its rows against a schema.")])
    if not section["anomalies"]:
        return join([head, notice("None: the rows fit the schema.", "good")])
    lines = join(fill("<li>{}</li>", line) for line in section["found"][:_MOST_ANOMALIES])
    more = section["anomalies"] - min(len(section["found"]), _MOST_ANOMALIES)
    parts: list[Html] = [head, fill('<ul class="anomalies">{}</ul>', lines)]
    if more > 0:
        parts.append(notice(f"{more} more are in {section['path']}", "info"))
    if columns := section.get("proposed"):
        parts.append(notice(f"A change of the reviewed schema is proposed: {', '.join(columns)}"))
    return join(parts)


def _distances(source: Source) -> Html:
    found = read_distances(source)
    head = Html("<h3>Drift and skew</h3>")
    if not found:
        notes = source.summary.validation.get("notes") or "no thresholds for drift or skew are set"
        return join([head, absent(f"Not measured: {notes}.")])
    rows = [
        (d.column, d.kind, d.split, d.measure, _distance(d), metric(d.threshold), _judged(d))
        for d in found
    ]
    columns = ["column", "kind", "split", "measure", "distance", "threshold", "verdict"]
    text = fill(
        '<p class="hint">{}</p>',
        "Drift: from the span before; skew: from the rows to predict. L-infinity is the largest "
        "change of one value's share; Jensen-Shannon divergence is between 0 and 1.",
    )
    return join([head, table(columns, rows, label="Drift and skew", text=4), text])


def _distance(one: Distance) -> Html:
    kind = "bad" if one.value > one.threshold else "good"
    return bar(one.value / (2 * one.threshold) if one.threshold else 1, metric(one.value), kind)


def _judged(one: Distance) -> Html:
    far = one.value > one.threshold
    return fill(
        '<span class="word {}">{}</span>', "bad" if far else "good", "over" if far else "within"
    )


def _columns(statistics: Statistics | None) -> Html:
    head = Html("<h3>Columns</h3>")
    if statistics is None or not statistics.columns:
        return join([head, absent("This run has no statistics: add .generate_statistics().")])
    splits = list(statistics.rows)
    shown = list(statistics.columns.items())[:_MOST_COLUMNS]
    cards = join((_card(name, column, splits) for name, column in shown), "\n")
    legend = join(
        fill(
            '<span class="key s{}">{} ({} rows)</span>', place, split, count(statistics.rows[split])
        )
        for place, split in enumerate(splits)
    )
    more = len(statistics.columns) - len(shown)
    rest = (
        notice(f"{more} more columns are in the statistics artifact.", "info") if more > 0 else ""
    )
    return join(
        [head, fill('<p class="legend">{}</p><div class="cards">{}</div>{}', legend, cards, rest)]
    )


def _card(name: str, by_split: Mapping[str, Column], splits: Sequence[str]) -> Html:
    columns = [(splits.index(split), column) for split, column in by_split.items()]
    first = columns[0][1]
    facts = join(_facts(by_split), " · ")
    return fill(
        '<article class="card column"><h4>{} <small>{}</small></h4>{}'
        '<p class="facts-line">{}</p></article>',
        name, first.type, drawing(name, columns), facts,
    )  # fmt: skip


def _facts(by_split: Mapping[str, Column]) -> Iterator[Html]:
    first = next(iter(by_split.values()))
    missing, rows = (sum(getattr(c, n) for c in by_split.values()) for n in ("missing", "rows"))
    if missing:
        yield fill('<b class="word warn">{} missing</b>', percent(missing / rows if rows else 0))
    else:
        yield Html("none missing")
    figures = first.figures
    if "mean" in figures:
        split = f"{next(iter(by_split))}: " if len(by_split) > 1 else ""
        yield fill("{}mean {}", split, value(figures["mean"]))
        yield fill("median {}", value(figures["median"]))
        yield fill("{} to {}", value(figures["min"]), value(figures["max"]))
    if "unique" in figures:
        yield fill("{} different values", count(figures["unique"]))


def _schema(source: Source) -> Html:
    rows = read_schema(source)
    if not rows:
        return join([Html("<h3>Schema</h3>"), absent("This run has no schema.")])
    made = table(["column", "type", "presence", "domain"], rows, label="Schema", text=99)
    return join([Html("<h3>Schema</h3>"), details(counted(len(rows), "column"), made)])
