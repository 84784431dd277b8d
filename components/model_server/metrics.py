"""What /metrics shows beside KServe's own request_predict_seconds."""

from prometheus_client import REGISTRY, Counter, Gauge

from components.model_server.variants import VariantCollector

ROWS = Counter("beamfleet_rows", "Rows predicted", ["fallback"])
REQUESTS = Counter("beamfleet_requests", "Requests for predictions", ["status"])
LOOKED_UP = Counter("beamfleet_features_looked_up", "Rows that a view was looked up for", ["view"])
ABSENT = Counter(
    "beamfleet_features_absent", "Rows whose entity the view has no value of, or too old", ["view"]
)
SWAPS = Counter("beamfleet_version_swaps", "Times that another version was taken into service")
STALE = Gauge(
    "beamfleet_version_stale", "1 while the version that CURRENT names could not be loaded"
)
VARIANTS = VariantCollector()
REGISTRY.register(VARIANTS)
