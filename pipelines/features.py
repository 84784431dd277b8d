"""What can be said about the features of a pipeline before TFX is imported."""

from collections.abc import Mapping

from components.errors import BeamfleetError
from components.feature_example_gen.config import FeatureExamplesConfig
from pipelines import steps
from pipelines.steps import Step

Steps = Mapping[type[Step], Step]


def check_features(name: str, recorded: Steps) -> None:
    """The definitions can be loaded, their files are there, and they give what is read of them.

    Raises:
      BeamfleetError: says what to add or to change.
    """
    view = recorded.get(steps.FromFeatureView)
    if not isinstance(view, steps.FromFeatureView):
        return
    try:
        _check_examples(view.config)
        _check_columns(view.config, recorded)
        stream = recorded.get(steps.StreamFeatures)
        if isinstance(stream, steps.StreamFeatures):
            _check_stream(view.config, stream.until)
    except BeamfleetError as error:
        raise BeamfleetError(f"pipeline {name!r}: {error}") from error


def _check_examples(config: FeatureExamplesConfig) -> None:
    from components.feature_backfill.source_files import files_of
    from components.feature_computer.declared import moment, sources_of
    from components.feature_example_gen.labelled import labelled_service
    from components.feature_example_gen.splits import by_time

    service = labelled_service(config)
    assert service.labels is not None
    for source in (service.labels, *sources_of(service)):
        files_of(source)
    as_of = moment(config.as_of, "as_of")
    if as_of is None:
        raise BeamfleetError(
            'from_feature_view() needs as_of="2024-05-22": what was known then, whenever it runs'
        )
    by_time(config)
    for split, start in config.splits.items():
        begins = moment(start, f"split {split!r}") if isinstance(start, str) else None
        if begins is not None and begins >= as_of:
            raise BeamfleetError(
                f"split {split!r} begins at {start}, behind as_of, {config.as_of}: it would have "
                "no rows"
            )


def _check_stream(config: FeatureExamplesConfig, until: str) -> None:
    from components.feature_backfill.source_files import files_of
    from components.feature_computer.declared import declared, moment
    from components.feature_streamer.state import streams_of

    begin, end = moment(config.as_of, "as_of"), moment(until, "until of stream_features()")
    if begin is None or end is None or end <= begin:
        raise BeamfleetError(
            f"stream_features(until={until!r}) ends before it begins, at as_of={config.as_of!r} of "
            "from_feature_view(): give a later time"
        )
    for source in streams_of(declared(config.features)):
        files_of(source)


def _check_columns(config: FeatureExamplesConfig, recorded: Steps) -> None:
    from components.feature_example_gen.labelled import example_columns, labelled_service

    service, train = labelled_service(config), recorded.get(steps.TrainPerEntity)
    if not isinstance(train, steps.TrainPerEntity):
        return
    columns = example_columns(service)
    if train.config.label != service.label:
        raise BeamfleetError(
            f"train_per_entity() predicts {train.config.label!r}, the label of {config.features} "
            f"is {service.label!r}: write label={service.label!r}"
        )
    for entity in train.config.entity:
        if entity not in columns:
            kind = service.key_types.get(entity, str).__name__
            where = "from_feature_view" if config.labels else "FeatureService"
            raise BeamfleetError(
                f"train_per_entity(): entity {entity!r} is no column of the examples of "
                f"{config.features}, which are {', '.join(columns)}; a key or another column of "
                "the labels becomes one when request= names it: "
                f"{where}(..., request={{{entity!r}: {kind}}})"
            )
