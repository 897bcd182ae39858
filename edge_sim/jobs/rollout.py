"""How a job spreads over its things: rates, abort criteria and retries, without a clock or a store.

Source: AWS IoT developer guide, ``jobs-configurations-details`` and ``job-configurations-api``, and the ranges of
botocore's ``iot`` model. What neither says is marked as ours.

**A minute's things are queued together, at the minute's start** (ours): AWS says how many things a minute may hear of a
job, not when within it. Any sixty seconds then hold at most the rate, and an abort criterion lets through as many as it
can: no real rollout reaches more things before it stops.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_sim.jobs.wire import JobsError

MAX_RATE = 1000
"""Things a minute, and what holds for a job that names no rate."""
MAX_RETRIES = 10
"""Of one job on one thing, over both kinds of failure."""
ALL = "ALL"
FAILURES = ("FAILED", "REJECTED", "TIMED_OUT")
RETRYABLE = ("FAILED", "TIMED_OUT")
_ENDED = ("SUCCEEDED", *FAILURES)

Config = Mapping[str, Any]
"""A member of CreateJob as botocore's model shapes it; the model has checked names, types and enumerations."""


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """Rates in things a minute. ``base`` is None for a constant rate; else ``factor`` and one criterion go with it."""

    maximum: int = MAX_RATE
    base: int | None = None
    factor: float = 1.0
    notified: int | None = None
    succeeded: int | None = None


@dataclass(frozen=True, kw_only=True)
class AbortCriterion:
    """Cancel the job when ``threshold`` per cent of at least ``minimum`` ended executions failed in this way."""

    failure_type: str
    threshold: float
    minimum: int


@dataclass(frozen=True, kw_only=True)
class RetryCriterion:
    """Queue an execution that failed in this way again, at most ``retries`` times."""

    failure_type: str
    retries: int


def rollout(config: Config) -> Rollout:
    """Return what jobExecutionsRolloutConfig says. Raises JobsError when AWS would refuse it."""
    maximum = config.get("maximumPerMinute")
    _check(maximum is None or 1 <= maximum <= MAX_RATE, f"maximumPerMinute must be between 1 and {MAX_RATE}.")
    exponential = config.get("exponentialRate")
    if exponential is None:
        return Rollout(maximum=maximum or MAX_RATE)
    if maximum is None:
        raise _refusal("An exponentialRate needs maximumPerMinute beside it.")
    base, factor = exponential["baseRatePerMinute"], exponential["incrementFactor"]
    criteria = exponential["rateIncreaseCriteria"]
    notified, succeeded = criteria.get("numberOfNotifiedThings"), criteria.get("numberOfSucceededThings")
    _check(1 <= base <= maximum, f"baseRatePerMinute must be between 1 and maximumPerMinute ({maximum}).")
    _check(1.1 <= factor <= 5 and _decimals(factor, 1), "incrementFactor must be between 1.1 and 5, with one decimal.")
    _check(
        (notified is None) != (succeeded is None),
        "rateIncreaseCriteria needs either numberOfNotifiedThings or numberOfSucceededThings.",
    )
    _check((notified or succeeded or 0) >= 1, "The number of things in rateIncreaseCriteria must be at least 1.")
    return Rollout(maximum=maximum, base=base, factor=factor, notified=notified, succeeded=succeeded)


def rate(rollout: Rollout, *, notified: int, succeeded: int) -> int:
    """Return how many things may hear of the job in the minute that begins, after so many have heard and succeeded.

    The rate grows by ``factor`` at every full multiple of the criterion. A fraction of a thing is not notified (ours).
    """
    if rollout.base is None:
        return rollout.maximum
    steps = notified // rollout.notified if rollout.notified else succeeded // (rollout.succeeded or 1)
    if steps * math.log(rollout.factor) > math.log(rollout.maximum):  # beyond the maximum, and maybe beyond a float
        return rollout.maximum
    return min(rollout.maximum, int(rollout.base * rollout.factor**steps + 1e-9))


