"""What features are about: a card, a customer, a sensor."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from components.errors import BeamfleetError
from components.features.names import FeatureType, checked_columns, checked_name


@dataclass(frozen=True)
class Entity:
    """Something that has features, and the columns by which it is known.

    Example:
        card = Entity("card", keys=["card_id"])
    """

    name: str
    keys: tuple[str, ...]
    """Columns that together name one entity."""
    types: tuple[FeatureType, ...]
    """Type of each key: str or int."""
    description: str = ""

    def __init__(
        self,
        name: str,
        keys: str | Sequence[str] | Mapping[str, FeatureType],
        description: str = "",
    ) -> None:
        """Declares it.

        Args:
          name: Unique among entities.
          keys: Column or columns, of text; or column -> str or int.
          description: For whoever looks for it.

        Raises:
          BeamfleetError: a name is impossible, or a key is neither str nor int.
        """
        keys = (keys,) if isinstance(keys, str) else keys
        types = dict(keys) if isinstance(keys, Mapping) else dict.fromkeys(keys, str)
        set_field = object.__setattr__
        set_field(self, "name", checked_name(name, "entity"))
        set_field(self, "keys", checked_columns(types, f"key of entity {name!r}"))
        set_field(self, "types", tuple(types.values()))
        set_field(self, "description", description)
        for key, kind in types.items():
            if kind not in (str, int):
                raise BeamfleetError(
                    f"key {key!r} of entity {name!r} is {kind!r}, expected str or int"
                )


def key_types_of(entities: Iterable[Entity]) -> dict[str, FeatureType]:
    """Key column -> type, of all of them, each once."""
    return {key: kind for one in entities for key, kind in zip(one.keys, one.types, strict=True)}
