"""Runs an ensemble over the records of examples.

    <uri>/predictions/part-*.parquet    the source's columns, thumbnail, the stages' predictions,
                                        versions (stage -> model), variant (of an A/B test)
    <uri>/dead_letters/part-*.parquet   image_uri, variant, stage, reason, and the source's columns;
                                        absent if there are none
    <uri>/summary.json                  counts; written last

The rows of a file are sorted by key. Pixels stay where they were read: what travels on is rows.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import apache_beam as beam
import pyarrow.parquet as pq

from components.ensemble.ab_test import ABTest
from components.ensemble.graph import Ensemble
from components.ensemble.record import Record
from components.ensemble.run import RunABTest, RunEnsemble
from components.ensemble_inferrer import write
from components.ensemble_inferrer.rows import DEAD_LETTERS, MADE, PREDICTIONS, Row, result_row
from components.errors import BeamfleetError
from components.examples.read import ExamplesSplit, split_files
from components.files import move_into_place, open_file, write_json
from components.images.examples import MADE as OF_IMAGES
from components.images.examples import ReadImageExamples
from components.progress import forget, tell

_PART_ROWS = 1000
"""Rows of a file; with thumbnails some 6 MB."""


@dataclass(frozen=True)
class InferredModel:
    """What predicts."""

    uri: str
    ensemble: Ensemble | ABTest
    version: int = 0
    """Number of the pushed version; 0 for one that was not pushed."""


@dataclass(frozen=True)
class Summary:
    """What became of the records; summary.json holds these fields."""

    images_in: int
    images: int
    """With predictions; images_in = images + images_failed, and each shadow's copy counts."""
    images_failed: int
    model_uri: str
    model_version: int
    seconds: float
    reasons: dict[str, int] = field(default_factory=dict)
    """The most frequent reasons of failed images."""


def infer(
    make_pipeline: Callable[[], beam.Pipeline],
    splits: Sequence[ExamplesSplit],
    model: InferredModel,
    uri: str,
    columns: Mapping[str, str],
    max_failed_share: float,
) -> Summary:
    """Writes predictions, dead letters and summary of all records into the folder `uri`.

    Args:
      make_pipeline: of Beam.
      splits: image Examples.
      model: the ensemble.
      uri: a new folder, or one that an earlier attempt left.
      columns: result column -> stage.
      max_failed_share: above it the models are taken to be broken.

    Raises:
      BeamfleetError: a column of the source has the name of one of the results, more than
        `max_failed_share` failed, or the counts do not agree.
    """
    begun = time.monotonic()
    for split in splits:
        _check_names(split, {*MADE, *columns, *_stages(model.ensemble)})
    write.clear(uri)
    run, copies = _run(model.ensemble)
    images_in = copies * sum(map(_rows, splits))
    forget(uri)
    with make_pipeline() as pipeline:
        records = [
            pipeline | f"ReadImages[{split.split}]" >> ReadImageExamples(split) for split in splits
        ]
        _ = (
            records
            | "JoinSplits" >> beam.Flatten()
            | "RunEnsemble" >> run
            | "MakeRows" >> beam.Map(_row, dict(columns), uri, images_in)
            | "BatchRows" >> beam.BatchElements(_PART_ROWS, _PART_ROWS)
            | "WriteParts" >> beam.FlatMap(write.write_parts, uri)
            | "ListParts" >> beam.CombineGlobally(beam.combiners.ToListCombineFn())
            | "WriteList" >> beam.Map(write.write_list, uri)
        )
    counts = write.commit(uri)
    summary = Summary(
        images_in=images_in,
        images=counts[PREDICTIONS],
        images_failed=counts[DEAD_LETTERS],
        model_uri=model.uri,
        model_version=model.version,
        seconds=round(time.monotonic() - begun, 3),
        reasons=write.frequent_reasons(uri) if counts[DEAD_LETTERS] else {},
    )
    _check(summary, uri, max_failed_share)
    write_json(f"{uri}/summary.json", asdict(summary))
    return summary


def _run(ensemble: Ensemble | ABTest) -> tuple[beam.PTransform, int]:
    """What runs it, and how many results a record has."""
    if isinstance(ensemble, ABTest):
        return RunABTest(ensemble), 1 + len(ensemble.split.shadow)
    return RunEnsemble(ensemble), 1


def _check_names(split: ExamplesSplit, made: set[str]) -> None:
    """A column of the source is not replaced by one of ours without a word."""
    with open_file(str(split_files(split)[0].path)) as file:
        source = {*pq.read_schema(file).names} - {*OF_IMAGES.names}
    if taken := sorted(source & made):
        raise BeamfleetError(
            f"{split.uri}: the source has columns {', '.join(taken)}, which the results have "
            "themselves; rename them in the file of references"
        )


def _stages(ensemble: Ensemble | ABTest) -> set[str]:
    variants = ensemble.variants.values() if isinstance(ensemble, ABTest) else (ensemble,)
    return {stage.name for variant in variants for stage in variant.stages}


def _row(record: Record, columns: Mapping[str, str], uri: str, images_in: int) -> Row:
    tell(uri, images_in, "images")
    return result_row(record, columns)


def _rows(split: ExamplesSplit) -> int:
    total = 0
    for found in split_files(split):
        with open_file(str(found.path)) as file:
            total += pq.read_metadata(file).num_rows
    return total


def _check(summary: Summary, uri: str, max_failed_share: float) -> None:
    if summary.images_in != summary.images + summary.images_failed:
        raise BeamfleetError(
            f"{uri}: {summary.images_in} images were read, but {summary.images} predictions and "
            f"{summary.images_failed} dead letters were written; nothing of it can be trusted, run "
            "the inference again"
        )
    if summary.images_failed > max_failed_share * summary.images_in:
        reasons = "; ".join(f"{text} ({count}x)" for text, count in summary.reasons.items())
        aside = f"{uri.rstrip('/')}.{DEAD_LETTERS}"  # TFX removes the folder of what has failed
        move_into_place(f"{uri}/{DEAD_LETTERS}", aside)
        raise BeamfleetError(
            f"{summary.images_failed} of {summary.images_in} images failed, more than the share of "
            f"{max_failed_share} that max_failed_share allows: {reasons}. They are in {aside}; "
            "mend the images or the models, or allow more"
        )
