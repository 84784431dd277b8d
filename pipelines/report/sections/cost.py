"""What the run cost: time, CPU and memory of each node, and the dearest entities."""

from pipelines.metadata import Node
from pipelines.report.data.entities import read_table
from pipelines.report.markup import Html, absent, badge, bar, fill, join, table
from pipelines.report.sections.headline import STATES
from pipelines.report.source import Source
from pipelines.report.words import count, duration, megabytes

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
    found = read_table(source)
    if found is None:
        return Html("")
    seconds, trained = found.column("fit_seconds"), found.column("rows_trained")
    by, words = (seconds, "fit seconds") if any(seconds) else (trained, "rows trained")
    if not any(by):
        return Html("")
    names = found.column("name")
    order = sorted(range(len(by)), key=lambda i: -(by[i] or 0))[:_DEAREST]
    most = by[order[0]] or 1
    rows = [(names[i], bar((by[i] or 0) / most, count(by[i] or 0))) for i in order if by[i]]
    why = "" if any(seconds) else "; seconds of single entities are not recorded"
    return join(
        [
            fill("<h3>Dearest entities</h3>"),
            table(["entity", words], rows, label="Dearest entities"),
            fill('<p class="hint">{}</p>', f"By {words}, the largest {len(rows)}{why}."),
        ]
    )
