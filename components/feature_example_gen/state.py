"""What the rows are made of."""

import hashlib
from pathlib import Path

from components.feature_computer.declared import (
    data_fingerprint,
    definition_fingerprint,
    sources_of,
)
from components.feature_example_gen.config import FeatureExamplesConfig
from components.feature_example_gen.labelled import labelled_service
from components.features.group import FeatureGroup
from components.features.service import FeatureService
from components.outside import Inputs, Parameters, State


def state(parameters: Parameters, inputs: Inputs) -> State:
    """The definition of the service, the files of its labels and sources, the rows of its groups.

    Raises:
      BeamfleetError: a definition or a file cannot be found.
    """
    service = labelled_service(FeatureExamplesConfig.from_json(parameters["source"]))
    assert service.labels is not None
    files = data_fingerprint((service.labels, *sources_of(service)))
    groups = _groups(service, Path(parameters["store"]))
    return {
        "definition_fingerprint": definition_fingerprint(service),
        "input_fingerprint": hashlib.sha256(f"{files} {groups}".encode()).hexdigest(),
    }


def _groups(service: FeatureService, store: Path) -> list[str]:
    """Files that were inserted into the groups that it reads."""
    groups = [view for view in service.looked_up if isinstance(view, FeatureGroup)]
    folders = sorted(store / "groups" / one.name / f"v{one.version}" for one in groups)
    return [str(file) for folder in folders for file in sorted(folder.glob("part-*.parquet"))]
