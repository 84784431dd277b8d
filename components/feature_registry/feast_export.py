"""A repository of feast with the same views, whose own SDK and web page read it.

`feature_store.yaml`, `data/registry.db` (applied by feast), `data/<view>.parquet` (the change log).
feast is imported here only.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import BeamfleetError
from components.feature_registry.records import Record
from components.feature_registry.registry import Registry
from components.features.durations import microseconds

if TYPE_CHECKING:
    import polars as pl

NOTES = (
    "feast drops label rows: those without a value in time (expired, or before the first), and "
    "duplicates; Beamfleet keeps each label, with nulls",
    "feast's boundary is inclusive: a value of the label's own time is seen, also where the "
    "service says strict",
    "feast joins by event time only: there is no as_known, no offset and no label",
    "on-demand views, request columns, transformations and expectations are left out: feast would "
    "need their code",
)
"""What feast's own reading does otherwise."""
_CONFIG = {
    "project": "beamfleet",
    "provider": "local",
    "registry": "data/registry.db",
    "online_store": {"type": "sqlite", "path": "data/online_store.db"},
    "offline_store": {"type": "file"},
    "entity_key_serialization_version": 3,
}
LogOf = Callable[[Record], "pl.LazyFrame"]


@dataclass(frozen=True)
class Exported:
    """What a repository has."""

    path: Path
    views: Mapping[str, int]
    """Name in feast -> rows of the change log."""
    services: tuple[str, ...]
    without_history: tuple[str, ...]
    """Views that were left out: nothing has been computed of them yet."""


def export_to_feast(registry: Registry, log_of: LogOf, out: Path) -> Exported:
    """Makes a repository; it is whole or not there.

    Args:
      registry: The newest versions are exported, and older ones that a service reads, as
        `<view>_v<version>`.
      log_of: The change log of a view or group; BeamfleetError: it has none yet.
      out: New or empty folder.

    Raises:
      BeamfleetError: feast is not installed, the folder has something in it, or no view has a
        history.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BeamfleetError(f"{out} is not empty: name a new folder for the repository")
    store_type = _feast().FeatureStore
    records = registry.records()
    views = _views(registry, records)
    out.parent.mkdir(parents=True, exist_ok=True)
    staged = out.parent / f".{out.name}.{os.getpid()}.tmp"
    try:
        (staged / "data").mkdir(parents=True)
        # JSON is YAML, whatever is in it.
        staged.joinpath("feature_store.yaml").write_text(json.dumps(_CONFIG, indent=2) + "\n")
        rows, without = _write_logs(views, log_of, staged / "data")
        objects, services = _objects(records, {n: r for n, r in views.items() if n in rows})
        store_type(repo_path=str(staged)).apply(objects)
        if out.exists():
            out.rmdir()
        staged.rename(out)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return Exported(out, rows, tuple(services), tuple(without))


def _feast() -> Any:
    try:
        import feast
    except ImportError as error:
        raise BeamfleetError(
            f"feast cannot be imported ({error}): pip install 'beamfleet[features]'"
        ) from None
    return feast


def _views(registry: Registry, records: list[Record]) -> dict[str, Record]:
    """Name in feast -> views and groups."""
    views = {one.name: one for one in records if one.kind in ("view", "group")}
    for one in records:
        for use in one.uses if one.kind in ("service", "on_demand") else ():
            newest = views.get(use.name)
            if use.kind in ("view", "group") and newest and newest.version != use.version:
                older = registry.get(use.name, use.version, use.kind)
                views[f"{use.name}_v{use.version}"] = older
    return views


def _write_logs(
    views: Mapping[str, Record], log_of: LogOf, folder: Path
) -> tuple[dict[str, int], list[str]]:
    import polars as pl

    rows, without = dict[str, int](), list[str]()
    for name, record in views.items():
        try:
            log = log_of(record)
        except BeamfleetError:
            without.append(name)
            continue
        file = folder / f"{name}.parquet"
        log.sink_parquet(file)
        rows[name] = pl.scan_parquet(file).select(pl.len()).collect().item()
    if not rows:
        raise BeamfleetError("no view has a history yet: backfill one before the export")
    return rows, without


def _objects(records: list[Record], views: Mapping[str, Record]) -> tuple[list[Any], list[str]]:
    """What feast applies, and the names of the services."""
    feast = _feast()
    keys = dict[str, Any]()
    for entity in (one for one in records if one.kind == "entity"):
        for key, kind in entity.schema:
            value_type = feast.ValueType.INT64 if kind == "int" else feast.ValueType.STRING
            keys[key] = feast.Entity(
                name=key, join_keys=[key], value_type=value_type, description=entity.description
            )
    made = {name: _view(name, record, keys) for name, record in views.items()}
    by_version = {(one.kind, one.name, one.version): made[name] for name, one in views.items()}
    services = [
        found
        for one in records
        if one.kind == "service" and (found := _service(one, records, by_version))
    ]
    return [*keys.values(), *made.values(), *services], [one.name for one in services]


def _view(name: str, record: Record, keys: Mapping[str, Any]) -> Any:
    feast, facts = _feast(), record.facts
    # feast takes zero for "for ever".
    ttl = (
        timedelta(microseconds=microseconds(facts["ttl"], "ttl")) if facts["ttl"] else timedelta(0)
    )
    tags = {"version": str(record.version), "fingerprint": record.fingerprint}
    source = feast.FileSource(
        name=f"{name}_log",
        path=f"data/{name}.parquet",
        timestamp_field="valid_from",
        created_timestamp_column="created",
    )
    return feast.FeatureView(
        name=name,
        entities=[keys[key] for key in facts["keys"]],
        ttl=ttl,
        schema=[feast.Field(name=one, dtype=_type(kind)) for one, kind in record.schema],
        online=facts["online"],
        source=source,
        tags=tags,
        owner=record.owner,
        description=record.description,
    )


def _type(kind: str) -> Any:
    from feast import types

    return {"float": types.Float64, "int": types.Int64, "str": types.String, "bool": types.Bool,
            "datetime": types.UnixTimestamp}[kind]  # fmt: skip


def _service(
    record: Record, records: list[Record], views: Mapping[tuple[str, str, int], Any]
) -> Any | None:
    """The stored features that a service reads; None: none of its views has a history."""
    on_demand = {(one.name, one.version): one for one in records if one.kind == "on_demand"}
    read = dict[tuple[str, str, int], dict[str, None]]()
    for use in record.uses:
        inner = on_demand.get((use.name, use.version)) if use.kind == "on_demand" else None
        for one in inner.uses if inner else (use,):
            read.setdefault((one.kind, one.name, one.version), {}).update(
                dict.fromkeys(one.features)
            )
    features = [views[key][list(names)] for key, names in read.items() if key in views]
    if not features:
        return None
    tags = {"version": str(record.version), "fingerprint": record.fingerprint}
    return _feast().FeatureService(
        name=record.name, features=features, tags=tags, owner=record.owner,
        description=record.description,
    )  # fmt: skip
