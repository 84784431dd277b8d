"""ImageExampleGen: images become the rows of an Examples artifact."""

from collections.abc import Sequence

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import channel, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.system_executions import Process

from components.image_example_gen.config import ImageSource
from components.image_example_gen.driver import Driver
from components.image_example_gen.executor import Executor
from components.images.decode import MAX_PIXELS
from components.images.fetch import FetchLimits


class ImageExampleGenSpec(ComponentSpec):
    """Output and parameter of ImageExampleGen."""

    PARAMETERS = {"source": ExecutionParameter(type=str)}
    INPUTS: dict[str, ChannelParameter] = {}
    OUTPUTS = {"examples": ChannelParameter(type=standard_artifacts.Examples)}
    TYPE_ANNOTATION = Process


class ImageExampleGen(base_beam_component.BaseBeamComponent):
    """Reads images of folders, patterns, lists, addresses and TFRecord files.

    Writes `Split-images/` as Parquet of list columns: `image_uri`, `image` (the file as it is),
    `format`, `width` and `height` (upright), `bytes`, `sha256` (of the file), `brightness` and
    `contrast` (mean and standard deviation of the luma), `reference` (a caption, or null), and the
    further columns of the reference file. `components.images.examples.ReadImageExamples` reads it.

    What cannot be read whole is in `rejects.parquet` (file, line, reason, text); of a TFRecord
    file the line is the number of the record. The artifact's custom properties count the images:
    rows_in = rows_rejected + rows_images. The same files give the same rows in the same order.

    References are `captions.csv` (columns file, caption and any others), `metadata.csv` or
    `metadata.jsonl` of a given folder. Records of TFRecord files bring their captions themselves.

    It runs again if a file or the configuration has changed; and always, if images come from
    http(s) addresses (or are files of a remote store that are named one by one), since nobody can
    tell whether they have.

    Example:
        example_gen = ImageExampleGen(["photos", "https://example.org/a.jpg"])
    """

    SPEC_CLASS = ImageExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(
        self,
        images: Sequence[str],
        references: str = "",
        limits: FetchLimits | None = None,
        max_pixels: int = MAX_PIXELS,
        max_rejected_share: float = 1.0,
    ) -> None:
        """Makes the node.

        Args:
          images: folders, patterns, lists (`.txt`), files and addresses.
          references: CSV or JSON Lines file about the images; empty: that of each folder.
          limits: what fetching one image may cost, and from where.
          max_pixels: of one image.
          max_rejected_share: of the images, 0 to 1. A run without a good image always stops.

        Raises:
          ValueError: an argument is out of its range.
        """
        places = (images,) if isinstance(images, str) else tuple(images)
        source = ImageSource(
            places, references, limits or FetchLimits(), max_pixels, max_rejected_share
        )
        examples = channel.Channel(type=standard_artifacts.Examples)
        super().__init__(spec=ImageExampleGenSpec(source=source.to_json(), examples=examples))
