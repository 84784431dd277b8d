"""Definitions by dotted path, and the state of the files that their sources name."""

import hashlib
import importlib
import uuid
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from components import times
from components.errors import BeamfleetError
from components.feature_backfill.generation import current_file
from components.feature_backfill.source_files import files_of
from components.features.definition import fingerprint
from components.features.service import FeatureService
from components.features.source import Source
from components.features.view import FeatureView
from components.files import write_whole
from components.user_function import described

Features = FeatureService | FeatureView
_ID, _COMPUTED = ".id", ".computed"


def declared(dotted_path: str) -> Features:
    """The feature service or view of a module: "user_code.payments.fraud".

    Raises:
      BeamfleetError: there is none, or its declaration fails.
    """
    found = _attribute(dotted_path, "a feature service or view")
    if not isinstance(found, FeatureService | FeatureView):
        raise BeamfleetError(
            f"{dotted_path} is {type(found).__name__}, expected a FeatureService or a FeatureView"
        )
    return found


def declared_source(dotted_path: str) -> Source:
    """The source of a module: "user_code.payments.labels".

    Raises:
      BeamfleetError: there is none.
    """
    found = _attribute(dotted_path, "a source")
    if not isinstance(found, Source):
        raise BeamfleetError(f"{dotted_path} is {type(found).__name__}, expected a Source")
    return found


def views_of(features: Features) -> tuple[FeatureView, ...]:
    """The views that are looked up for it; not the groups, which others fill."""
    if isinstance(features, FeatureView):
        return (features,)
    return tuple(view for view in features.looked_up if isinstance(view, FeatureView))


def sources_of(features: Features) -> tuple[Source, ...]:
    """Where the events of its views come from; not its labels."""
    return tuple(dict.fromkeys(source for view in views_of(features) for source in view.sources))


def store_id(store: Path) -> str:
    """Random text that is made with the store: another one in its place has another, and so has one
    that lost its registry or a history that was computed into it.
    """
    path = store / _ID
    if not path.exists() or not all((store / one).exists() for one in _computed(store)):
        (store / _COMPUTED).unlink(missing_ok=True)
        write_whole(str(path), uuid.uuid4().hex.encode())
    return path.read_text(encoding="utf-8")


def note_computed(features: Features, store: Path) -> None:
    """Notes what of the store has to be there from now on, see `store_id`."""
    histories = (current_file(view, store).relative_to(store) for view in views_of(features))
    known = _computed(store)
    if now := {"registry.db", *map(str, histories)} - known:
        write_whole(str(store / _COMPUTED), "\n".join(sorted(known | now)).encode())


def _computed(store: Path) -> set[str]:
    path = store / _COMPUTED
    return set(path.read_text(encoding="utf-8").splitlines()) if path.exists() else set()


def moment(text: str, what: str) -> datetime | None:
    """ISO 8601 as a time in UTC; without a zone it is UTC. None of no text.

    Raises:
      BeamfleetError: it is none.
    """
    return times.moment(text, what) if text else None


def view_fingerprint(view: FeatureView) -> str:
    """SHA-256 of what the values of a version depend on, and of what is expected of them."""
    told = (view.name, view.version, fingerprint(view), [str(one) for one in view.expectations])
    return hashlib.sha256(repr(told).encode()).hexdigest()


def definition_fingerprint(features: Features) -> str:
    """SHA-256 over a service, or a view, and all its views.

    Raises:
      BeamfleetError: code that a definition runs cannot be read.
    """
    told = (fingerprint(features), [view_fingerprint(view) for view in views_of(features)])
    return hashlib.sha256(repr(told).encode()).hexdigest()


def data_fingerprint(sources: Iterable[Source]) -> str:
    """SHA-256 over names, sizes, times of change and inodes of the files of their histories.

    Raises:
      BeamfleetError: a source has no file.
    """
    digest = hashlib.sha256()
    for source in sources:
        for file in files_of(source):
            stat = Path(file).stat()
            digest.update(f"{source.name} {file} {stat.st_size} {stat.st_mtime_ns} ".encode())
            digest.update(f"{stat.st_ctime_ns} {stat.st_ino}\n".encode())
    return digest.hexdigest()


def _attribute(dotted_path: str, what: str) -> object:
    module_name, _, name = dotted_path.rpartition(".")
    if not module_name:
        raise BeamfleetError(
            f"{dotted_path!r} is not the dotted path of {what}; write it as "
            "'user_code.payments.fraud'"
        )
    try:
        module = importlib.import_module(module_name)
    except BeamfleetError as error:
        raise BeamfleetError(f"{module_name}: {error}") from error
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and module_name.startswith(error.name or "\0"):
            raise BeamfleetError(
                f"no module {error.name!r} for {dotted_path!r}; it must be importable from the "
                "folder of the pipeline file"
            ) from None
        raise BeamfleetError(f"{module_name!r} cannot be imported: {described(error)}") from error
    if not hasattr(module, name):
        raise BeamfleetError(f"module {module_name!r} has no {name!r}, expected {what}")
    return getattr(module, name)
