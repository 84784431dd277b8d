"""Runs ensembles on Beam, by RunInference."""

import apache_beam as beam
from apache_beam.ml.inference.base import RunInference

from components.ensemble.ab_test import ABTest
from components.ensemble.graph import Ensemble
from components.ensemble.record import Record
from components.ensemble.stage_handler import StageHandler


@beam.typehints.with_input_types(Record)
@beam.typehints.with_output_types(Record)
class RunEnsemble(beam.PTransform):
    """Record -> the same record with a column of each stage, or with a failure: one for one."""

    def __init__(self, ensemble: Ensemble, *, is_shadow: bool = False) -> None:
        """Takes the ensemble; a model of a shadow that cannot be loaded fails its records only."""
        super().__init__()
        self._ensemble, self._is_shadow = ensemble, is_shadow

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        for stage in self._ensemble.stages:
            arguments = dict(stage.inference_args) if stage.inference_args else None
            records = records | f"Predict[{stage.name}]" >> RunInference(
                StageHandler(stage, self._ensemble.memory_mb, is_shadow=self._is_shadow),
                inference_args=arguments,
            )
        return records


@beam.typehints.with_input_types(Record)
@beam.typehints.with_output_types(Record)
class RunABTest(beam.PTransform):
    """Record -> one record of its variant, and one of each shadow; `variant` names it."""

    def __init__(self, test: ABTest) -> None:
        super().__init__()
        self._test = test

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        names = list(self._test.variants)
        parts = (
            records
            | "AssignVariants" >> beam.FlatMap(self._test.split.assigned)
            | "PartVariants" >> beam.Partition(lambda r, _: names.index(r.variant), len(names))
        )
        results = [
            part
            | f"Run[{name}]"
            >> RunEnsemble(self._test.variants[name], is_shadow=name in self._test.split.shadow)
            for name, part in zip(names, parts, strict=True)
        ]
        return results | "JoinVariants" >> beam.Flatten()
