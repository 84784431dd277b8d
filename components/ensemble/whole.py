"""Loads models of transformers that are whole: what is missing would be made up by chance."""

from collections.abc import Sequence
from typing import Any, TypeVar

from components.errors import BeamfleetError

SAFE = {"local_files_only": True, "trust_remote_code": False}
"""Nothing is fetched, and no code of the folder is run, nor asked for."""
_NAMED = 3
_Model = TypeVar("_Model")


def load_whole(model_class: type[_Model], folder: str) -> _Model:
    """Reads the weights of a model from safetensors.

    Args:
      model_class: of transformers.
      folder: local, as `save_pretrained` writes it.

    Raises:
      BeamfleetError: a tensor is missing or has another shape; transformers would take random
        numbers for it, others each time.
    """
    loader: Any = model_class
    model, found = loader.from_pretrained(
        folder, use_safetensors=True, output_loading_info=True, ignore_mismatched_sizes=True, **SAFE
    )
    odd = [*found["missing_keys"], *(key[0] for key in found["mismatched_keys"])]
    if odd:
        raise BeamfleetError(
            f"{folder} lacks {_some(odd)} of the weights of a {model_class.__name__}, or has them "
            "in another shape; fetch or save the model again"
        )
    whole: _Model = model
    return whole


def check_tokenizer(tokenizer: Any, words: int, folder: str) -> None:
    """Refuses the tokenizer without words that transformers makes where its files are missing.

    Args:
      tokenizer: as it was loaded.
      words: that the model knows.
      folder: it came from.

    Raises:
      BeamfleetError: it knows less than half of them.
    """
    if 2 * len(tokenizer) < words:
        raise BeamfleetError(
            f"{folder}: its tokenizer has {len(tokenizer)} words, the model {words}; files of the "
            "tokenizer are missing, fetch or save the model again"
        )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(sorted(names)[:_NAMED]) + more
