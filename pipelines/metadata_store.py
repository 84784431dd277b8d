"""Opens the ML Metadata of a root. Imports no TFX, which takes seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.errors import BeamfleetError

DATABASE = "metadata.db"


@contextmanager
def opened(root: Path) -> Iterator[Any]:
    """The store of a root.

    Raises:
      BeamfleetError: there is none, or it cannot be read or written.
    """
    database = root / DATABASE
    if not database.exists():
        raise BeamfleetError(f"{root} has no runs yet ({DATABASE} is missing)")
    from ml_metadata import MetadataStore, errors
    from ml_metadata.proto import metadata_store_pb2

    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(database)
    try:
        yield MetadataStore(config)
    except errors.StatusError as error:
        text = str(error).strip().splitlines()
        raise BeamfleetError(
            f"{database} cannot be read or written, is the disk full? {text[0] if text else ''}"
        ) from error
