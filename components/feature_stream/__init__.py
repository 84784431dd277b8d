"""Values of a view as its events come: one sweep of a key's state, on Beam and in process.

On Beam: `components.feature_stream.transform.StreamFeatures`.
"""

from components.feature_stream.log import read_late, read_rejected, read_stream_log
from components.feature_stream.run import StreamReport, ViewReport, run_stream

__all__ = [
    "StreamReport",
    "ViewReport",
    "read_late",
    "read_rejected",
    "read_stream_log",
    "run_stream",
]
