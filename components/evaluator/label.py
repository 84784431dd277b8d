"""The label of raw rows, as the model was trained on it."""

from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa

from components.errors import BeamfleetError


class AddLabel(beam.DoFn):
    """Puts the label of the transform graph, if it has one, in the place of a raw column.

    A preprocessing may make the label of other columns, or numbers of its words: a label that it
    makes a whole number is the place of the class among the model's classes.
    """

    def __init__(
        self, graph_uri: str, label: str, classes: Sequence[str] | Sequence[int] = ()
    ) -> None:
        """Takes the folder of a TransformGraph, the name of the label, and the model's classes."""
        super().__init__()
        self._graph_uri, self._label, self._classes = graph_uri, label, tuple(classes)
        self._layer: Any = None

    def setup(self) -> None:
        """Loads the graph."""
        # Imported here: TensorFlow takes seconds, and evaluations of other models need none.
        import tensorflow_transform as tft
        from tfx_bsl.tfxio import tensor_adapter

        from components.transform.transform import adapter_config

        output = tft.TFTransformOutput(self._graph_uri)
        self._outputs = sorted(output.transformed_feature_spec())
        self._layer = output.transform_features_layer()
        self._schema = output.raw_metadata.schema
        self._adapter = tensor_adapter.TensorAdapter(adapter_config(self._schema))

    def process(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Gives the batch with the label.

        Raises:
          BeamfleetError: nobody has a label, or it is not one number a row.
        """
        from components.transform.transform import typed

        names = batch.schema.names
        if self._label not in self._outputs:
            if self._label not in names:
                raise BeamfleetError(
                    f"neither the examples ({names}) nor the preprocessed ones ({self._outputs}) "
                    f"have a column {self._label!r}"
                )
            yield batch
            return
        tensors = self._adapter.ToBatchTensors(typed(batch, self._schema))
        label = self._layer(tensors)[self._label].numpy().reshape(-1)
        if len(label) != batch.num_rows:
            raise BeamfleetError(
                f"the preprocessing gave {len(label)} values of {self._label!r} for "
                f"{batch.num_rows} rows; a label has to be one number a row"
            )
        kept = [name for name in names if name != self._label]
        columns = [*(batch.column(names.index(name)) for name in kept), self._named(label)]
        yield pa.RecordBatch.from_arrays(columns, names=[*kept, self._label])

    def _named(self, label: Any) -> pa.Array:
        """The label; of a number the class in its place, and what is no class if there is none."""
        if not self._classes or label.dtype.kind not in "iu":
            return pa.array(label)
        words = isinstance(self._classes[0], str)
        places = dict(enumerate(self._classes))
        none = min((one for one in self._classes if isinstance(one, int)), default=0) - 1
        return pa.array(
            [places.get(int(n), f"{n} (no class)" if words else none) for n in label],
            pa.string() if words else pa.int64(),
        )
