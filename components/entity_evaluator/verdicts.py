"""Which model serves each entity from now on.

The rule: **a model of its own is earned by evidence, refreshed unless there is evidence against
it, and lost once it is no better than the fallback.** Three models compete for an entity: the
candidate's own, the own one that is pushed, and the fallback (the all-rows model that the new
version will have).

* No own model is pushed: the candidate's is *blessed* if it is significantly better than the
  fallback, else the entity gets the *fallback*.
* An own model is pushed: the candidate's replaces it (*blessed*) unless it is significantly worse
  than the pushed one, or no better than the fallback; then the pushed one is *kept*. The pushed
  model also stays where the candidate has none (too few rows, failed) or the very same one.
* A pushed model that is no better than the fallback on these rows gives way to it (*fallback*).
  This step needs no evidence, because the fallback is the model of most rows and of the most
  entities, and it cannot flap: the way back needs evidence.
* An own model that would be blessed, but does not reach a value threshold with confidence, or whose
  predictions fail too often, is *refused*: the pushed model or the fallback serves.

Tests are paired (the same rows), one-sided, on the rows' losses: exact McNemar for accuracy, paired
t for the others. Each question is one family of tests under Benjamini-Hochberg: of the changes, at
most a share of 1 - confidence is chance, and where nothing differs at all, at most that share of
runs changes anything. The p-values in tables are the adjusted ones.

Entities below `min_eval_rows` cannot show anything alone. Those in the same situation are pooled
and judged by one test on all their rows, which joins the family as one member, and whose verdict
all of them get. Rows of different entities are independent given the models, so that the pooled
test holds; McNemar's is then conservative, because the variance of a sum of unlike Bernoulli
numbers is at most the binomial one.
"""

from dataclasses import dataclass

import numpy as np

from components.entity_evaluator.config import EvaluationConfig
from components.entity_evaluator.contest import (
    HELD,
    NEW,
    REFRESH,
    Contest,
    Refusals,
    Tests,
    Units,
    beats,
    failing,
)
from components.entity_evaluator.metrics import Bools, Floats, Ints, measure

BLESSED, KEPT, FALLBACK, REFUSED = "blessed", "kept", "fallback", "refused"


@dataclass(frozen=True)
class Verdicts:
    """One verdict an entity; everything is (entities,)."""

    verdict: list[str]
    """blessed, kept, fallback or refused."""
    serves: list[str]
    """candidate, pushed or fallback."""
    p_value: Floats
    """Adjusted p-value of the test that decided; NaN where none did."""
    reason: list[str]
    """Why, in words and numbers."""

    def count(self, verdict: str) -> int:
        """Entities with that verdict."""
        return self.verdict.count(verdict)


@dataclass(frozen=True)
class _Outcome:
    """The answers, unit by unit."""

    own: Bools
    """The candidate's own model serves."""
    pushed: Bools
    """The pushed own model serves."""
    refused: Bools
    """The own model would serve, but may not."""
    pushed_fails: Bools
    """The pushed version's predictions fail too often."""


def decide(contest: Contest, config: EvaluationConfig) -> Verdicts:
    """Gives each entity its verdict; the same rows give the same verdicts."""
    units = Units.of(contest, config.min_eval_rows)
    tests = Tests.of(contest, units)
    refusals = Refusals.of(contest, units, config)
    outcome = _judge(contest, config, units, tests, refusals)
    words = _Words(contest, config, units, tests, refusals)
    told = [words.tell(entity, outcome) for entity in range(len(contest.entities))]
    return Verdicts(
        verdict=[row[0] for row in told],
        serves=[row[1] for row in told],
        p_value=np.array([row[2] for row in told], dtype=np.float64),
        reason=[row[3] for row in told],
    )


def _judge(
    contest: Contest, config: EvaluationConfig, units: Units, tests: Tests, refusals: Refusals
) -> _Outcome:
    alpha, situation = config.alpha, units.situation
    pushed_fails = failing(contest.pushed, units.groups, config.max_failed_share)
    proven = (situation == NEW) & (
        (tests.own_better_than_fallback <= alpha) | (contest.fallback is None)
    )
    as_good_as_pushed = (tests.own_worse_than_pushed > alpha) | pushed_fails
    own_leads, pushed_leads = (
        beats(one, contest.fallback, units.groups, contest.metric)
        for one in (contest.own, contest.pushed)
    )
    wanted = proven | ((situation == REFRESH) & as_good_as_pushed & own_leads)
    own = wanted & ~refusals.refused
    pushed = np.isin(situation, (REFRESH, HELD)) & ~own & pushed_leads & ~pushed_fails
    return _Outcome(
        own=own, pushed=pushed, refused=wanted & refusals.refused, pushed_fails=pushed_fails
    )


