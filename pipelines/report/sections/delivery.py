"""Where the model went: the pushed version, and what it predicted in bulk."""

from pipelines.report.markup import Html, absent, badge, bar, facts, fill, join, notice, table
from pipelines.report.source import Source
from pipelines.report.words import count

_PERSON = ("label", "approval", "approval_by", "approval_time", "approval_why", "approve")
"""What a push says of a person's approval, where one is asked for."""


def render(source: Source) -> Html:
    """Push, then bulk inference."""
    return join([Html("<h3>Pushed version</h3>"), _push(source),
                 Html("<h3>Bulk inference</h3>"), _inference(source)])  # fmt: skip


def _push(source: Source) -> Html:
    section = source.summary.push
    if not section:
        return absent("This run has no .push_to(), or it ended before it.")
    pushed, version = section["pushed"], section["version"]
    verdict = badge(f"version {version} pushed" if pushed else "nothing new pushed",
                    "good" if pushed else "warn")  # fmt: skip
    known = [("directory", section["directory"]), ("reason", section["reason"] or "-")]
    current = section["current"]
    known.append(("current when this page was made", f"version {current}" if current else "none"))
    known += [(name.replace("_", " "), str(section[name])) for name in _PERSON if section.get(name)]
    parts = [fill("<p>{}</p>", verdict), facts(known)]
    if section.get("problem"):
        parts.append(notice(section["problem"], "bad"))
    if pushed and current and current != version:
        parts.append(notice(f"Version {current} is current, not version {version} of this run."))
    return join(parts)


def _inference(source: Source) -> Html:
    section = source.summary.inference
    if not section:
        return absent("This run predicted no rows in bulk.")
    if section.get("skipped"):
        return notice(f"Skipped: {section['skipped']}")
    total = section.get("rows_in", 0) or 1
    names = (
        ("rows_in", "rows to predict", "quiet"),
        ("rows", "predicted", "good"),
        ("rows_fallback", "of these by the fallback", ""),
        ("rows_failed", "failed, in dead_letters", "bad"),
        ("rows_rejected", "beside these, could not be read", "bad"),
    )
    rows = [
        (words, bar(section[name] / total, count(section[name]), kind))
        for name, words, kind in names
        if section.get(name) is not None
    ]
    version = section.get("model_version")
    where = source.summary.paths.get("predictions", "")
    known = [("model", f"version {version}" if version else "the run's own")]
    known += [("predictions", where)] if where else []
    return join([table(["rows", "count"], rows, label="Bulk inference"), facts(known)])
