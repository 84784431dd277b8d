"""Runs any model handler: as many results as examples, in their order."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence, Set
from typing import Any

from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from components.ensemble.rows import RowsError, whole_rows


def predict(
    handler: ModelHandler[Any, Any, Any],
    examples: Sequence[Any],
    model: Any,
    inference_args: Mapping[str, Any] | None = None,
) -> list[Any]:
    """Predicts a batch, with the functions around the handler.

    RunInference applies those itself, but only to the handler that it knows.

    Raises:
      RowsError: more or fewer results than examples, or an output without a row for each.
      Exception: whatever the handler raises.
    """
    if not examples:
        return []
    for function in handler.get_preprocess_fns():
        examples = [function(example) for example in examples]
    with whole_rows():
        given = handler.run_inference(examples, model, inference_args)
        if isinstance(given, Mapping | Set | str | bytes):
            raise RowsError(
                f"the handler gave a {type(given).__name__}; expected a list or an iterator with "
                "one result for each example"
            )
        results = list(given)
    if len(results) != len(examples):
        raise RowsError(f"the handler gave {len(results)} results for {len(examples)} example(s)")
    results = _in_order(examples, results)
    for function in handler.get_postprocess_fns():
        results = [function(result) for result in results]
    return results


def _in_order(examples: Sequence[Any], results: list[Any]) -> list[Any]:
    """Pairs results that name their examples; Beam asks for no order of a handler."""
    by_example: dict[int, list[Any]] = defaultdict(list)
    for result in results:
        if isinstance(result, PredictionResult):
            by_example[id(result.example)].append(result)
    named = {place: len(found) for place, found in by_example.items()}
    if named != Counter(map(id, examples)):
        return results  # they are not, or name something else: then the order is all there is
    return [by_example[id(example)].pop(0) for example in examples]
