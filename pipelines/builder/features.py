"""The steps from events to features, and from features to examples."""

from collections.abc import Mapping
from datetime import date
from typing import Self

from components.feature_example_gen.config import FeatureExamplesConfig
from pipelines import steps
from pipelines.builder.recorder import Recorder
from pipelines.sources import made

Moment = str | date
"""A day, a time, or either as text: "2024-05-22", "2024-05-22T18:00:00Z". Without a zone: UTC."""


class FeatureSteps(Recorder):
    """The steps from events to features, and from features to examples."""

    def compute_features(self, features: str, *, as_of: Moment | None = None) -> Self:
        """Computes the views of a service over their history, into the store `<root>/features`.

        A changed definition needs a new version, and what a view expects of its values has to hold.

        Args:
          features: Dotted path of a FeatureService, or of one view: "user_code.payments.fraud".
          as_of: Only events until then; default: all.
        """
        store = str(self.root / "features")
        return self._record(
            made(steps.ComputeFeatures, features=features, store=store, as_of=_text(as_of))
        )

    def from_feature_view(
        self,
        features: str,
        *,
        splits: Mapping[str, Moment],
        as_of: Moment,
        gap: str = "0s",
        labels: str = "",
        label: str = "",
        request: Mapping[str, type] | None = None,
    ) -> Self:
        """Takes labels with the features of their time as examples: none sees what came after it.

        Args:
          features: Dotted path of a FeatureService; or of a view, with `labels` and `label`.
          splits: Split -> when it begins: `{"train": "2024-05-01", "eval": "2024-05-16"}`. It ends
            where the next one begins, the last one at `as_of`.
          as_of: What was known of the labels then.
          gap: A split ends so long before the next one begins: "1d".
          labels: Dotted path of the Source of labels, for a view.
          label: Its column to predict, for a view.
          request: More columns of `labels`, for a view: `{"amount": float}`.
        """
        config = made(
            FeatureExamplesConfig,
            features=features,
            splits={name: _text(start) for name, start in splits.items()},
            as_of=_text(as_of),
            gap=gap,
            labels=labels,
            label=label,
            request={name: kind.__name__ for name, kind in (request or {}).items()},
        )
        return self._record(steps.FromFeatureView(config))


def _text(moment: Moment | None) -> str:
    return moment.isoformat() if isinstance(moment, date) else moment or ""
