"""What the run cost: time, CPU and memory of each node, and the dearest entities."""

from collections.abc import Sequence

from components.words import counted
from pipelines.metadata import Node
from pipelines.report.data.costs import Costs, Fit, read_costs
from pipelines.report.data.entities import read_table
from pipelines.report.markup import Html, absent, badge, bar, fill, join, table
from pipelines.report.sections.headline import STATES
from pipelines.report.source import Source
from pipelines.report.words import count, duration, megabytes, percent, short_time

_DEAREST = 10


def render(source: Source) -> Html:
    """Nodes, then entities."""
    return join([_nodes(source), _entities(source)])


def _nodes(source: Source) -> Html:
    nodes = source.run.nodes
    if not nodes:
        return absent("No node ran.")
    longest = max(node.seconds for node in nodes) or 1.0
    busiest = max(node.cpu_seconds or 0 for node in nodes) or 1.0
    rows = [_row(node, longest, busiest) for node in nodes]
    wall, cpu = (sum(n.seconds for n in nodes), sum(n.cpu_seconds or 0 for n in nodes))
    peak = max((n.peak_mb or 0 for n in nodes), default=0)
    rows.append(
        ("all nodes", "", duration(wall), duration(cpu), megabytes(peak) if peak else "-", "")
    )
    rest = max(0.0, source.run.seconds - wall)
    text = (
        f"The run took {duration(source.run.seconds)}, of it {duration(rest)} around the nodes "
        "(imports, and what is between them). Memory is that of the process and its children, "
        "shared pages counted in each; "
        "nodes run in one process, so that what one keeps is in the next one's peak too."
    )
    heads = ["node", "state", "wall time", "CPU time", "peak memory", "more than at its start"]
    return join(
        [
            table(heads, rows, label="Cost of the nodes", text=2),
            fill('<p class="hint">{}</p>', text),
        ]
    )


def _row(node: Node, longest: float, busiest: float) -> tuple[object, ...]:
    cpu: object = None
    if node.cpu_seconds is not None:
        cpu = bar(node.cpu_seconds / busiest, duration(node.cpu_seconds))
    grown = None
    if node.peak_mb is not None and node.start_mb is not None:
        grown = f"+{megabytes(node.peak_mb - node.start_mb)}"
    return (
        node.name,
        badge(node.state, STATES.get(node.state, "quiet")),
        bar(node.seconds / longest, duration(node.seconds)),
        cpu,
        megabytes(node.peak_mb),
        grown,
    )


def _entities(source: Source) -> Html:
    costs = read_costs(source)
    if costs is not None:
        return _dearest(costs, source) if costs.fits else Html("")
    return _by_rows(source)


def _dearest(costs: Costs, source: Source) -> Html:
    """The dearest entities by the CPU seconds of their fits."""
    shown, total = costs.fits[:_DEAREST], costs.seconds
    most = shown[0].seconds or 1.0
    rows = [
        (f.name, count(f.rows), bar(f.seconds / most, short_time(f.seconds)),
         percent(f.seconds / total if total else None))
        for f in shown
    ]  # fmt: skip
    heads = ["entity", "rows", "CPU time of the fit", "share of all"]
    return join(
        [
            fill("<h3>Dearest entities</h3>"),
            table(heads, rows, label="Dearest entities"),
            fill('<p class="hint">{}</p>', _told(costs, shown, source)),
        ]
    )


def _told(costs: Costs, shown: Sequence[Fit], source: Source) -> str:
    total, top = costs.seconds, sum(fit.seconds for fit in shown)
    text = (
        f"{counted(len(costs.fits), 'fit')} took {short_time(total)} of CPU in all; "
        f"{percent(top / total if total else None)} of it went to the dearest {len(shown)}. "
        f"The model of all rows took {short_time(costs.fallback_seconds)} more."
    )
    if costs.unknown:
        text += f" Of {counted(costs.unknown, 'fit')} the process died: its time is not known."
    node = source.run.node("EntityTrainer")
    if node and node.state == "cached":
        text += " Trained in an earlier run: the models come from the cache."
    return text


def _by_rows(source: Source) -> Html:
    """Of a training that did not record its costs."""
    found = read_table(source)
    trained = found.column("rows_trained") if found else []
    if found is None or not any(trained):
        return Html("")
    names = found.column("name")
    order = sorted(range(len(trained)), key=lambda i: -(trained[i] or 0))[:_DEAREST]
    most = trained[order[0]]
    rows = [(names[i], bar(trained[i] / most, count(trained[i]))) for i in order if trained[i]]
    text = f"The largest {len(rows)}; this training did not record the seconds of single entities."
    return join(
        [
            fill("<h3>Dearest entities</h3>"),
            table(["entity", "rows trained"], rows, label="Dearest entities"),
            fill('<p class="hint">{}</p>', text),
        ]
    )
