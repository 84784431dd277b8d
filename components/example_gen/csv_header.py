"""Reads the first record of a CSV file."""

import csv
import re
from collections.abc import Iterator

from components.errors import BeamfleetError


def first_record(data: bytes, delimiter: str) -> tuple[tuple[str, ...], int]:
    """Returns the values of the first record that is not blank, and the bytes up to its end."""
    size = 0

    def lines() -> Iterator[str]:  # one by one, since the block is large
        nonlocal size
        for line in re.finditer(rb"[^\r\n]*(?:\r\n|\n|\r|\Z)", data):
            size = line.end()
            yield line[0].decode(errors="replace")

    for record in csv.reader(lines(), delimiter=delimiter, skipinitialspace=True):
        if record and record != [""]:
            return tuple(name.rstrip(" ") for name in record), size
    return (), 0


def check_utf8(file: str, header: bytes) -> None:
    """Raises BeamfleetError for a header in another encoding."""
    try:
        header.decode()
    except UnicodeDecodeError:
        raise BeamfleetError(
            f"the header of {file} is not UTF-8: {header[:80]!r}; find out its encoding and "
            f"convert it: iconv -f LATIN1 -t UTF-8 {file}"
        ) from None
