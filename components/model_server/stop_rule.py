"""Whether a challenger broke its stop rule.

The rule is looked at every second, so that an ordinary test at 1% would at some time stop nearly
every challenger that is at its limit. A mixture of likelihood ratios may be looked at as often as
one likes: where the true share is at or below the limit, the chance that it ever reaches 1 / error
is at most `error`.

Source: Robbins, "Statistical methods related to the law of the iterated logarithm", 1970; Johari et
al., "Peeking at A/B Tests", KDD 2017.
"""

import math

from components.pusher.traffic import StopRule

ERROR = 0.01
"""Chance that a challenger at its limit is ever stopped, for each limit."""
SLOW_SHARE = 0.01
"""Of requests that may take longer than max_p99_ms: that is what a 99th percentile says."""
_ALTERNATIVES = 16


def exceeded(count: int, trials: int, limit: float, error: float = ERROR) -> bool:
    """Whether the share behind `count` of `trials` is above `limit`, whenever one looks.

    Args:
      count: events, such as failed requests.
      trials: of all requests.
      limit: share from 0 to below 1.
      error: chance of a wrong yes, over all looks.
    """
    if limit == 0 or not count:
        return count > 0
    # From just above the limit to half way to 1, each half as far as the one before.
    shares = [limit + (1 - limit) / 2**place for place in range(1, _ALTERNATIVES + 1)]
    ratios = [
        count * math.log(share / limit) + (trials - count) * math.log((1 - share) / (1 - limit))
        for share in shares
    ]
    highest = max(ratios)
    mixture = highest + math.log(sum(math.exp(r - highest) for r in ratios) / len(ratios))
    return mixture >= -math.log(error)


def broken(rule: StopRule, requests: int, errors: int, slow: int) -> str:
    """Why the challenger is stopped; "" if it goes on.

    Args:
      rule: What was agreed.
      requests: that it answered or failed to.
      errors: of them without an answer.
      slow: of them that took longer than max_p99_ms.
    """
    if requests < rule.min_requests:
        return ""
    if rule.max_error_share is not None and exceeded(errors, requests, rule.max_error_share):
        return (
            f"{errors} of {requests} requests failed, at most a share of {rule.max_error_share:g} "
            "may (max_error_share)"
        )
    if rule.max_p99_ms is not None and exceeded(slow, requests, SLOW_SHARE):
        return (
            f"{slow} of {requests} requests took longer than {rule.max_p99_ms:g} ms, at most a "
            f"share of {SLOW_SHARE:g} may (max_p99_ms)"
        )
    return ""
