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
    compute, view = recorded.get(steps.ComputeFeatures), recorded.get(steps.FromFeatureView)
    try:
        if isinstance(compute, steps.ComputeFeatures):
            _check_computed(compute)
        if isinstance(compute, steps.ComputeFeatures) and isinstance(view, steps.FromFeatureView):
            _check_examples(compute, view.config)
            _check_columns(view.config, recorded)
    except BeamfleetError as error:
        raise BeamfleetError(f"pipeline {name!r}: {error}") from error


def _check_computed(step: steps.ComputeFeatures) -> None:
    from components.feature_computer.declared import declared, files_of, sources_of
    from components.feature_example_gen.splits import moment

    for source in sources_of(declared(step.features)):
        files_of(source)
    if step.as_of:
        moment(step.as_of, "as_of of compute_features()")


def _check_examples(compute: steps.ComputeFeatures, view: FeatureExamplesConfig) -> None:
    from components.feature_computer.declared import declared, files_of, views_of
    from components.feature_example_gen.labelled import labelled_service
    from components.feature_example_gen.splits import moment, spans

    service = labelled_service(view)
    assert service.labels is not None
    files_of(service.labels)
    end = moment(view.as_of, "as_of of from_feature_view()")
    spans(view.splits, view.gap, end)
    computed = {one.name for one in views_of(declared(compute.features))}
    if missing := [one.name for one in views_of(service) if one.name not in computed]:
        raise BeamfleetError(
            f"from_feature_view({view.features!r}) reads {', '.join(missing)}, which "
            f"compute_features({compute.features!r}) does not compute: give both the same service"
        )
    if compute.as_of and moment(compute.as_of, "as_of") < end:
        raise BeamfleetError(
            f"compute_features() knows events until {compute.as_of}, from_feature_view() labels "
            f"until {view.as_of}: their features would be too old; give both the same as_of"
        )


def _check_columns(view: FeatureExamplesConfig, recorded: Steps) -> None:
    from components.feature_example_gen.labelled import example_columns, labelled_service

    service, train = labelled_service(view), recorded.get(steps.TrainPerEntity)
    if not isinstance(train, steps.TrainPerEntity):
        return
    columns = example_columns(service)
    if train.config.label != service.label:
        raise BeamfleetError(
            f"train_per_entity() predicts {train.config.label!r}, the label of "
            f"{view.features} is {service.label!r}: write label={service.label!r}"
        )
    for entity in train.config.entity:
        if entity not in columns:
            raise BeamfleetError(
                f"train_per_entity(): entity {entity!r} is no column of the examples of "
                f"{view.features}, which are {', '.join(columns)}; columns of the labels become "
                f"examples when request= names them: request={{{entity!r}: str}}"
            )
