"""Segments: frames one after the other in a file that one process appends to.

    frame = "BFSL" | bytes of the content, u32 | CRC-32 of the content, u32 | Arrow IPC stream

A process that dies leaves whole frames and at most one that is cut off, which is no frame. The
writer holds a lock on the file as long as it lives, so that others know whose it is.
"""

import fcntl
import io
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl

_MAGIC = b"BFSL"
_HEADER = struct.Struct("<4sII")
SUFFIX = ".segment"


@dataclass(frozen=True)
class Frames:
    """What can be read of a segment."""

    rows: pl.DataFrame | None
    """None: not one frame is whole."""
    left: int
    """Bytes behind the last whole frame."""


class SegmentWriter:
    """Appends frames to a new file; what `append` returned from is safe from a kill -9."""

    def __init__(self, path: Path) -> None:
        """Makes the file under a hidden name first: others see it only once it is locked."""
        self.path = path
        self.bytes = 0
        hidden = path.with_name(f".{path.name}")
        self._file = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        hidden.rename(path)

    def append(self, rows: pl.DataFrame) -> None:
        """Writes one frame.

        Raises:
          OSError: the disk is full, or cannot be written; the segment is as it was.
        """
        frame = _framed(rows)
        try:
            view = memoryview(frame)
            while view:
                view = view[os.write(self._file, view) :]
        except OSError:
            os.ftruncate(self._file, self.bytes)
            os.lseek(self._file, self.bytes, os.SEEK_SET)
            raise
        self.bytes += len(frame)

    def sync(self) -> None:
        """Has the frames on the disk: they outlive a power cut from now on."""
        os.fsync(self._file)

    def close(self) -> None:
        """Lets go of the file."""
        os.close(self._file)


def read_frames(path: Path) -> Frames:
    """All whole frames of a segment, whoever is writing it meanwhile.

    Args:
      path: Its file.

    Raises:
      OSError: it is not there any more, or cannot be read.
    """
    content = path.read_bytes()
    at, tables = 0, []
    while at + _HEADER.size <= len(content):
        magic, size, checksum = _HEADER.unpack_from(content, at)
        body = content[at + _HEADER.size : at + _HEADER.size + size]
        if magic != _MAGIC or len(body) < size or zlib.crc32(body) != checksum:
            break
        tables.append(pl.read_ipc_stream(io.BytesIO(body)))
        at += _HEADER.size + size
    rows = pl.concat(tables, how="vertical") if tables else None
    return Frames(rows, len(content) - at)


def is_orphan(path: Path) -> bool:
    """Whether the process that wrote it has ended."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _framed(rows: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    rows.write_ipc_stream(buffer)
    body = buffer.getvalue()
    return _HEADER.pack(_MAGIC, len(body), zlib.crc32(body)) + body
