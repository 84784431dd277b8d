"""Records what is declared, refuses what would change it in silence, and knows who reads what."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

from components.errors import BeamfleetError
from components.feature_registry.database import reading, writing
from components.feature_registry.lineage import Read, models_by_view, models_of, trainings, views_of
from components.feature_registry.recording import Outcome, record
from components.feature_registry.records import (
    KINDS,
    Record,
    Training,
    records_of,
)
from components.feature_registry.rows import from_row, with_uses
from components.feature_registry.search import Found, found
from components.features.definition import Declared


@dataclass(frozen=True)
class Applied:
    """What `apply` did with one declaration."""

    record: Record
    outcome: Outcome


class Registry:
    """Entities, sources, views, groups, on-demand views and services, in their versions.

    Example:
        registry = Registry(root / "registry.db")
        registry.apply([card_spend, fraud])
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def apply(self, things: Iterable[Declared]) -> list[Applied]:
        """Records declarations and all that they read, or none of them.

        A version that is recorded with the same meaning stays; its owner, description and other
        facts are renewed.

        Raises:
          BeamfleetError: a definition differs from what is recorded of this version, or a version
            is lower than the newest and was never recorded. Nothing is recorded then.
        """
        records = records_of(things)
        now = _now()
        with writing(self.path) as connection:
            return [Applied(*record(connection, one, now)) for one in records]

    def records(self, kind: str | None = None, *, all_versions: bool = False) -> list[Record]:
        """What there is, by kind and name; of each the newest version.

        Raises:
          BeamfleetError: there is no registry, or no such kind.
        """
        if kind is not None and kind not in KINDS:
            raise BeamfleetError(f"kind is {kind!r}, expected one of {', '.join(KINDS)}")
        with reading(self.path) as connection:
            query = "SELECT * FROM declared AS d WHERE (? IS NULL OR kind = ?) AND (? OR version = "
            query += "(SELECT max(version) FROM declared WHERE kind = d.kind AND name = d.name))"
            rows = connection.execute(query, (kind, kind, all_versions)).fetchall()
            return with_uses(connection, sorted(map(from_row, rows), key=_order))

    def get(self, name: str, version: int | None = None, kind: str | None = None) -> Record:
        """One declaration; by default its newest version.

        Raises:
          BeamfleetError: there is none, or several kinds have this name.
        """
        there = self.versions(name, kind)
        kinds = dict.fromkeys(one.kind for one in there)
        if not there:
            names = dict.fromkeys(one.name for one in self.records(kind))
            like = [one.record.name for one in self.search(name)]
            near = ", ".join(dict.fromkeys([*like, *get_close_matches(name, names)][:5]))
            hint = f"; nearest: {near}" if near else ""
            raise BeamfleetError(f"nothing is called {name!r} in {self.path}{hint}")
        if len(kinds) > 1:
            # `card` may be an entity and a view: the one with features is meant
            kinds.pop("entity", None)
            kinds.pop("source", None)
            there = [one for one in there if one.kind == next(iter(kinds), there[0].kind)]
        if version is None:
            return there[-1]
        for one in there:
            if one.version == version:
                return one
        raise BeamfleetError(
            f"{KINDS[there[0].kind]} {name!r} has no version {version}; it has "
            f"{', '.join(str(one.version) for one in there)}"
        )

    def versions(self, name: str, kind: str | None = None) -> list[Record]:
        """All versions of what has this name, oldest first."""
        with reading(self.path) as connection:
            query = "SELECT * FROM declared WHERE name = ? AND (? IS NULL OR kind = ?)"
            rows = connection.execute(query, (name, kind, kind)).fetchall()
            return with_uses(connection, sorted(map(from_row, rows), key=_order))

    def readers_of(self, record: Record) -> list[tuple[str, str, int]]:
        """Kind, name and version of the declarations that read this version directly."""
        query = "SELECT DISTINCT by_kind, by_name, by_version FROM uses WHERE kind = ? "
        query += "AND name = ? AND version = ? ORDER BY by_kind, by_name, by_version"
        asked = (record.kind, record.name, record.version)
        with reading(self.path) as connection:
            return [(row[0], row[1], row[2]) for row in connection.execute(query, asked)]

    def search(self, text: str, limit: int = 50) -> list[Found]:
        """What all words of a text occur in: names, features, columns, sources, owners,
        descriptions; the best first.
        """
        return found(self.records(), text)[:limit]

    def link_training(
        self, service: str, version: int, split_version: int, model: str, run: str = ""
    ) -> None:
        """Records that a model learned from a split of a service; again: nothing.

        Args:
          model: Place of the model, or another name that identifies it.

        Raises:
          BeamfleetError: this version of the service is not registered.
        """
        self.get(service, version, "service")
        row = (service, version, split_version, model, run, _now())
        with writing(self.path) as connection:
            connection.execute("INSERT OR IGNORE INTO trainings VALUES (?, ?, ?, ?, ?, ?)", row)

    def trainings(self, service: str | None = None) -> list[Training]:
        """Who learned from which split, of one service or of all; oldest first."""
        with reading(self.path) as connection:
            return trainings(connection, service)

    def models_of(self, view: str, version: int | None = None) -> list[Training]:
        """The trainings that read a view or group, also through on-demand views.

        Args:
          version: Of the view; default: any.
        """
        with reading(self.path) as connection:
            return models_of(connection, view, version)

    def models_by_view(self) -> dict[tuple[str, int], list[Training]]:
        """`models_of` all views and groups that a model read: (name, version) -> trainings."""
        with reading(self.path) as connection:
            return models_by_view(connection)

    def version_numbers(self) -> dict[tuple[str, str], list[int]]:
        """(kind, name) -> the versions that there are, the oldest first."""
        numbers: dict[tuple[str, str], list[int]] = {}
        query = "SELECT kind, name, version FROM declared ORDER BY kind, name, version"
        with reading(self.path) as connection:
            for kind, name, version in connection.execute(query):
                numbers.setdefault((kind, name), []).append(version)
        return numbers

    def views_of(self, model: str) -> list[Read]:
        """What a model reads: versions of views and groups, and which of their features."""
        with reading(self.path) as connection:
            return views_of(connection, model)


def _order(one: Record) -> tuple[int, str, int]:
    return list(KINDS).index(one.kind), one.name, one.version


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
