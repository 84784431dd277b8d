"""Where rows come from, and how people may write it down."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

from components.errors import BeamfleetError
from components.example_gen.source import (
    CsvSource,
    GivenSplit,
    HashSplit,
    IngestConfig,
    ParquetSource,
    Splits,
    TFRecordSource,
)

PathLike = str | Path
_S = TypeVar("_S")
_Source = TypeVar("_Source", CsvSource, ParquetSource, TFRecordSource)


class TypedOptions(TypedDict, total=False):
    """How files that know their columns are read; see `components.example_gen.source`."""

    types: Mapping[str, str]
    span: int
    window: int


class CsvOptions(TypedOptions, total=False):
    """How CSV files are read; see `components.example_gen.source.CsvSource`."""

    columns: Sequence[str]
    null_values: Sequence[str]
    delimiter: str


class IngestOptions(TypedDict, total=False):
    """What happens to the rows; see `components.example_gen.source.IngestConfig`."""

    clean: str
    max_rejected_share: float
    splits: Splits
    eval_data: PathLike | None


class FetchOptions(TypedDict, total=False):
    """What fetching an image may cost; see `components.images.fetch.FetchLimits`."""

    max_bytes: int
    timeout_s: float
    max_redirects: int
    allow_private: bool


class ImageOptions(FetchOptions, total=False):
    """How images are read; see ImageExampleGen."""

    max_pixels: int
    max_rejected_share: float


FETCH_LIMITS = frozenset(FetchOptions.__annotations__)


class CsvAndIngest(CsvOptions, IngestOptions, total=False):
    """Options of `Pipeline.from_csv`."""


class TypedAndIngest(TypedOptions, IngestOptions, total=False):
    """Options of `Pipeline.from_parquet` and `Pipeline.from_tfrecord`."""


def from_csv(*paths: PathLike, **options: Unpack[CsvOptions]) -> CsvSource:
    """A source of CSV files, folders or patterns: `from_csv("data/new", delimiter=";")`."""
    return _source(CsvSource, paths, options)


def from_parquet(*paths: PathLike, **options: Unpack[TypedOptions]) -> ParquetSource:
    """A source of Parquet files, folders or patterns."""
    return _source(ParquetSource, paths, options)


def from_tfrecord(*paths: PathLike, **options: Unpack[TypedOptions]) -> TFRecordSource:
    """A source of TFRecord files of tf.Example."""
    return _source(TFRecordSource, paths, options)


def ingest_config(
    kind: type[_Source], paths: Sequence[PathLike], options: Mapping[str, Any]
) -> IngestConfig:
    """Sorts the options of a `Pipeline.from_...` call into source, splits and the rest.

    Raises:
      BeamfleetError: an option is unknown, impossible or given twice.
    """
    ours = {key: value for key, value in options.items() if key in _INGEST}
    source = _source(kind, paths, {k: v for k, v in options.items() if k not in _INGEST})
    eval_data, splits = ours.pop("eval_data", None), ours.pop("splits", None)
    if eval_data is not None:
        if splits is not None:
            raise BeamfleetError("give either eval_data or splits, not both")
        splits = GivenSplit(absolute([eval_data]))
    return made(IngestConfig, source=source, splits=splits or HashSplit(), **ours)


def made(kind: type[_S], **fields: Any) -> _S:
    """Constructs a configuration.

    Raises:
      BeamfleetError: the class refuses a field; its own words say why.
    """
    try:
        return kind(**fields)
    except (TypeError, ValueError) as error:
        text = str(error).replace(f"{kind.__name__}.__init__() got an ", "")
        raise BeamfleetError(f"{kind.__name__}: {text}") from None


_INGEST = frozenset(IngestOptions.__annotations__)


def _source(kind: type[_Source], paths: Sequence[PathLike], options: Mapping[str, Any]) -> _Source:
    return made(kind, paths=absolute(paths), **{k: _frozen(v) for k, v in options.items()})


def model_place(place: PathLike) -> str:
    """A folder as an absolute path; anything else, such as the name on a hub, as it is."""
    return str(Path(place).absolute()) if Path(place).exists() else str(place)


def absolute(paths: Sequence[PathLike]) -> tuple[str, ...]:
    """Absolute, because the cache and a worker must not depend on the current folder."""
    texts = (str(path) for path in paths)
    return tuple(t if "://" in t else str(Path(t).absolute()) for t in texts)


def _frozen(value: Any) -> Any:
    """The frozen sources hold tuples; people write lists and dictionaries."""
    if isinstance(value, Mapping):
        return tuple(value.items())
    return tuple(value) if isinstance(value, list) else value
