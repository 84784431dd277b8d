"""Features as Examples and models know them: words, integers, doubles."""

import polars as pl
import pyarrow as pa

_ARROW = {pl.String(): pa.string(), pl.Int64(): pa.int64(), pl.Float64(): pa.float64()}


def plain_table(frame: pl.DataFrame) -> pa.Table:
    """The same columns: a time becomes seconds since 1970, true becomes 1."""
    columns = [_plain(column) for column in frame]
    arrow = pl.DataFrame(columns).to_arrow(compat_level=pl.CompatLevel.oldest())
    return arrow.cast(pa.schema([(column.name, _ARROW[column.dtype]) for column in columns]))


def _plain(values: pl.Series) -> pl.Series:
    if isinstance(values.dtype, pl.Datetime):
        return values.dt.epoch("us").cast(pl.Float64) / 1e6
    if values.dtype == pl.Boolean or values.dtype.is_integer():
        return values.cast(pl.Int64)
    return values.cast(pl.Float64) if values.dtype.is_numeric() else values.cast(pl.String)
