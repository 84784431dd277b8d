"""A Beam filesystem, memory://, that is nobody's local disk: an object store for tests."""

import io
from fnmatch import fnmatchcase
from typing import Any

from apache_beam.io.filesystem import BeamIOError, FileMetadata, FileSystem, MatchResult


class _Upload(io.BytesIO):
    """Is there once it is closed, as in object stores."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def close(self) -> None:
        if not self.closed:
            MemoryFileSystem.files[self._path] = self.getvalue()
        super().close()


class MemoryFileSystem(FileSystem):
    """Files of one process; `read` lists what was opened."""

    files: dict[str, bytes] = {}
    read: list[str] = []

    @classmethod
    def scheme(cls) -> str:
        return "memory"

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path: str) -> tuple[str, str]:
        folder, _, name = path.rpartition("/")
        return folder, name

    def has_dirs(self) -> bool:
        return False

    def mkdirs(self, path: str) -> None:
        pass  # there are no folders

    def match(self, patterns: list[str], limits: Any = None) -> list[MatchResult]:
        return [
            MatchResult(
                p, [FileMetadata(n, len(c), 0) for n, c in self.files.items() if _fits(n, p)]
            )
            for p in patterns
        ]

    def _list(self, dir_or_prefix: str) -> Any:
        return (
            FileMetadata(n, len(c), 0) for n, c in self.files.items() if n.startswith(dir_or_prefix)
        )

    def create(self, path: str, *args: Any, **kwargs: Any) -> io.BytesIO:
        return _Upload(path)

    def open(self, path: str, *args: Any, **kwargs: Any) -> io.BytesIO:
        if path not in self.files:
            raise FileNotFoundError(path)
        self.read.append(path)
        return io.BytesIO(self.files[path])

    def copy(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            self.files[target] = self.files[source]

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            if source not in self.files:
                raise BeamIOError("no such file", {source: target})
            self.files[target] = self.files.pop(source)

    def exists(self, path: str) -> bool:
        return any(name == path or name.startswith(f"{path}/") for name in self.files)

    def size(self, path: str) -> int:
        return len(self.files[path])

    def last_updated(self, path: str) -> float:
        return 0.0

    def checksum(self, path: str) -> str:
        return str(len(self.files[path]))

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, len(self.files[path]), 0)

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            del self.files[path]


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern.replace("**", "*"))
