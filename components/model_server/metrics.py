"""What /metrics shows beside KServe's own request_predict_seconds."""

from prometheus_client import Counter, Gauge

ROWS = Counter("beamfleet_rows", "Rows predicted", ["fallback"])
REQUESTS = Counter("beamfleet_requests", "Requests for predictions", ["status"])
SWAPS = Counter("beamfleet_version_swaps", "Times that another version was taken into service")
STALE = Gauge(
    "beamfleet_version_stale", "1 while the version that CURRENT names could not be loaded"
)
