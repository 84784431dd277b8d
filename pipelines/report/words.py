"""Numbers as people read them."""

import math

from components.entity_evaluator.config import LOWER_IS_BETTER
from pipelines.render import duration

__all__ = ["change", "count", "duration", "goodness", "megabytes", "metric", "metric_name",
           "percent", "short_time", "value"]  # fmt: skip

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


def value(number: float | None) -> str:
    """A value of a column: whole numbers as they are, others with five digits."""
    if number is None or math.isnan(number):
        return "-"
    is_whole = math.isfinite(number) and number == int(number)
    if (is_whole or abs(number) >= 1e5) and abs(number) < 1e15:
        return f"{number:,.0f}"
    return f"{number:.5g}"


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


def goodness(name: str, number: float) -> float:
    """A number that is higher for a better value, whatever the direction of the metric."""
    if name == "calibration":  # predicted over true: one is best
        return -abs(1 - number)
    return -number if name in LOWER_IS_BETTER else number


def percent(share: float | None, digits: int = 1) -> str:
    """`12.3 %`."""
    return "-" if share is None or math.isnan(share) else f"{100 * share:.{digits}f} %"


def count(value: int | float) -> str:
    """`12,345`, also of TFDV's counts, which may be fractions."""
    return f"{value:,.0f}"


def short_time(seconds: float) -> str:
    """A time that may be of milliseconds: `0.8 ms`, `12 ms`, `3.2 s`."""
    milliseconds = 1000 * seconds
    if milliseconds >= 999.5:
        return duration(seconds)
    return f"{milliseconds:.1f} ms" if milliseconds < 9.95 else f"{milliseconds:.0f} ms"


def megabytes(value: float | None) -> str:
    """MB of 10^6 bytes; from 1,000 in GB."""
    if value is None:
        return "-"
    return f"{value / 1000:.2f} GB" if value >= 1000 else f"{value:,.0f} MB"
