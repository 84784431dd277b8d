"""Feature groups: features that any Python job computes, and hands over as frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from components.errors import BeamfleetError
from components.features.durations import Duration, microseconds
from components.features.entity import Entity, key_types_of
from components.features.names import FeatureType, checked_name, checked_schema
from components.features.view import Selection


@dataclass(frozen=True)
class FeatureGroup:
    """Rows (primary key, event time, features), inserted frame by frame.

    It stands where a view can: in services, joins and stores. A view's values are computed from
    events by one definition; those of a group were computed elsewhere.

    Example:
        profile = FeatureGroup("profile", primary_key=card, event_time="updated_at",
                               schema={"age": int, "segment": str})
    """

    name: str
    entities: tuple[Entity, ...]
    """The one that its rows are about."""
    event_time: str
    """Column: from when the row holds."""
    schema: dict[str, FeatureType] = field(hash=False)
    """Feature -> type."""
    created: str | None
    """Column: when we got to know of it; None: when it is inserted."""
    ttl_us: int | None
    """A row that is older is none; inclusive. None: it stays."""
    online: bool
    """Whether it is kept in the online store."""
    version: int
    owner: str
    description: str

    def __init__(
        self,
        name: str,
        primary_key: Entity | str | Sequence[str] | Mapping[str, FeatureType],
        event_time: str,
        schema: Mapping[str, FeatureType],
        *,
        created: str | None = None,
        ttl: Duration | None = None,
        online: bool = False,
        version: int = 1,
        owner: str = "",
        description: str = "",
    ) -> None:
        """Declares it.

        Args:
          primary_key: An entity, or its columns as Entity takes them.

        Others are as the fields say.

        Raises:
          BeamfleetError: something does not fit together.
        """
        where = f"feature group {name!r}"
        entity = primary_key if isinstance(primary_key, Entity) else Entity(name, primary_key)
        values = {
            "name": checked_name(name, "feature group"),
            "entities": (entity,),
            "event_time": event_time,
            "schema": checked_schema(dict(schema), where),
            "created": created,
            "ttl_us": None if ttl is None else microseconds(ttl, f"ttl of {where}"),
            "online": online,
            "version": version,
            "owner": owner,
            "description": description,
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)
        if version < 1:
            raise BeamfleetError(f"{where}: version is {version}, expected >= 1")
        columns = [*self.keys, event_time, *self.schema, *filter(None, [created])]
        if twice := sorted({column for column in columns if columns.count(column) > 1}):
            raise BeamfleetError(
                f"{where}: {', '.join(twice)} is there twice among primary key, event time, "
                "created and features"
            )

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that name an entity."""
        return tuple(self.key_types)

    @property
    def key_types(self) -> dict[str, FeatureType]:
        """Key column -> type."""
        return key_types_of(self.entities)

    @property
    def features(self) -> tuple[str, ...]:
        """Their names, in order."""
        return tuple(self.schema)

    def __getitem__(self, features: str | Sequence[str]) -> Selection:
        """Some of the features: `profile["age"]`, `profile[["age", "segment"]]`."""
        return Selection(self, (features,) if isinstance(features, str) else tuple(features))

    @property
    def sources(self) -> tuple[()]:
        """None: it is computed elsewhere."""
        return ()
