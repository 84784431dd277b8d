"""The service whose rows become Examples: one that was declared, or a view with labels."""

from collections.abc import Mapping

from components.errors import BeamfleetError
from components.feature_computer.declared import declared, declared_source
from components.feature_example_gen.config import FeatureExamplesConfig
from components.features.names import FeatureType
from components.features.service import FeatureService

_TYPES: Mapping[str, FeatureType] = {"float": float, "int": int, "str": str, "bool": bool}


def labelled_service(asked: FeatureExamplesConfig) -> FeatureService:
    """The service, with labels.

    Raises:
      BeamfleetError: it has none, or two.
    """
    features = declared(asked.features)
    if isinstance(features, FeatureService):
        if asked.labels or asked.label or asked.request:
            raise BeamfleetError(
                f"{asked.features} is a feature service, which has labels, label and request of "
                "its own: declare them there"
            )
        if features.labels is None or not features.label:
            raise BeamfleetError(
                f"{asked.features} has no labels: declare FeatureService(..., labels=Source(...), "
                'label="is_fraud")'
            )
        return features
    if not asked.labels or not asked.label:
        raise BeamfleetError(
            f"{asked.features} is a view, which has no labels: give them with "
            'labels="user_code.payments.labels", label="is_fraud", or take a feature service'
        )
    return FeatureService(
        features.name,
        [features],
        labels=declared_source(asked.labels),
        label=asked.label,
        request={name: _type(name, kind) for name, kind in asked.request.items()},
        version=features.version,
        owner=features.owner,
        description=features.description,
    )


def example_columns(service: FeatureService) -> tuple[str, ...]:
    """Columns of the Examples: of the request, the features, the label. No times, and of the
    keys those that are columns of the request too.
    """
    return (*service.request, *service.features, service.label)


def _type(name: str, kind: str) -> FeatureType:
    if kind not in _TYPES:
        raise BeamfleetError(f"request column {name!r} is {kind}, expected {', '.join(_TYPES)}")
    return _TYPES[kind]
