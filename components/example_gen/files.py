"""Finds the input files of a source: folders, patterns, spans, and a fingerprint of it all."""

import filecmp
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from components.errors import BeamfleetError
from components.example_gen.source import SPAN, VERSION, GivenSplit, IngestConfig, Source
from components.files import is_remote
from components.matching import FoundFile, match

_SUFFIXES = {
    "CsvSource": (".csv", ".data", ".txt", ".tsv"),
    "ParquetSource": (".parquet", ".pq"),
    "TFRecordSource": (".tfrecord", ".tfrecords", ".tfrecord_gz", ".rio"),
}


@dataclass(frozen=True)
class InputFiles:
    """The files that one run reads."""

    main: tuple[str, ...]
    """Files of the source, in name order."""
    evaluation: tuple[str, ...]
    """Files of the `eval` split, if it has its own."""
    spans: tuple[int, ...]
    """Spans that `{SPAN}` stood for, oldest first; () without one."""
    fingerprint: str
    """SHA-256 over names, sizes and times of change; of local files also over their inodes, since
    programs may set the other time back, as `cp -p` does."""


def find_files(config: IngestConfig) -> InputFiles:
    """Resolves the paths of a configuration.

    Raises:
      BeamfleetError: a path matches no file, there is no such span, or the files to evaluate on
        are those to train on.
    """
    given = config.splits.eval_paths if isinstance(config.splits, GivenSplit) else ()
    spans = _choose_spans(config.source)
    suffixes = _SUFFIXES[type(config.source).__name__]
    main, evaluation = (
        [
            metadata
            # Once each: a path without a span is the same for all of them.
            for path in dict.fromkeys(p.replace(SPAN, d) for d in spans.values() for p in paths)
            for metadata in _list(_newest_version(path), suffixes)
        ]
        for paths in (config.source.paths, given)
    )
    _check_apart(main, evaluation)
    lines = [
        f"{split} {m.path} {_state(m)}"
        for split, files in (("main", main), ("eval", evaluation))
        for m in files
    ]
    return InputFiles(
        main=tuple(m.path for m in main),
        evaluation=tuple(m.path for m in evaluation),
        spans=tuple(number for number in spans if number is not None),
        fingerprint=hashlib.sha256("\n".join(lines).encode()).hexdigest(),
    )


def _state(metadata: FoundFile) -> str:
    """Returns what changes when the file does."""
    if is_remote(metadata.path):
        return f"{metadata.size_in_bytes} {metadata.last_updated_in_seconds}"
    stat = Path(metadata.path).stat()
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"


def _check_apart(main: Sequence[FoundFile], evaluation: Sequence[FoundFile]) -> None:
    """Refuses a file that is in both lists, and eval files that are all copies.

    Single copies are left to the comparison of rows: two files may well have no rows.
    """
    identities = {_identity(m): m for m in main}
    pairs = [(e, identities[_identity(e)]) for e in evaluation if _identity(e) in identities]
    if not pairs:
        pairs = [(e, m) for e in evaluation for m in main if _is_copy(e, m)]
        pairs = pairs if len({e.path for e, _ in pairs}) == len(evaluation) else []
    for eval_file, file in pairs:
        raise BeamfleetError(
            f"{eval_file.path} is to evaluate on, but it is {file.path}, which is to train on, or "
            "a copy of it; give eval data of its own"
        )


def _identity(metadata: FoundFile) -> str | tuple[int, int]:
    """Returns what a file shares with its links alone."""
    if is_remote(metadata.path):
        return str(metadata.path)
    stat = Path(metadata.path).stat()
    return stat.st_dev, stat.st_ino


def _is_copy(one: FoundFile, other: FoundFile) -> bool:
    if one.size_in_bytes != other.size_in_bytes or is_remote(one.path) or is_remote(other.path):
        return False
    return filecmp.cmp(one.path, other.path, shallow=False)


def _choose_spans(source: Source) -> dict[int | None, str]:
    """Spans and the digits that stand for them in the paths (`7` may be `007`), oldest first.

    Empty where `source.back` leads before the first one.

    Raises:
      BeamfleetError: the span that was asked for, or any, is not there.
    """
    patterns = [path for path in source.paths if SPAN in path]
    if not patterns:
        return {None: ""}
    digits: dict[int, str] = {}
    for pattern in patterns:
        digits |= _numbers(pattern.replace(VERSION, "*"), SPAN)
    newest = max(digits, default=None) if source.span is None else source.span
    if newest is None or newest not in digits:
        there = f"there are spans {sorted(digits)}" if digits else "there is no span at all"
        raise BeamfleetError(f"span {newest if newest is not None else ''} of {patterns}: {there}")
    older = sorted((n for n in digits if n <= newest), reverse=True)[source.back :]
    return {n: digits[n] for n in sorted(older) if older[0] - source.window < n}


def _newest_version(path: str) -> str:
    """The path with its highest version.

    Raises:
      BeamfleetError: there is none.
    """
    if VERSION not in path:
        return path
    versions = _numbers(path, VERSION)
    if not versions:
        raise BeamfleetError(f"{path}: there is no version at all")
    return path.replace(VERSION, versions[max(versions)])


def _numbers(pattern: str, name: str) -> dict[int, str]:
    """Numbers that stand where the name stands, with their digits."""
    expression = re.escape(pattern).replace(re.escape(name), "([0-9]+)", 1)
    expression = expression.replace(re.escape(name), "[0-9]+").replace(r"\*", "[^/]*")
    expression = expression.replace(r"\?", "[^/]") + "(/|$)"
    matches = (re.match(expression, m.path) for m in _match(pattern.replace(name, "*")))
    return {int(found[1]): found[1] for found in matches if found}


def _list(path: str, suffixes: Sequence[str]) -> list[FoundFile]:
    """Returns the files of a path, a pattern, or a folder (there: those of the format)."""
    is_folder = bool(match(path.rstrip("/") + "/*"))
    matches = _match(path)
    if not matches:
        raise BeamfleetError(f"{path} does not exist, is empty, or matches no file")
    if is_folder:
        listed = [
            m for m in matches if m.path.lower().removesuffix(".gz").endswith(tuple(suffixes))
        ]
        if not listed:
            names = [m.path.rsplit("/", 1)[-1] for m in matches[:5]]
            raise BeamfleetError(f"{path} has no file that ends in {suffixes}; it has {names}")
        return listed
    return matches


def _match(path: str) -> list[FoundFile]:
    """Returns what a path, pattern or folder matches in name order, without hidden files."""
    found = match(path.rstrip("/") + "/*") or match(path)
    visible = [
        m
        for m in found
        # An empty local folder matches its own name.
        if not m.path.rsplit("/", 1)[-1].startswith((".", "_")) and not Path(m.path).is_dir()
    ]
    return sorted(visible, key=lambda metadata: str(metadata.path))