def abort_criteria(config: Config) -> tuple[AbortCriterion, ...]:
    """Return the criteria of abortConfig in their order. Raises JobsError when AWS would refuse them."""
    criteria = tuple(
        AbortCriterion(
            failure_type=item["failureType"],
            threshold=item["thresholdPercentage"],
            minimum=item["minNumberOfExecutedThings"],
        )
        for item in config.get("criteriaList", ())
    )
    for criterion in criteria:
        _check(
            0 < criterion.threshold <= 100 and _decimals(criterion.threshold, 2),
            "thresholdPercentage must be more than 0 and at most 100, with two decimals.",
        )
        _check(criterion.minimum >= 1, "minNumberOfExecutedThings must be at least 1.")
    _check_types([criterion.failure_type for criterion in criteria], "abortConfig")
    return criteria


def breach(criteria: Sequence[AbortCriterion], counts: Mapping[str, int]) -> AbortCriterion | None:
    """Return the first criterion that a job's executions meet, by how many of them have each status.

    Every ended execution counts, one that is tried again as well (ours: AWS does not say); canceled and removed
    ones have not been executed.
    """
    return next((criterion for criterion in criteria if _met(criterion, counts)), None)


def abort_comment(criterion: AbortCriterion, counts: Mapping[str, int]) -> str:
    """Return why a job was canceled, for its ``comment``; AWS's sentence is not known, this one is ours."""
    ended = _ended(counts)
    kind = "failed, was rejected or timed out" if criterion.failure_type == ALL else criterion.failure_type
    return (
        f"Abort criterion met: {_failures(criterion, counts)} of {ended} ended executions {kind}; "
        f"the threshold is {criterion.threshold:g} % of at least {criterion.minimum}."
    )


def retry_criteria(config: Config, *, with_timeout: bool) -> tuple[RetryCriterion, ...]:
    """Return the criteria of jobExecutionsRetryConfig. Raises JobsError when AWS would refuse them.

    ``with_timeout``: the job has a timeoutConfig, without which no execution can be retried for TIMED_OUT.
    """
    criteria = tuple(
        RetryCriterion(failure_type=item["failureType"], retries=item["numberOfRetries"])
        for item in config.get("criteriaList", ())
    )
    types = [criterion.failure_type for criterion in criteria]
    _check_types(types, "jobExecutionsRetryConfig")
    _check(ALL not in types or len(types) == 1, "A retry criterion for ALL must be the only one.")
    _check(with_timeout or "TIMED_OUT" not in types, "A retry criterion for TIMED_OUT needs a timeoutConfig.")
    total = sum(criterion.retries for criterion in criteria)
    _check(
        all(criterion.retries >= 0 for criterion in criteria) and total <= MAX_RETRIES,
        f"The retries of a job must be at most {MAX_RETRIES} in all.",
    )
    return criteria


def may_retry(criteria: Sequence[RetryCriterion], series: Sequence[str]) -> bool:
    """Return whether a thing gets the job again; ``series``: how its tries have ended so far, the last one included."""
    if not series or series[-1] not in RETRYABLE:
        return False
    for criterion in criteria:
        if criterion.failure_type in (ALL, series[-1]):
            counted = [end for end in series if criterion.failure_type in (ALL, end)]
            return len(counted) <= criterion.retries
    return False


def _met(criterion: AbortCriterion, counts: Mapping[str, int]) -> bool:
    ended = _ended(counts)
    return ended >= criterion.minimum and _failures(criterion, counts) * 100 >= criterion.threshold * ended


def _ended(counts: Mapping[str, int]) -> int:
    return sum(counts.get(status, 0) for status in _ENDED)


def _failures(criterion: AbortCriterion, counts: Mapping[str, int]) -> int:
    types = FAILURES if criterion.failure_type == ALL else (criterion.failure_type,)
    return sum(counts.get(status, 0) for status in types)


def _check_types(types: Sequence[str], member: str) -> None:
    _check(len(set(types)) == len(types), f"{member} has two criteria for one failureType.")


def _decimals(value: float, places: int) -> bool:
    return math.isclose(value, round(value, places), abs_tol=1e-9)


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise _refusal(message)


def _refusal(message: str) -> JobsError:
    return JobsError("InvalidRequest", message)
