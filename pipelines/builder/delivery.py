"""The steps from a blessed model to whoever uses it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Self, TypedDict, Unpack

from components.bulk_inferrer.config import InferenceConfig
from components.errors import BeamfleetError
from components.example_gen.source import Source
from components.infra_validator.report import Gates
from components.pusher.traffic import traffic_plan
from components.words import listed
from pipelines import alerts, steps
from pipelines.builder.recorder import Recorder, given, several
from pipelines.sources import PathLike, made


class TrafficTerms(TypedDict, total=False):
    """What a challenger gets, see `components.pusher.traffic.traffic_plan`."""

    shadow: bool
    """It computes an answer to each request, which is counted and thrown away; its share is 0."""
    by: str
    """What is sticky: "entity" (where the model has entities), or "request"."""
    start: str | datetime
    """From then on; ISO 8601 with a zone."""
    end: str | datetime
    """Until then."""
    stop_rule: Mapping[str, float]
    """`{"max_error_share": 0.02, "max_p99_ms": 200, "min_requests": 500}`."""


class DeliverySteps(Recorder):
    """The steps from a blessed model to whoever uses it."""

    def infra_validate(
        self,
        max_startup_s: float | None = None,
        max_p99_ms: float | None = None,
        *,
        max_rss_mb: float | None = None,
        requests: int | None = None,
    ) -> Self:
        """Serves the models in a fresh process and measures it; see InfraValidator.

        What is None is as `components.infra_validator.report.Gates` says, for an ensemble as
        ENSEMBLE_GATES.

        Args:
          max_startup_s: Limit from the start of loading to ready, seconds.
          max_p99_ms: Limit of the 99th percentile of request times, milliseconds.
          max_rss_mb: Limit of the server's resident memory, 1,000,000 bytes; None for no limit.
          requests: How many requests to time.
        """
        limits = given(
            max_startup_s=max_startup_s,
            max_p99_ms=max_p99_ms,
            max_rss_mb=max_rss_mb,
            requests=requests,
        )
        Gates(**limits)  # refuses nonsense
        return self._record(steps.InfraValidate(limits))

    def push_to(
        self,
        directory: PathLike | None = None,
        *,
        keep: int = 5,
        traffic: Mapping[str, float] | None = None,
        approve: str = "",
        **terms: Unpack[TrafficTerms],
    ) -> Self:
        """Pushes what was blessed as a numbered version; default directory: `<root>/pushed`.

        Args:
          directory: Where the versions lie.
          keep: How many of the newest stay; those that get requests stay in any case.
          traffic: `{"champion": 90, "challenger": 10}`: the new version gets a share of the
            requests beside the current one, until `beamfleet promote` or `rollback`. Without a
            current version it gets them all.
          approve: "manual": nothing is pushed before `beamfleet approve RUN`.
          terms: See TrafficTerms.
        """
        if terms and traffic is None:
            raise BeamfleetError(f"{listed(terms)} of push_to() need traffic={{...}}")
        if approve not in ("", "manual"):
            raise BeamfleetError(f'approve of push_to() is "manual" or nothing, got {approve!r}')
        target = directory if directory is not None else self.root / "pushed"
        where = str(target) if "://" in str(target) else str(Path(target).absolute())
        plan = traffic_plan(traffic, **terms) if traffic is not None else None
        root = str(self.root) if approve else ""
        step = made(steps.PushTo, directory=where, keep=keep, traffic=plan, approval_root=root)
        return self._record(step)

    def bulk_infer(
        self,
        source: Source,
        *,
        clean: str = "",
        output_columns: str | Sequence[str] | None = None,
        private_columns: str | Sequence[str] | None = None,
        max_failed_share: float | None = None,
    ) -> Self:
        """Predicts unlabelled rows: `.bulk_infer(from_csv("data/new"))`.

        Args:
          source: Rows to predict.
          clean: Dotted path of `clean_fn(table: pa.Table) -> pa.Table`.
          output_columns, private_columns, max_failed_share: See
            `components.bulk_inferrer.config.InferenceConfig`, which has the defaults.
        """
        if not isinstance(source, Source):
            raise BeamfleetError(
                f"bulk_infer() takes a source such as from_csv(path), got {source!r}"
            )
        options = given(
            output_columns=several(output_columns),
            private_columns=several(private_columns),
            max_failed_share=max_failed_share,
        )
        InferenceConfig(**options)  # refuses nonsense
        return self._record(steps.BulkInfer(source, clean, options))

    def alert(self, webhook: str, on: str | Sequence[str] = alerts.EVENTS) -> Self:
        """Tells a chat (Slack, Mattermost, ...) what went wrong; that never breaks a run.

        Args:
          webhook: Where the address lies, which is a secret: "env:SLACK_WEBHOOK", or
            "file:/run/secrets/slack".
          on: Of "anomaly", "not_blessed", "infra_failed", "run_failed", "waits_for_approval".
        """
        alerts.check_webhook(webhook)
        events = several(on) or ()
        if unknown := sorted(set(events) - set(alerts.EVENTS)):
            raise BeamfleetError(
                f"unknown events {unknown}; choose from {', '.join(alerts.EVENTS)}"
            )
        return self._record(steps.Alert(webhook, events))

    def on_exit(self, exit_fn: str) -> Self:
        """Calls a function when a run has ended, however it ended.

        What the function raises is said and makes the command fail; the run's state stays.

        Args:
          exit_fn: Dotted path of `exit_fn(outcome: components.outcome.RunOutcome)`.
        """
        return self._record(steps.OnExit(exit_fn))
