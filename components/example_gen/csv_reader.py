"""Reads CSV blocks into typed Arrow tables."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from components.errors import BeamfleetError
from components.example_gen.column_types import ARROW_TYPE, Kind, has_identifiers, kind_of_words
from components.example_gen.csv_blocks import (
    CsvBlock,
    Quoting,
    last_record_end,
    read_blocks,
    record_places,
)
from components.example_gen.csv_header import check_utf8, first_record
from components.example_gen.mixed import WordCounts, count_words
from components.example_gen.parts import Part, Reject, RowPlaces, typed_part
from components.example_gen.source import CsvSource

_SAMPLE_BYTES = 256 * 2**10
_HUGE = 1e18
_WORDS = pa.dictionary(pa.int32(), pa.binary())
_FAST_TYPE = {**ARROW_TYPE, "string": pa.dictionary(pa.int32(), pa.string()), "null": pa.null()}


class CsvReader:
    """Reads CSV files block by block with pyarrow; a block with a flaw is read again as words."""

    def __init__(self, source: CsvSource, schema: Collection[str] = ()) -> None:
        """Takes the columns whose type a schema gives besides."""
        self._source = source
        self._stated = {name for name, _ in source.types}
        self._given = {*self._stated, *schema}
        self._leading_zero = _leading_zero(source.delimiter)
        self._quoting = Quoting(source.delimiter)
        self._columns = source.columns
        self._header_file = ""

    def blocks(self, files: Sequence[str]) -> Iterator[CsvBlock]:
        """Yields the rows of all files without their headers.

        Raises:
          BeamfleetError: a file cannot be read, or the headers differ.
        """
        for file in files:
            at_start = True
            for block in read_blocks(file, self._quoting):
                rows = self._below_header(block) if at_start else block
                at_start = at_start and not block.data.strip()
                if rows.data.strip():
                    yield rows

    def sample(self, block: CsvBlock) -> CsvBlock:
        """Returns the first records of a block, at most about 256 KiB."""
        head = block.data[:_SAMPLE_BYTES]
        spans = self._quoting.spans(head)
        end = 0 if len(block.data) == len(head) else last_record_end(head, spans)
        return replace(block, data=head[:end]) if end else block

    def infer(self, block: CsvBlock) -> dict[str, Kind]:
        if block.unclosed_quote:
            return dict.fromkeys(self._columns, "null")
        block = self._normalised(block)
        words, _ = self._read(block, dict.fromkeys(self._columns, _WORDS))
        return {name: kind_of_words(_distinct(words[name])) for name in self._columns}

    def count_words(self, block: CsvBlock, columns: Collection[str]) -> dict[str, WordCounts]:
        """Counts numbers and other words of some columns; those with a given type are left out."""
        wanted = [name for name in columns if name not in self._given]
        if block.unclosed_quote or not wanted:
            return {}
        words, _ = self._read(self._normalised(block), dict.fromkeys(wanted, _WORDS))
        return {name: count_words(words[name]) for name in wanted}

    def reject_misfits(self, columns: Collection[str]) -> None:
        """From now on a value that does not fit one of these columns rejects its row."""
        self._given |= set(columns)

    def parse(self, block: CsvBlock, types: Mapping[str, Kind]) -> Part:
        """Returns the rows of the block in the columns' types.

        Raises:
          TypesDiffer: a value does not fit a type that was inferred.
        """
        if block.unclosed_quote:
            text = block.data.decode(errors="replace").rstrip("\r\n")
            reject = Reject(block.file, block.first_line, "a quote is opened but not closed", text)
            table = self._read(replace(block, data=b""), self._fast_types(types))[0]
            return Part(table, (reject,), lambda: RowPlaces(block.file, ()))
        block = self._normalised(block)
        try:
            table, ragged = self._read(block, self._fast_types(types))
        except pa.ArrowInvalid:  # a value does not fit its type, or is not UTF-8
            return self._parse_words(block, types)
        if self._has_identifiers(block, table, types):
            return self._parse_words(block, types)
        return Part(
            table,
            self._ragged_rejects(block, ragged),
            lambda: self._places(block).without({row.number - 1 for row in ragged}),
        )

    def _normalised(self, block: CsvBlock) -> CsvBlock:
        """Removes spaces before quotes, which pyarrow would not take for quotes after a space.

        Without quotes that is not worth its time: the few distinct words are trimmed afterwards.
        """
        if b'"' not in block.data:
            return block
        return replace(block, data=self._quoting.without_spaces(block.data))

    def _parse_words(self, block: CsvBlock, types: Mapping[str, Kind]) -> Part:
        words, ragged = self._read(block, dict.fromkeys(self._columns, _WORDS))
        places = self._places(block).without({row.number - 1 for row in ragged})
        rejects = self._ragged_rejects(block, ragged)
        return typed_part(words, types, self._given, places, rejects, self._stated)

    def _has_identifiers(self, block: CsvBlock, table: pa.Table, types: Mapping[str, Kind]) -> bool:
        """Whether a value that was read as a number should have been a word (`007`)."""
        numbers = [n for n in self._columns if types[n] in ("int64", "double")]
        numbers = [n for n in numbers if n not in self._stated]
        if not self._leading_zero(block.data):
            numbers = [n for n in numbers if types[n] == "double" and _has_huge(table[n])]
        if not numbers:
            return False
        words, _ = self._read(block, dict.fromkeys(numbers, _WORDS))
        return any(
            has_identifiers(_distinct(words[name]).cast(pa.string()), types[name])
            for name in numbers
        )

    def _read(
        self, block: CsvBlock, types: Mapping[str, pa.DataType]
    ) -> tuple[pa.Table, list[pa_csv.InvalidRow]]:
        data, nulls = block.data, self._source.null_values
        is_quoted = b'"' in data
        around = ("{}",) if is_quoted else ("{}", " {}", "{} ", " {} ")
        null_words = [form.format(word) for form in around for word in nulls]
        ragged: list[pa_csv.InvalidRow] = []

        def skip(row: pa_csv.InvalidRow) -> str:
            ragged.append(row)
            return "skip"

        if not data.strip():
            return pa.table({name: pa.nulls(0, kind) for name, kind in types.items()}), ragged
        table = pa_csv.read_csv(
            pa.BufferReader(data),
            # Threads work on blocks; within one block they would cost more than they give.
            pa_csv.ReadOptions(
                use_threads=False, block_size=len(data) + 1, column_names=self._columns
            ),
            pa_csv.ParseOptions(
                delimiter=self._source.delimiter,
                newlines_in_values=is_quoted,
                invalid_row_handler=skip,
            ),
            pa_csv.ConvertOptions(
                column_types=types,
                include_columns=list(types),
                null_values=null_words,
                strings_can_be_null=True,
            ),
        )
        if is_quoted:  # its spaces are gone, but for those inside quotes
            return table, ragged
        columns = [_trimmed(column.combine_chunks(), nulls) for column in table.columns]
        return pa.table(columns, names=table.column_names), ragged

    def _ragged_rejects(
        self, block: CsvBlock, ragged: Sequence[pa_csv.InvalidRow]
    ) -> tuple[Reject, ...]:
        if not ragged:
            return ()
        places = self._places(block)
        return tuple(
            places.reject(
                pa.table({}),
                row.number - 1,
                f"{row.expected_columns} values expected, {row.actual_columns} found",
            )
            for row in ragged
            if row.text.strip(" ")  # a line of spaces is blank
        )

    def _places(self, block: CsvBlock) -> RowPlaces:
        places = record_places(block, self._quoting.spans(block.data))
        return RowPlaces(block.file, [line for line, _ in places], [text for _, text in places])

    def _fast_types(self, types: Mapping[str, Kind]) -> dict[str, pa.DataType]:
        return {name: _FAST_TYPE[types[name]] for name in self._columns}

    def _below_header(self, block: CsvBlock) -> CsvBlock:
        names, size = first_record(block.data, self._source.delimiter)
        if not names or (self._source.columns and names != self._source.columns):
            return block
        check_utf8(block.file, block.data[:size])
        if not self._columns:
            self._check_header(block.file, names)
            self._columns, self._header_file = names, block.file
        if names != self._columns:
            raise BeamfleetError(
                f"the header of {block.file} is {list(names)}, but that of {self._header_file} is "
                f"{list(self._columns)}; files that are read together need the same columns"
            )
        line = block.first_line + block.data.count(b"\n", 0, size)
        return replace(block, data=block.data[size:], first_line=line)

    def _check_header(self, file: str, names: tuple[str, ...]) -> None:
        if len(set(names)) < len(names) or not all(names):
            raise BeamfleetError(
                f"{file}: the first row {list(names)} is no header: names must be distinct and not "
                "empty. If the file has none, give its column names"
            )
        unknown = [name for name, _ in self._source.types if name not in names]
        if unknown:
            raise BeamfleetError(
                f"{file} has no column {unknown}, which has a type; it has {names}"
            )


def _trimmed(column: pa.Array, nulls: Sequence[str]) -> pa.Array:
    """Removes spaces around dictionary-encoded words; those that mean null become null."""
    if not pa.types.is_dictionary(column.type):
        return column
    words = column.dictionary
    spaced = pc.or_(pc.starts_with(words, " "), pc.ends_with(words, " "))
    if not pc.any(spaced).as_py():
        return column
    if pa.types.is_string(words.type):
        words = pc.utf8_trim(words, characters=" ")
    else:  # words of a flawed block, perhaps not valid UTF-8
        words = pa.array([word.strip(b" ") for word in words.to_pylist()], pa.binary())
    indices = column.indices
    is_null = pc.is_in(words, pa.array(nulls, words.type))
    if pc.any(is_null).as_py():
        indices = pc.if_else(is_null.take(indices), None, indices)
    return pa.DictionaryArray.from_arrays(indices, words)


def _leading_zero(delimiter: str) -> Callable[[bytes], bool]:
    """Returns a cheap test whether a value may start with a zero and a digit (or an x).

    It looks from each zero back, because zeros are few.
    """
    edge = rb'\n\r"' + re.escape(delimiter.encode())
    before = rb"(?:(?<=[" + edge + rb"]..)|(?<=[ " + edge + rb"][ \t+-]..))"
    pattern = re.compile(rb"0[0-9xX]" + before)
    return lambda data: bool(pattern.search(data) or pattern.search(b"\n" + data[:99]))


def _has_huge(numbers: pa.ChunkedArray) -> bool:
    """Whether some have so many digits before the point that floating point loses the last."""
    extremes = pc.min_max(numbers).as_py()
    return any(abs(number or 0) >= _HUGE for number in extremes.values())


def _distinct(words: pa.ChunkedArray) -> pa.Array:
    return words.combine_chunks().dictionary if words.num_chunks else pa.array([], pa.binary())
