"""Numbers as people read them."""

import math

from pipelines.render import duration, number

__all__ = ["bytes_of", "change", "count", "duration", "megabytes", "metric", "number", "percent"]

LOWER_IS_BETTER = frozenset({"log_loss", "mse", "rmse", "mae", "wer", "cer"})
_METRICS = {"auc": "AUC", "f1": "F1", "mse": "MSE", "rmse": "RMSE", "mae": "MAE", "r2": "R²"}


def metric(value: float | None) -> str:
    """Four digits: `0.9104`, `12.35`, `1.2e+06`."""
    if value is None or math.isnan(value):
        return "-"
    if value and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.3g}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4f}" if abs(value) <= 1 else f"{value:.4g}"


def metric_name(name: str) -> str:
    """`log_loss` is `log loss`, `auc` is `AUC`."""
    return _METRICS.get(name, name.replace("_", " "))


def change(value: float | None) -> str:
    """With its sign; a true minus."""
    if value is None or math.isnan(value):
        return "-"
    text = metric(abs(value))
    if not float(text.replace(",", "")):
        return "±0"
    return f"{'+' if value > 0 else '−'}{text}"  # noqa: RUF001


def percent(share: float | None, digits: int = 1) -> str:
    """`12.3 %`."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:.{digits}f} %"


def count(value: int | float) -> str:
    """`12,345`, also of TFDV's counts, which may be fractions."""
    return f"{value:,.0f}"


def megabytes(value: float | None) -> str:
    """MB of 10^6 bytes; from 1,000 in GB."""
    if value is None:
        return "-"
    return f"{value / 1000:.2f} GB" if value >= 1000 else f"{value:,.0f} MB"


def bytes_of(size: int) -> str:
    """`12 KB`, `3.4 MB`."""
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size = size / 1000  # type: ignore[assignment]
    return f"{size:.2f} GB"
