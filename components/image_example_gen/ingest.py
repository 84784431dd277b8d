"""Ingests images: shards are read and written by workers, and published when all are complete."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems

from components.errors import BeamfleetError
from components.example_gen.parts import Reject
from components.example_gen.write import RejectsWriter
from components.files import exists, is_remote, make_folder, move_into_place, open_file
from components.image_example_gen.config import ImageSource
from components.image_example_gen.plan import ImagePlan
from components.image_example_gen.shard import write_shard
from components.image_example_gen.write import ShardFiles
from components.images.examples import MADE, SPLIT
from components.printable import printable
from components.words import counted

_SHOWN_REJECTS = 3


@dataclass(frozen=True)
class ImageCounts:
    """Images by what became of them."""

    rows_in: int
    """Images that were found: files, addresses, and records of TFRecord files."""
    rows: int
    rows_rejected: int
    """rows_in is rows + rows_rejected."""
    notes: tuple[str, ...] = ()
    """What the user should know."""


def ingest_images(
    make_pipeline: Callable[[], beam.Pipeline], plan: ImagePlan, source: ImageSource, uri: str
) -> ImageCounts:
    """Writes an Examples artifact; nothing is visible in it until all of it is written.

    Args:
      make_pipeline: makes the Beam pipeline that the shards are read in.
      plan: what to read, from `plan_images(source)`.
      source: what reading an image may cost.
      uri: folder of the artifact, on any Beam filesystem.

    Raises:
      BeamfleetError: no image could be read, or too many were rejected.
    """
    staging = f"{uri}/_staging"
    for earlier in (staging, f"{uri}/Split-{SPLIT}"):  # of an attempt that was killed
        _remove(earlier)
    make_folder(staging)
    schema = pa.schema([*MADE, *(pa.field(name, kind) for name, kind in plan.types.items())])
    try:
        with make_pipeline() as pipeline:
            _ = (
                pipeline
                | "ListShards" >> beam.Create(plan.shards, reshuffle=True)
                | "WriteShards" >> beam.Map(write_shard, staging, schema, source)
            )
        shards = [ShardFiles(staging, shard.number) for shard in plan.shards]
        counts = _count(plan, shards)
        _check(counts, source, _rejects(plan, shards))
        _publish(uri, staging, shards, _rejects(plan, shards))
    finally:
        _remove(staging)
    return counts


def _count(plan: ImagePlan, shards: Sequence[ShardFiles]) -> ImageCounts:
    """Adds up the reports of the shards; one that is missing or does not add up stops the run."""
    reports = [shard.read_report() for shard in shards]
    for shard, report in zip(plan.shards, reports, strict=True):
        if not shard.is_tfrecord and report["rows_in"] != len(shard.images):
            raise RuntimeError(
                f"shard {shard.number} has {len(shard.images)} images, but {report} came out"
            )
    rejected = len(plan.refused) + sum(report["rejects"] for report in reports)
    rows = sum(report["rows"] for report in reports)
    return ImageCounts(rows + rejected, rows, rejected, plan.notes)


def _rejects(plan: ImagePlan, shards: Sequence[ShardFiles]) -> Iterator[list[Reject]]:
    """All rejects in the order of the images, some at a time."""
    yield [Reject(path, 1, reason, "") for path, reason in plan.refused]
    for shard in shards:
        if not exists(shard.rejects):
            continue
        with open_file(shard.rejects) as file:
            for batch in pq.ParquetFile(file).iter_batches():
                yield [Reject(**row) for row in batch.to_pylist()]


def _check(counts: ImageCounts, source: ImageSource, rejects: Iterator[list[Reject]]) -> None:
    if counts.rows and counts.rows_rejected <= source.max_rejected_share * counts.rows_in:
        return
    shown = [one for some in rejects for one in some[:_SHOWN_REJECTS]][:_SHOWN_REJECTS]
    first = "; ".join(printable(f"{reject.file}: {reject.reason}") for reject in shown)
    places = ", ".join(source.images)
    if counts.rows:
        raise BeamfleetError(
            f"{counts.rows_rejected} of {counts.rows_in} images of {places} were rejected, more "
            f"than max_rejected_share={source.max_rejected_share}. The first: {first}"
        )
    raise BeamfleetError(
        f"{places}: {counted(counts.rows_in, 'image')}, and none can be read: {first}"
    )


def _publish(
    uri: str, staging: str, shards: Sequence[ShardFiles], rejects: Iterator[list[Reject]]
) -> None:
    writer = RejectsWriter(f"{staging}/rejects.parquet")
    for some in rejects:
        writer.write(some)
    writer.close()
    folder = f"{uri}/Split-{SPLIT}"
    make_folder(folder)
    written = [shard.rows for shard in shards if exists(shard.rows)]
    for number, path in enumerate(written):
        move_into_place(path, f"{folder}/data-{number:05d}-of-{len(written):05d}.parquet")
    if writer.is_used:
        move_into_place(f"{staging}/rejects.parquet", f"{uri}/rejects.parquet")


def _remove(folder: str) -> None:
    """Removes the files of a folder, and where folders are more than names also the folder."""
    if not is_remote(folder):
        shutil.rmtree(folder, ignore_errors=True)
        return
    [found] = FileSystems.match([f"{folder}/**"])
    if found.metadata_list:
        FileSystems.delete([file.path for file in found.metadata_list])
