"""Which feature service a model was trained with, so that it is served with that and no other.

FeatureExampleGen writes it beside the Examples (`features.json`), the trainer takes it into the
spec of the models, and with it into their fingerprint. From there it goes wherever the models go:
composed stores, pushed versions, servers.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from components.errors import BeamfleetError
from components.feature_example_gen.config import FeatureExamplesConfig
from components.feature_example_gen.labelled import labelled_service
from components.features.definition import fingerprint
from components.features.service import FeatureService
from components.files import exists, open_file, write_whole

FILE = "features.json"


@dataclass(frozen=True)
class TrainedWith:
    """One version of a feature service, and what was fitted on the training split."""

    features: str
    """Dotted path of the FeatureService, or of the FeatureView."""
    service: str
    """Its name."""
    version: int
    fingerprint: str
    """Of its definition."""
    store: str
    """Folder of the feature store."""
    fitted: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """What its transformations learnt."""
    labels: str = ""
    """Of a view: see FeatureExamplesConfig, as the next two."""
    label: str = ""
    request: Mapping[str, str] = field(default_factory=dict, hash=False)

    def to_text(self) -> str:
        """JSON that `trained_with` reads; the same text for the same content."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)

    def declared(self) -> FeatureService:
        """The service, if it still is what the model was trained with.

        Raises:
          BeamfleetError: it is not there any more, or another one.
        """
        config = FeatureExamplesConfig(
            self.features, {}, "", labels=self.labels, label=self.label, request=self.request
        )
        found = labelled_service(config)
        now = (found.name, found.version, fingerprint(found))
        if now != (self.service, self.version, self.fingerprint):
            raise BeamfleetError(
                f"the model was trained with feature service {_named(self)}, but {self.features} "
                f"is now {_named(found)}: its features would not mean what the model learnt. Serve "
                "with the code of then, or train and push a new version"
            )
        return found


def of_service(
    service: FeatureService, config: FeatureExamplesConfig, store: str, fitted: Mapping[str, Any]
) -> TrainedWith:
    """What a model of these Examples is trained with.

    Args:
      service: Of the Examples.
      config: By which it is found again.
      store: Folder of the feature store.
      fitted: What its transformations learnt from the training split.
    """
    return TrainedWith(
        features=config.features,
        service=service.name,
        version=service.version,
        fingerprint=fingerprint(service),
        store=store,
        fitted=fitted,
        labels=config.labels,
        label=config.label,
        request=config.request,
    )


def write_trained_with(uri: str, trained: TrainedWith) -> None:
    """Writes it beside Examples."""
    write_whole(f"{uri}/{FILE}", trained.to_text().encode())


def read_trained_with(uri: str) -> str:
    """The text that lies beside Examples; "" beside those of no feature service."""
    if not exists(f"{uri}/{FILE}"):
        return ""
    with open_file(f"{uri}/{FILE}") as file:
        return trained_with(file.read().decode()).to_text()


def trained_with(text: str) -> TrainedWith:
    """Reads what `to_text` wrote.

    Raises:
      BeamfleetError: it is not that.
    """
    try:
        content = json.loads(text)
        unknown = set(content) - {one.name for one in fields(TrainedWith)}
        words = ("features", "service", "fingerprint", "store", "labels", "label")
        if unknown or any(type(content.get(name, "")) is not str for name in words):
            raise ValueError("unknown or wrong fields")
        return TrainedWith(**content)
    except (ValueError, TypeError, RecursionError) as error:
        raise BeamfleetError(
            f"this does not say which feature service a model was trained with: {error}"
        ) from None


def _named(one: TrainedWith | FeatureService) -> str:
    if isinstance(one, FeatureService):
        return f"{one.name!r} version {one.version} with the definition {fingerprint(one)[:12]}"
    return f"{one.service!r} version {one.version} with the definition {one.fingerprint[:12]}"
