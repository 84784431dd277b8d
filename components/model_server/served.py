"""The models that are served now, and the pointer that may move them."""

import logging
import time
from typing import Any

from components.entity_models.store import UnreadableModelError
from components.errors import BeamfleetError
from components.model_server.routes import Routes, Served
from components.model_server.servable import opener
from components.model_server.stop_rule import broken
from components.model_server.target import Target, Wanted, is_lone, target_of
from components.model_server.variants import VariantMetrics
from components.pusher.splits import stop
from components.pusher.traffic import CHAMPION, Split
from components.pusher.versions import PushedVersions

LOG = logging.getLogger("beamfleet.server")
_RETRY_S = 30.0
_STOP_WAIT_S = 1.0


class ServedModels:
    """Opens a pushed directory or one model, and follows the directory's pointer.

    A new version is loaded beside the old ones and takes its place when it is whole; the old one is
    freed with its last request. A champion that cannot be loaded leaves all as it was, a challenger
    that cannot be loaded leaves the champion alone.

    Raises:
      BeamfleetError: there is nothing to serve, or it is broken.
    """

    def __init__(self, uri: str, cache_bytes: int, log_served: bool = False) -> None:
        self._uri, self._cache_bytes, self._log_served = uri, cache_bytes, log_served
        self._pushed = None if is_lone(uri) else PushedVersions(uri)
        self._failed: Target | None = None
        self._retry_at = 0.0
        self.failure = ""
        """Why not all that CURRENT names is served; "" if it is."""
        self.damage = ""
        """What of the champion cannot be read any more; "" if all can."""
        self._damaged_entity = ""
        self._stopped: dict[str, str] = {}
        self._unrecorded = ""
        self._seen: Target | None
        found = self._wanted()
        champion = self._open(found.champion)
        self.routes = Routes(champion)
        self._opened: dict[Wanted, Served] = {found.champion: champion}
        self._seen = found if found == Target(found.champion) else None

    @property
    def served(self) -> Served:
        """The champion."""
        return self.routes.champion

    def metrics(self) -> list[VariantMetrics]:
        """Of the variants of now."""
        return [one.metrics for one in self.routes.variants]

    def describe(self) -> dict[str, Any]:
        """The split and what its variants did, as plain values."""
        split = self.routes.split
        if split is None and self._seen:
            split = self._seen.split
        return {
            "split": split.id if split else "",
            "state": self._state(split),
            "failure": self.failure,
            "variants": [one.snapshot() for one in self.metrics()],
        }

    def report_damage(self, served: Served, error: UnreadableModelError) -> str:
        """Notes that a model cannot be read, so that `refresh` looks for a whole version.

        A damaged challenger gets no more requests until it can be read.

        Returns:
          One sentence for the client; the log has the reason, which names paths.
        """
        what = f"the model of entity {error.entity!r}" if error.entity else "the fallback model"
        said = (
            f"{what} in version {served.version} was removed or damaged; restore it, or push again"
        )
        LOG.error("%s: %s", said, error)
        routes = self.routes
        if served is routes.champion and not self.damage:
            self._damaged_entity, self._seen, self._retry_at = error.entity, None, 0.0
            self.damage = said
        elif served is routes.challenger:
            self.routes = Routes(routes.champion)
            self._failed, self._retry_at = self._seen, time.monotonic() + _RETRY_S
            self._seen, self.failure = None, said
        self._opened = {key: one for key, one in self._opened.items() if one is not served}
        return said

    def refresh(self) -> bool:
        """Looks at the stop rule and at the pointer, and swaps if it moved; the log says so.

        A version that was damaged is opened anew, until it can be read or the pointer moves.

        Returns:
          Whether another version is the champion now.
        """
        self._check_stop_rule()
        if self._pushed is None and not self.damage:
            return False
        try:
            found = self._wanted()
            if found == self._seen:
                self._recovered()
                return False
            if found == self._failed and time.monotonic() < self._retry_at:
                return False
            self._failed, self._retry_at = found, time.monotonic() + _RETRY_S
            champion = self._opened.get(found.champion) or self._loaded(found.champion, CHAMPION)
        except BeamfleetError as error:
            self._fail(str(error))
            return False
        return self._swap(found, champion)

    def _swap(self, found: Target, champion: Served) -> bool:
        """Takes the champion into service, and the challenger if it can be loaded."""
        challenger, failure = None, found.problem
        try:
            if found.challenger and found.split and found.split.id not in self._stopped:
                known = self._opened.get(found.challenger)
                challenger = known or self._loaded(found.challenger, found.split.plan.challenger)
        except BeamfleetError as error:
            failure = str(error)
        before = self.routes
        self.routes = _routes(before, champion, challenger, found.split)
        fresh = self.routes
        self._opened = {found.champion: fresh.champion}
        if fresh.challenger and found.challenger:
            self._opened[found.challenger] = fresh.challenger
        _log_change(before, fresh)
        self.damage = self._damaged_entity = ""
        if failure:
            self._fail(failure)
        else:
            self._seen = found
            self._recovered()
        return champion.version != before.champion.version

    def _check_stop_rule(self) -> None:
        """Sends the challenger away at once; writes that down as soon as the directory lets it."""
        split, challenger = self.routes.split, self.routes.challenger
        rule = split.plan.stop_rule if split else None
        if split and challenger and rule:
            counts = challenger.metrics
            if reason := broken(rule, counts.requests, counts.errors, counts.slow):
                LOG.error("version %s is stopped: %s", challenger.version, reason)
                self._stopped[split.id], self._unrecorded = reason, split.id
                self.routes = Routes(self.routes.champion)
        if self._unrecorded and self._written_down(self._unrecorded):
            self._unrecorded = ""

    def _written_down(self, split_id: str) -> bool:
        try:
            stop(self._uri, split_id, self._stopped[split_id], _STOP_WAIT_S)
        except (BeamfleetError, OSError) as error:
            self._fail(f"the stop of the challenger cannot be written down: {error}")
            return False
        return True

    def _state(self, split: Split | None) -> str:
        """What `Split.state` says; `stopped` also before that could be written down."""
        if split is None:
            return "none"
        return "stopped" if split.id in self._stopped else split.state()

    def _wanted(self) -> Target:
        return target_of(self._pushed) if self._pushed else Target(Wanted(self._uri))

    def _loaded(self, found: Wanted, label: str) -> Served:
        fresh = self._open(found, label)
        fresh.servable.check(self._damaged_entity)
        fresh.servable.load()
        return fresh

    def _open(self, found: Wanted, label: str = CHAMPION) -> Served:
        servable = opener(found.uri)(found.uri, self._cache_bytes)
        if self._log_served:
            servable.log_answers()
        version = found.version or servable.fingerprint[:12]
        return Served(version, servable, VariantMetrics(label, version))

    def _fail(self, reason: str) -> None:
        if reason != self.failure:
            LOG.error("still serving version %s: %s", self.served.version, reason)
        self.failure = reason

    def _recovered(self) -> None:
        self.failure, self._failed = "", None


def _routes(
    before: Routes, champion: Served, challenger: Served | None, split: Split | None
) -> Routes:
    """The routes, with counts that go on where neither label nor stop rule changed."""
    rule = split.plan.stop_rule if split else None
    same = split and before.split and before.split.plan.stop_rule == rule
    if champion.label != CHAMPION:
        champion = champion.labelled(CHAMPION)
    if challenger is None or split is None:
        return Routes(champion)
    if not (same and before.challenger is challenger):
        limit = rule.max_p99_ms if rule else None
        champion = champion.labelled(CHAMPION)
        challenger = challenger.labelled(split.plan.challenger, limit)
    return Routes(champion, challenger, split)


def _log_change(before: Routes, now: Routes) -> None:
    if now.champion.version != before.champion.version:
        LOG.info("serving version %s instead of %s", now.champion.version, before.champion.version)
    if now.challenger and now.split:
        plan = now.split.plan
        how = "as a shadow" if plan.shadow else f"with shares {dict(plan.shares)}"
        LOG.info("version %s is %s %s", now.challenger.version, plan.challenger, how)
    elif before.challenger:
        LOG.info("version %s gets all requests again", now.champion.version)
