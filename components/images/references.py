"""Reference captions of images, and what else is known about them: captions.csv, metadata.jsonl."""

import csv
import io
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from components.errors import BeamfleetError
from components.example_gen.column_types import ARROW_TYPE, convert, kind_of_words
from components.files import open_file
from components.images.find import beside, path_key

FILE_COLUMNS = ("file", "file_name")
CAPTION_COLUMNS = ("caption", "text")
"""The second of each is what Hugging Face's image folders say."""


@dataclass(frozen=True)
class References:
    """What reference files say, by image."""

    captions: Mapping[str, str] = field(default_factory=dict)
    """URI -> caption, of the images that have one."""
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    """The further columns: string, int64 or double, the narrowest that fits."""
    columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Column -> URI -> value, of the images that have one."""
    unmatched: tuple[str, ...] = ()
    """The names in rows that name no image."""


@dataclass(frozen=True)
class _Row:
    place: str
    """File and line, for messages."""
    name: str
    """Of the image."""
    caption: str
    values: Mapping[str, str]
    """Further column -> word, of those that are not empty."""


def read_references(
    paths: Sequence[str], uris: Collection[str], folders: Sequence[str] = ()
) -> References:
    """Reads what is known of some images. A row names an image by its URI or its path.

    Args:
      paths: CSV files with a header or JSON Lines (`.jsonl`), with a column of FILE_COLUMNS and,
        if there are captions, one of CAPTION_COLUMNS; on any Beam filesystem.
      uris: the images.
      folders: where relative paths may begin, besides the folder of the file itself.

    Raises:
      BeamfleetError: a file cannot be read, or two rows are about one image.
    """
    key = path_key()
    known = {key(uri): uri for uri in uris}
    rows, unmatched = dict[str, _Row](), list[str]()
    for path in paths:
        for row in _rows(path):
            named = map(key, _meant(path, row.name, folders))
            uri = next((known[one] for one in named if one in known), None)
            if uri is None:
                unmatched.append(row.name)
            elif uri in rows:
                raise BeamfleetError(
                    f"{rows[uri].place} and {row.place} are both about {uri}; expected one row for "
                    "an image"
                )
            else:
                rows[uri] = row
    names = dict.fromkeys(name for row in rows.values() for name in row.values)
    columns = {name: _typed(name, rows) for name in names}
    return References(
        {uri: row.caption for uri, row in rows.items() if row.caption},
        {name: kind for name, (kind, _) in columns.items()},
        {name: values for name, (_, values) in columns.items()},
        tuple(unmatched),
    )


def _meant(path: str, name: str, folders: Sequence[str]) -> Iterator[str]:
    """What a row may mean by the name of an image."""
    yield beside(path, name)
    yield from (beside(f"{folder.rstrip('/')}/_", name) for folder in folders)
    yield name  # last: from wherever the command is run


def _typed(name: str, rows: Mapping[str, _Row]) -> tuple[pa.DataType, Mapping[str, Any]]:
    """A column in the narrowest type that fits all its values."""
    words = {uri: row.values[name] for uri, row in rows.items() if name in row.values}
    array = pa.array(words.values(), pa.string())
    kind = kind_of_words(array.unique())
    values, _ = convert(array, kind)
    return ARROW_TYPE[kind], dict(zip(words, values.to_pylist(), strict=True))


def _rows(path: str) -> Iterator[_Row]:
    try:
        with open_file(path) as file:
            text = file.read().decode("utf-8-sig")
    except OSError as error:
        raise BeamfleetError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise BeamfleetError(f"{path} is not UTF-8") from None
    for line, values in (_json_lines if path.endswith(".jsonl") else _csv_lines)(path, text):
        place = f"{path} line {line}"
        words = {name: word.strip() for name, word in values.items()}
        name = _taken(words, FILE_COLUMNS)
        if name is None:
            raise BeamfleetError(_no_name(place, values))
        if not name:
            raise BeamfleetError(f"{place} names no image")
        caption = _taken(words, CAPTION_COLUMNS) or ""
        yield _Row(place, name, caption, {n: word for n, word in words.items() if word})


def _no_name(place: str, columns: Iterable[str]) -> str:
    found = ", ".join(columns)
    other = next((sign for sign in ";\t|" if sign in found), "")
    hint = f"; is it separated by {other!r}? commas are expected" if other else ""
    return (
        f"{place} has columns {found}; expected {FILE_COLUMNS[0]!r}, the path or address of an "
        f"image, and for reference captions 'caption'{hint}"
    )


def _taken(words: dict[str, str], names: Sequence[str]) -> str | None:
    """Takes the first of some columns out of a row."""
    return next((words.pop(name) for name in names if name in words), None)


def _csv_lines(path: str, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if len(set(header)) < len(header) or not all(header):
            raise BeamfleetError(f"{path} has columns {header}; expected different names")
        if header and not {*header} & {*FILE_COLUMNS}:  # before rows, which may not fit it either
            raise BeamfleetError(_no_name(f"{path} line 1", header))
        for words in filter(None, reader):
            if len(words) != len(header):
                raise BeamfleetError(
                    f"{path} line {reader.line_num} has {len(words)} values, but the header has "
                    f"{len(header)} columns"
                )
            yield reader.line_num, dict(zip(header, words, strict=True))
    except csv.Error as error:
        raise BeamfleetError(f"{path} line {reader.line_num}: {error}") from None


def _json_lines(path: str, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    for line, document in enumerate(text.split("\n"), 1):
        if not document.strip():
            continue
        try:
            values = json.loads(document)
            if not isinstance(values, dict):
                raise BeamfleetError(f"{path} line {line} is no JSON object")
            words = {name: _word(value) for name, value in values.items()}
            "".join([*words, *words.values()]).encode()
        except UnicodeEncodeError as error:
            half = error.object[error.start]
            raise BeamfleetError(f"{path} line {line} has {half!r}, half a character") from None
        except (ValueError, RecursionError) as error:
            raise BeamfleetError(f"{path} line {line} is no JSON: {error}") from None
        yield line, words


def _word(value: Any) -> str:
    """A JSON value as a table would have it; structures, such as boxes, stay JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