class _Words:
    """Says a verdict and its reason, with the values and the p-value behind it."""

    def __init__(
        self,
        contest: Contest,
        config: EvaluationConfig,
        units: Units,
        tests: Tests,
        refusals: Refusals,
    ) -> None:
        self._contest, self._config, self._units = contest, config, units
        self._tests, self._refusals = tests, refusals
        self._rows: Ints = units.groups.rows
        self._values = {
            name: None
            if outcomes is None
            else measure(outcomes, units.groups, [contest.metric])[contest.metric]
            for name, outcomes in (
                ("own", contest.own),
                ("pushed", contest.pushed),
                ("fallback", contest.fallback),
            )
        }

    def tell(self, entity: int, outcome: _Outcome) -> tuple[str, str, float, str]:
        """Verdict, what serves, p-value and reason of one entity."""
        unit = int(self._units.of_entity[entity])
        serves = (
            "candidate" if outcome.own[unit] else "pushed" if outcome.pushed[unit] else "fallback"
        )
        if outcome.refused[unit]:
            p, why = float(self._refusals.p_value[unit]), self._refusal(unit)
            verdict = REFUSED
        else:
            p, why = self._explain(unit, serves, bool(outcome.pushed_fails[unit]))
            verdict = {"candidate": BLESSED, "pushed": KEPT, "fallback": FALLBACK}[serves]
        note = self._contest.note[entity]
        return verdict, serves, p, "; ".join(part for part in (note, self._pool(unit), why) if part)

    def _explain(self, unit: int, serves: str, pushed_fails: bool) -> tuple[float, str]:
        tests, situation = self._tests, self._units.situation[unit]
        if pushed_fails and situation in (REFRESH, HELD):
            return float("nan"), "predictions of the pushed model fail too often"
        if situation == NEW:
            p = float(tests.own_better_than_fallback[unit])
            word = "better" if serves == "candidate" else "not significantly better"
            return p, self._against(unit, "own", "fallback", word, p)
        worse_than_pushed = float(tests.own_worse_than_pushed[unit])
        if situation == REFRESH and serves == "candidate":
            why = self._against(unit, "own", "pushed", "not significantly worse", worse_than_pushed)
            return worse_than_pushed, why
        if situation == REFRESH and worse_than_pushed <= self._config.alpha:
            why = self._against(unit, "own", "pushed", "worse", worse_than_pushed)
            return worse_than_pushed, why
        if serves == "fallback" and situation in (REFRESH, HELD):
            return float("nan"), self._against(unit, "pushed", "fallback", "no better")
        if situation == REFRESH:
            return float("nan"), self._against(unit, "own", "fallback", "no better")
        return float("nan"), ""

    def _against(
        self, unit: int, first: str, second: str, word: str, p: float | None = None
    ) -> str:
        if self._rows[unit] == 0:
            return "no evaluation rows"
        if self._values[second] is None:
            return f"there is no {second} model to compare with"
        tail = "" if p is None else f" (adjusted p {p:.2g})"
        return (
            f"{first} {self._value(first, unit)}, {second} {self._value(second, unit)} on "
            f"{self._rows[unit]} rows: {word}{tail}"
        )

    def _refusal(self, unit: int) -> str:
        metric = self._contest.metric
        p = float(self._refusals.p_value[unit])
        tail = "" if np.isnan(p) else f", adjusted p {p:.2g}"
        return (
            f"own model refused: {self._refusals.reason[unit]} ({metric} "
            f"{self._value('own', unit)} on {self._rows[unit]} rows{tail})"
        )

    def _pool(self, unit: int) -> str:
        if unit < len(self._contest.entities) or not self._units.groups.rows[unit]:
            return ""
        few = f"fewer than {self._config.min_eval_rows} rows"
        members = self._units.members[unit]
        if members == 1:
            return f"{few}, the only such entity"
        return f"{few}, judged together with all {members} such entities"

    def _value(self, name: str, unit: int) -> str:
        values = self._values[name]
        return "none" if values is None else f"{values[unit]:.4g}"
