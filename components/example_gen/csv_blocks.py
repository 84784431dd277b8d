"""Cuts a CSV file into blocks of whole records, with the line that each starts on."""

import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from components.errors import BeamfleetError

BLOCK_BYTES = 8 * 2**20
_TEXT_BYTES = 4096
RECORD_LIMIT_BYTES = 16 * 2**20
"""A quoted value that is longer is taken for a quote that somebody forgot to close."""


@dataclass(frozen=True)
class CsvBlock:
    """Whole records of one file."""

    file: str
    first_line: int
    """Line of the file on which the block starts, from 1."""
    data: bytes
    unclosed_quote: bool = False
    """The block is one line that opens a quote which nothing closes."""


class Quoting:
    """Finds quoted values in the bytes of a CSV file with a given delimiter.

    A quote opens a quoted value only at the start of a value (after spaces); elsewhere it is an
    ordinary character, as for Python's `csv` module and for pyarrow.
    """

    def __init__(self, delimiter: str) -> None:
        before = rb"(\A|[\n\r]|" + re.escape(delimiter.encode()) + rb")"
        quoted = rb'"[^"]*(?:""[^"]*)*(?:"(?!")|\Z)'
        self._quoted_value = re.compile(before + rb" *(" + quoted + rb")")
        edge = rb"[\n\r" + re.escape(delimiter.encode()) + rb"]"
        after = rb"(?=" + edge + rb"|\Z)"
        self._space_at_edge = re.compile(rb" (?:" + after + rb"|(?<=" + edge + rb" ))")
        self._any_value = re.compile(before + rb" *((?:" + quoted + rb")?)| +" + after)

    def spans(self, data: bytes) -> list[tuple[int, int]]:
        """Returns (start, end) of each quoted value; `data` starts with a record.

        The end of a value that is not closed lies one beyond the data.
        """
        if b'"' not in data:
            return []
        spans = [match.span(2) for match in self._quoted_value.finditer(data)]
        if spans and spans[-1][1] == len(data) and not _is_closed(data[spans[-1][0] :]):
            spans[-1] = (spans[-1][0], len(data) + 1)
        return spans

    def without_spaces(self, data: bytes) -> bytes:
        """Removes the spaces around each value, but none inside quotes."""
        if not (data.startswith(b" ") or self._space_at_edge.search(data)):
            return data
        return self._any_value.sub(rb"\1\2", data)


def read_blocks(path: str, quoting: Quoting, block_bytes: int = BLOCK_BYTES) -> Iterator[CsvBlock]:
    """Yields the file in blocks of about `block_bytes`, cut only between records.

    Raises:
      BeamfleetError: the file cannot be read, its gzip stream is damaged, or it is UTF-16.
    """
    line = 1
    rest = b""
    for chunk, is_last in _chunks(path, block_bytes):
        rest += chunk
        while rest:
            spans = quoting.spans(rest)
            is_open = bool(spans) and spans[-1][1] > len(rest)
            end = len(rest) if is_last and not is_open else last_record_end(rest, spans)
            if end:
                yield CsvBlock(path, line, rest[:end])
                line += rest.count(b"\n", 0, end)
                rest = rest[end:]
            if not (is_open and (is_last or len(rest) > RECORD_LIMIT_BYTES)):
                break
            end = rest.find(b"\n") + 1 or len(rest)
            yield CsvBlock(path, line, rest[:end], unclosed_quote=True)
            line += 1
            rest = rest[end:]


def record_places(block: CsvBlock, spans: Sequence[tuple[int, int]]) -> list[tuple[int, str]]:
    """Returns (line, text) of each record, without empty lines. Slow: for blocks with rejects."""
    places = []
    start, line, span = 0, block.first_line, 0
    for newline in re.finditer(rb"\r\n|\n|\r|\Z", block.data):
        while span < len(spans) and spans[span][1] <= newline.start():
            span += 1
        if span < len(spans) and spans[span][0] < newline.start():
            continue
        record = block.data[start : newline.start()]
        if record:
            places.append((line, record.decode(errors="replace")))
        line += block.data.count(b"\n", start, newline.end())
        start = newline.end()
    return places


def last_record_end(data: bytes, spans: Sequence[tuple[int, int]]) -> int:
    """Returns the bytes up to the last line break outside quotes, 0 if there is none."""
    newline = data.rfind(b"\n")
    for start, stop in reversed(spans):
        if newline >= stop:
            break
        if newline > start:
            newline = data.rfind(b"\n", 0, start)
    return newline + 1


def _is_closed(quoted: bytes) -> bool:
    """Whether a quoted value ends with its closing quote and not with an escaped one."""
    inner = quoted[1:]
    return (len(inner) - len(inner.rstrip(b'"'))) % 2 == 1


def _chunks(path: str, size: int) -> Iterator[tuple[bytes, bool]]:
    try:
        with _open(path) as file:
            chunk = file.read(size)
            if chunk[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in chunk[:_TEXT_BYTES]:
                raise BeamfleetError(
                    f"{path} is UTF-16 or no text at all; save it as UTF-8, for example with "
                    f"iconv -f UTF-16 -t UTF-8 {path} (UTF-16LE without a byte order mark)"
                )
            chunk = chunk.removeprefix(b"\xef\xbb\xbf")
            while chunk:
                following = file.read(size)
                yield chunk, not following
                chunk = following
    except (OSError, EOFError, zlib.error) as error:
        raise BeamfleetError(f"{path} cannot be read: {error}") from error


def _open(path: str) -> BinaryIO:
    file = cast(BinaryIO, FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED))
    is_gzip = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return cast(BinaryIO, io.BufferedReader(gzip.GzipFile(fileobj=file))) if is_gzip else file
