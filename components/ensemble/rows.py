"""One row of a model's output for each example, in the handlers that come with Beam.

Beam's handlers for PyTorch, Hugging Face, TensorFlow, ONNX and scikit-learn pair examples and
outputs by `zip` (`apache_beam.ml.inference.utils._convert_to_result`). So they lose rows where the
output holds a mapping (of CLIP's 64 images 14 came out), and give the wrong ones where it is a
tuple: with `return_dict=False` the second example gets the whole second output, with hidden states
the second layer, and in a batch no longer than the tuple even the count is right. Nothing can be
seen of it in what comes out, and the outputs themselves are seen nowhere else. Hence the function
is replaced, for calls within `whole_rows` only; until Beam compares the lengths itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from apache_beam.ml.inference import utils
from apache_beam.ml.inference.base import PredictionResult

from components.errors import BeamfleetError

_WHOLE: ContextVar[bool] = ContextVar("whole_rows", default=False)
_BEAMS = utils._convert_to_result


class RowsError(BeamfleetError):
    """Which result belongs to which example is nobody's guess."""


@contextmanager
def whole_rows() -> Iterator[None]:
    """Has Beam's handlers cut outputs by `rows_of`, in this thread."""
    utils._convert_to_result = _convert
    token = _WHOLE.set(True)
    try:
        yield
    finally:
        _WHOLE.reset(token)


def rows_of(output: Any, count: int) -> list[Any]:
    """Cuts the output for `count` examples into one for each.

    Args:
      output: array, tensor, table or sparse matrix of (count, ...), list of `count`, or a mapping
        of such, also of mappings: each example gets a dict with its rows.
      count: examples in the batch, 1 or more.

    Raises:
      RowsError: some of it has no row for each example; a tuple never has, it is several outputs.
    """
    return _rows(list(output) if isinstance(output, Iterator) else output, count, "")


def _rows(output: Any, count: int, name: str) -> list[Any]:
    if isinstance(output, Mapping) and output:
        parts = {key: _rows(value, count, f"{name}[{key!r}]") for key, value in output.items()}
        return [{key: part[i] for key, part in parts.items()} for i in range(count)]
    if _length(output) != count or (count > 1 and _is_several_outputs(output, count)):
        raise RowsError(
            f"the model's output{name} is {_described(output)}: not one row for each of {count} "
            "example(s); leave it out, or give the handler an inference_fn that returns a list "
            "with one result an example"
        )
    table = getattr(output, "iloc", output)  # [] of a DataFrame takes names
    return [table[i] for i in range(count)]


def _length(output: Any) -> int | None:
    shape = getattr(output, "shape", None)
    if shape is not None:
        return int(shape[0]) if len(shape) else None
    return len(output) if isinstance(output, list) else None


def _is_several_outputs(output: Any, count: int) -> bool:
    """Whether a list may just as well be whole outputs as rows; in a smaller batch it may not."""
    return isinstance(output, list) and all(
        hasattr(part, "shape") and _length(part) == count for part in output
    )


def _described(output: Any) -> str:
    kind = type(output).__name__
    if hasattr(output, "shape"):
        return f"a {kind} of shape {tuple(output.shape)}"
    return f"a {kind} of {len(output)}" if isinstance(output, list | tuple) else f"a {kind}"


def _convert(
    batch: Sequence[Any], predictions: Any, model_id: str | None = None
) -> list[PredictionResult]:
    if not _WHOLE.get():
        return list(_BEAMS(batch, predictions, model_id))
    found = rows_of(predictions, len(batch))
    return [PredictionResult(x, y, model_id) for x, y in zip(batch, found, strict=True)]
