"""A handler around another one."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from apache_beam.ml.inference.base import ModelHandler

from components.native import shield_triton


class HandlerAround(ModelHandler[Any, Any, Any]):
    """Answers as the inner handler does to whatever Beam asks besides inference."""

    def __init__(self, inner: ModelHandler[Any, Any, Any]) -> None:
        super().__init__()
        self._inner = inner

    def load_model(self) -> Any:
        shield_triton()  # the model may need PyTorch, and TFX has imported TensorFlow
        return self._inner.load_model()

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        """The inner handler's; what measures its examples is given them, and not our elements."""
        options = dict(self._inner.batch_elements_kwargs())
        for name in {"element_size_fn", "length_fn"} & set(options):
            options[name] = partial(self._measured, options[name])
        return options

    def example_of(self, element: Any) -> Any:
        """What the functions before the inner handler are given for an element."""
        return element

    def get_metrics_namespace(self) -> str:
        return str(self._inner.get_metrics_namespace())

    def get_num_bytes(self, batch: Sequence[Any]) -> int:
        return int(self._inner.get_num_bytes(batch))

    def get_resource_hints(self) -> dict[str, Any]:
        return dict(self._inner.get_resource_hints())

    def override_metrics(self, metrics_namespace: str = "") -> bool:
        return bool(self._inner.override_metrics(metrics_namespace))

    def set_environment_vars(self) -> None:
        self._inner.set_environment_vars()

    def should_skip_batching(self) -> bool:
        return bool(self._inner.should_skip_batching())

    def validate_inference_args(self, inference_args: dict[str, Any] | None) -> None:
        self._inner.validate_inference_args(inference_args)

    def update_model_path(self, model_path: str | None = None) -> None:
        self._inner.update_model_path(model_path)

    def share_model_across_processes(self) -> bool:
        return bool(self._inner.share_model_across_processes())

    def model_copies(self) -> int:
        return int(self._inner.model_copies())

    def should_garbage_collect_on_timeout(self) -> bool:
        return bool(self._inner.should_garbage_collect_on_timeout())

    def _measured(self, measure: Callable[[Any], int], element: Any) -> int:
        try:
            example = self.example_of(element)
            for function in self._inner.get_preprocess_fns():
                example = function(example)
            return int(measure(example))
        except Exception:
            return 0  # a bad record fails again where it becomes a dead letter


def innermost(handler: ModelHandler[Any, Any, Any]) -> ModelHandler[Any, Any, Any]:
    """The handler within functions before and after it, ours and Beam's."""
    while within := getattr(handler, "_inner", None) or getattr(handler, "_base", None):
        handler = within
    return handler
