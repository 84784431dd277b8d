"""The steps from events to features, and from features to examples."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Self

from components.feature_example_gen.config import FeatureExamplesConfig
from pipelines import steps
from pipelines.builder.recorder import Recorder
from pipelines.sources import PathLike, made

Moment = str | date
"""A day, a time, or either as text: "2024-05-22", "2024-05-22T18:00:00Z". Without a zone: UTC."""


class FeatureSteps(Recorder):
    """The steps from events to features, and from features to examples."""

    def from_feature_view(
        self,
        features: str,
        *,
        splits: Mapping[str, Moment | float],
        as_of: Moment,
        gap: str = "0s",
        labels: str = "",
        label: str = "",
        request: Mapping[str, type] | None = None,
    ) -> Self:
        """Takes labels with the features of their time as examples: none sees what came after it.

        Two nodes: the first computes the views into the store `<root>/features`. A changed
        definition needs a new version, and what a view expects of its values has to hold.

        Args:
          features: Dotted path of a FeatureService; or of a view, with `labels` and `label`.
          splits: When `eval` begins, and `validation` if there is one: `{"eval": "2024-05-16"}`;
            or their shares of the rows: `{"eval": 0.3}`. What is earlier trains.
          as_of: Only what was known of events and labels then.
          gap: Rows of so long before the next split are in none: "1d".
          labels: Dotted path of the Source of labels, for a view.
          label: Its column to predict, for a view.
          request: More columns of `labels`, for a view: `{"amount": float}`.
        """
        config = made(
            FeatureExamplesConfig,
            features=features,
            splits={name: _start(start) for name, start in splits.items()},
            as_of=_text(as_of),
            gap=gap,
            labels=labels,
            label=label,
            request={name: kind.__name__ for name, kind in (request or {}).items()},
        )
        return self._record(steps.FromFeatureView(config, str(self.root / "features")))

    def stream_features(self, *, until: Moment) -> Self:
        """Fills the online store as of `from_feature_view`, and streams into it what came since.

        What the stream said is compared with a backfill of the same time; where they differ by more
        than the events that came too late, the run stops.

        Args:
          until: Where the watermark moves when there is nothing more to read.
        """
        return self._record(steps.StreamFeatures(_text(until)))

    def predict_online(self, requests: PathLike) -> Self:
        """Asks a server of the pushed models about new rows, each at its own time.

        Args:
          requests: Parquet file or folder with the service's keys, request columns and the column
            of time of its labels. The features are those of the online store.
        """
        return self._record(steps.PredictOnline(str(Path(requests).absolute())))


def _text(moment: Moment) -> str:
    return moment.isoformat() if isinstance(moment, date) else moment


def _start(start: Moment | float) -> str | float:
    return start if isinstance(start, int | float) else _text(start)
