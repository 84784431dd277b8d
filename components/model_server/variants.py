"""What each variant did since it got its label: requests, errors, latencies, predictions."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

WINDOW = 10_000
"""Latencies of the last so many requests are kept for the percentiles."""
_MAX_VALUES = 100
"""Distinct predictions that are counted apart; the rest is counted together."""
_PERCENTILES = (50, 95, 99)
OTHERS = "(others)"


class VariantMetrics:
    """Counts of one version under one label. Threads may call it at once."""

    def __init__(self, label: str, version: str, limit_ms: float | None = None) -> None:
        """Starts at 0.

        Args:
          label: champion, or that of the challenger.
          version: Number of the version.
          limit_ms: Requests that take longer are counted as slow.
        """
        self.label, self.version, self._limit_ms = label, version, limit_ms
        self._lock = threading.Lock()
        self._latencies: deque[float] = deque(maxlen=WINDOW)
        self._predictions: Counter[str] = Counter()
        self._moments = (0, 0.0, 0.0)
        self.requests = self.errors = self.slow = self.rows = 0
        self.skipped = self.compared = self.different = 0

    def record(self, seconds: float, failed: bool, predictions: Sequence[Any] = ()) -> None:
        """Counts one request, and what was predicted for its rows: words or numbers."""
        with self._lock:
            self.requests += 1
            self.errors += failed
            self._latencies.append(seconds * 1000)
            self.slow += self._limit_ms is not None and seconds * 1000 > self._limit_ms
            self.rows += len(predictions)
            self._count(predictions)

    def skip(self) -> None:
        """Counts a request that a shadow was too busy for."""
        with self._lock:
            self.skipped += 1

    def compare(self, ours: Sequence[Any], champion: Sequence[Any]) -> None:
        """Counts rows that the champion predicted otherwise."""
        with self._lock:
            self.compared += len(ours)
            self.different += sum(a != b for a, b in zip(ours, champion, strict=True))

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain values; latencies in milliseconds, of the last WINDOW requests."""
        with self._lock:
            latencies = sorted(self._latencies)
            content = {
                "label": self.label,
                "version": self.version,
                "requests": self.requests,
                "errors": self.errors,
                "rows": self.rows,
                "predictions": dict(self._predictions),
                "mean_prediction": self._moments[1] if self._moments[0] else None,
                "std_prediction": (self._moments[2] / self._moments[0]) ** 0.5
                if self._moments[0]
                else None,
                "shadow_skipped": self.skipped,
                "shadow_compared": self.compared,
                "shadow_different": self.different,
            }
        return content | {f"p{p}_ms": _percentile(latencies, p) for p in _PERCENTILES}

    def _count(self, predictions: Sequence[Any]) -> None:
        for value in predictions:
            if isinstance(value, float):
                self._moments = _with(self._moments, value)
                continue
            word = str(value)
            full = len(self._predictions) >= _MAX_VALUES and word not in self._predictions
            self._predictions[OTHERS if full else word] += 1


class VariantCollector:
    """What /metrics shows of the variants that are served."""

    def __init__(self) -> None:
        self.variants: Callable[[], Sequence[VariantMetrics]] = tuple
        """Gives those of now; the server sets it."""

    def collect(self) -> Iterator[Metric]:
        """Metrics of Prometheus, one sample a variant and value."""
        found = [one.snapshot() for one in self.variants()]
        counters = ("requests", "errors", "rows", "shadow_skipped", "shadow_different")
        for name in counters:
            yield _family(CounterMetricFamily, name, found, {name: ()})
        ms = {f"p{p}_ms": (str(p / 100),) for p in _PERCENTILES}
        yield _family(GaugeMetricFamily, "latency_ms", found, ms, ["quantile"])
        predictions = CounterMetricFamily(
            "beamfleet_variant_predictions", "Rows by prediction", labels=[*_LABELS, "prediction"]
        )
        for one in found:
            for word, count in one["predictions"].items():
                predictions.add_metric([one["label"], one["version"], word], count)
        yield predictions


_LABELS = ["label", "version"]


def _family(
    kind: Any,
    name: str,
    found: Iterable[Mapping[str, Any]],
    fields: Mapping[str, tuple[str, ...]],
    more: Sequence[str] = (),
) -> Metric:
    words = f"{name.replace('_', ' ')} of a variant"
    family = kind(f"beamfleet_variant_{name}", words, labels=[*_LABELS, *more])
    for one in found:
        for field, values in fields.items():
            if one[field] is not None:
                family.add_metric([one["label"], one["version"], *values], one[field])
    return family  # type: ignore[no-any-return]


def _with(moments: tuple[int, float, float], value: float) -> tuple[int, float, float]:
    """Count, mean and sum of squared distances with one more value. Source: Welford, 1962."""
    count, mean, squares = moments
    count += 1
    apart = value - mean
    mean += apart / count
    return count, mean, squares + apart * (value - mean)


def _percentile(ordered: Sequence[float], percent: int) -> float | None:
    """The smallest value that so many percent are not above; None of nothing."""
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, -(-len(ordered) * percent // 100) - 1)], 3)
