"""What edge-sim.yaml says of a fleet: its update, the model of its boards, and how the job spreads; keys and values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from edge_sim import keys
from edge_sim.documents import Place
from edge_sim.jobs import rollout
from edge_sim.jobs.requests import MAX_TIMEOUT_MINUTES
from edge_sim.jobs.wire import JobsError
from edge_sim.keys import Key, KeyTable, Value

MAX_WEIGHT = 1_000_000
MAX_SECONDS = 86400.0
Config = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Range:
    """What each board draws its own value from, evenly."""

    least: float = 0.0
    most: float = 0.0


StormKind = Literal["lost sessions", "broker restart", "cloud restart"]


@dataclass(frozen=True, kw_only=True)
class Storm:
    """What befalls a fleet ``after_s`` seconds after CreateJob, for ``down_s`` seconds.

    Lost sessions come back spread evenly over ``spread_s`` seconds; 0: all at once.
    """

    kind: StormKind
    after_s: float
    down_s: float = 1.0
    spread_s: float = 0.0

    def __str__(self) -> str:
        back = f", back over {self.spread_s:g} s" if self.kind == "lost sessions" and self.spread_s else ""
        return f"{self.kind}, down for {self.down_s:g} s{back}"


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """A fleet's update and the model of its boards. Times are in seconds, ``size_kib`` and bandwidths in KiB.

    ``weights``: how many parts of the fleet are boards of a profile; none: the scenario's boards in equal parts.
    ``bad_percent``: the share of boards on which any update fails. ``breaks``: profiles on which this build does not
    start. ``rollout``, ``abort`` and ``retry`` are CreateJob's members; ``minute_s``: how long a minute of the rate
    lasts.
    """

    version: str
    weights: Mapping[str, int] = field(default_factory=dict)
    size_kib: int = 40 * 1024
    bandwidth: Range | None = None
    """In KiB/s; None: the download takes no time."""
    staging: Range = field(default_factory=Range)
    start: Range = field(default_factory=Range)
    stable_s: float = 0.0
    bad_percent: float = 0.0
    breaks: tuple[str, ...] = ()
    rollout: Config = field(default_factory=dict)
    abort: Config = field(default_factory=dict)
    retry: Config = field(default_factory=dict)
    timeout_minutes: int | None = None
    minute_s: float | None = None
    storms: tuple[Storm, ...] = ()


def _number(least: float, most: float, what: str) -> Value[float]:
    text = f"{what}, from {least:g} to {most:g}"

    def read(place: Place) -> float:
        number = float(place.text(r"[0-9]{1,9}(\.[0-9]{1,6})?", text))
        if not least <= number <= most:
            place.fail(f"must be {text}, not {number:g}")
        return number

    schema = {
        "title": text,
        "type": ["number", "string"],
        "pattern": r"^[0-9]{1,9}(\.[0-9]{1,6})?$",
        "minimum": least,
        "maximum": most,
    }
    return Value(read=read, schema=schema)


def _range(least: float, most: float, unit: str) -> Value[Range]:
    low = Key("least", _number(least, most, unit), "The lowest value that a board can draw.")
    high = Key("most", _number(least, most, unit), "The highest value that a board can draw.")
    table = KeyTable(keys=(low, high))

    def read(place: Place) -> Range:
        entries = table.read(place)
        if entries[high] < entries[low]:
            entries.fail(high, "is less than least")
        return Range(least=entries[low], most=entries[high])

    return keys.table(read, table)


def _written(table: KeyTable) -> Callable[[Place], dict[str, Any]]:
    """Return a reader of a mapping as CreateJob has it: the keys that are set, by their names."""
    return lambda place: dict(table.read(place).values)


def _checked(read: Callable[[Place], Config], check: Callable[[Config], object]) -> Callable[[Place], Config]:
    def checked(place: Place) -> Config:
        config = read(place)
        try:
            check(config)
        except JobsError as error:
            place.fail(str(error))
        return config

    return checked


_COUNT = keys.whole(1, 1_000_000, "things")
_NOTIFIED = Key(
    "numberOfNotifiedThings", _COUNT, "The rate grows each time this many more things have been notified.", None
)
_SUCCEEDED = Key(
    "numberOfSucceededThings", _COUNT, "The rate grows each time this many more things have succeeded.", None
)
_CRITERIA = KeyTable(keys=(_NOTIFIED, _SUCCEEDED), one_of=(_NOTIFIED, _SUCCEEDED))
_RATE = keys.whole(1, rollout.MAX_RATE, "things a minute")
_EXPONENTIAL = KeyTable(
    keys=(
        Key("baseRatePerMinute", _RATE, "The rate at the start."),
        Key("incrementFactor", _number(1.1, 5, "a factor"), "The factor by which the rate grows."),
        Key("rateIncreaseCriteria", keys.table(_written(_CRITERIA), _CRITERIA), "When the rate grows."),
    )
)
_ROLLOUT = KeyTable(
    keys=(
        Key("maximumPerMinute", _RATE, "The most things that are notified of the job per minute.", None),
        Key("exponentialRate", keys.table(_written(_EXPONENTIAL), _EXPONENTIAL), "A rate that grows.", None),
    )
)
_ABORT_TYPE = keys.choice((*rollout.FAILURES, rollout.ALL))
_ABORT = KeyTable(
    keys=(
        Key("failureType", _ABORT_TYPE, "Which final statuses count."),
        Key(
            "thresholdPercentage",
            _number(0.01, 100, "per cent"),
            "The share of finished executions that aborts the job.",
        ),
        Key("minNumberOfExecutedThings", _COUNT, "How many executions must have finished before the share counts."),
    )
)
_RETRY_TYPE = keys.choice((*rollout.RETRYABLE, rollout.ALL))
_RETRY = KeyTable(
    keys=(
        Key("failureType", _RETRY_TYPE, "Which final statuses are retried."),
        Key("numberOfRetries", keys.whole(0, rollout.MAX_RETRIES), "How many retries each thing gets."),
    )
)


def _criteria(table: KeyTable, check: Callable[[Config], object], more: Mapping[str, str]) -> Value[Config]:
    items = keys.each(keys.table(_written(table), table))

    def read(place: Place) -> Config:
        criteria = [{**item, **more} for item in items.read(place)]
        return {"criteriaList": criteria} if criteria else {}

    return Value(read=_checked(read, check), schema=items.schema)


_VERSION = keys.words(r"[0-9]+\.[0-9]+\.[0-9]+", "a version of three numbers, such as 1.11.6")
_PROFILE = keys.words("[A-Za-z0-9_.-]+", "a profile's name", bare=True)
_SECONDS = _range(0, MAX_SECONDS, "seconds")
_OFFERED = Key("version", _VERSION, "The version of the core that the job installs.")
_WEIGHTS = Key(
    "profiles",
    keys.named(keys.whole(1, MAX_WEIGHT, "parts"), "profiles to their parts of the fleet"),
    "The fleet's profiles, each with its share in parts; without it, the scenario's boards in equal parts.",
    {},
    examples=({"raspberry-pi-3": 3, "raspberry-pi-4-raspbian": 1},),
)
_SIZE = Key("size", keys.KIB, "The size of the download, from which the bandwidth gives its time.", 40 * 1024, "40 MiB")
_BANDWIDTH = Key(
    "bandwidth", _range(0.1, 10_000_000, "KiB/s"), "A board's bandwidth; without it, the download takes no time.", None
)
_STAGING = Key("staging", _SECONDS, "How long a board takes to unpack and check a build.", Range())
_START = Key("start", _SECONDS, "How long a board takes to stop one core and start another.", Range())
_STABLE = Key("stableWindow", _number(0, 3600, "seconds"), "How long a new core is watched.", 0.0)
_BAD = Key("badBoards", _number(0, 100, "per cent"), "The share of boards on which an update fails.", 0.0)
_BREAKS = Key("breaks", keys.each(_PROFILE), "The profiles on which this build does not start.", ())
_SPREAD = Key(
    "rollout",
    Value(
        read=_checked(_written(_ROLLOUT), rollout.rollout),
        schema={**_ROLLOUT.schema(), "title": "CreateJob's jobExecutionsRolloutConfig"},
    ),
    "How many boards are notified of the job per minute: CreateJob's jobExecutionsRolloutConfig.",
    {},
)
_ABORTS = Key(
    "abort",
    _criteria(_ABORT, rollout.abort_criteria, {"action": "CANCEL"}),
    "When the job is aborted: the criteria of CreateJob's abortConfig.",
    {},
)
_RETRIES = Key(
    "retry",
    _criteria(_RETRY, lambda config: rollout.retry_criteria(config, with_timeout=True), {}),
    "What is retried: the criteria of CreateJob's jobExecutionsRetryConfig.",
    {},
)
_TIMEOUT = Key(
    "timeoutMinutes",
    keys.whole(1, MAX_TIMEOUT_MINUTES, "minutes"),
    "CreateJob's inProgressTimeoutInMinutes; rolloutMinute does not shorten these minutes.",
    None,
)
_MINUTE = Key(
    "rolloutMinute",
    _number(0.1, 60, "seconds"),
    "How long a minute of the rollout rate lasts; the report states it.",
    None,
    written=60,
)
_KIND: Key[StormKind] = Key("what", keys.choice(get_args(StormKind)), "What happens.")
_AFTER = Key("after", _number(0, MAX_SECONDS, "seconds"), "When it happens, counted from CreateJob.")
_DOWN = Key("down", _number(0, 3600, "seconds"), "How long it lasts.", 1.0)
_SPREAD_OVER = Key(
    "spread",
    _number(0, 3600, "seconds"),
    "Lost sessions only: how long their reconnections are spread over; 0 is all at once.",
    0.0,
)
_STORM = KeyTable(keys=(_KIND, _AFTER, _DOWN, _SPREAD_OVER))


def _storm(place: Place) -> Storm:
    entries = _STORM.read(place)
    return Storm(kind=entries[_KIND], after_s=entries[_AFTER], down_s=entries[_DOWN], spread_s=entries[_SPREAD_OVER])


_STORMS = Key(
    "storms",
    keys.each(keys.table(_storm, _STORM)),
    "Faults during the rollout: all sessions lost at once, or the broker or the cloud killed and restarted.",
    (),
)
TABLE = KeyTable(
    keys=(
        *(_OFFERED, _WEIGHTS, _SIZE, _BANDWIDTH, _STAGING, _START, _STABLE, _BAD, _BREAKS),
        *(_SPREAD, _ABORTS, _RETRIES, _TIMEOUT, _MINUTE, _STORMS),
    )
)


def read(place: Place) -> Fleet:
    """Return what is said of a fleet at a place."""
    entries = TABLE.read(place)
    return Fleet(
        version=entries[_OFFERED],
        weights=entries[_WEIGHTS],
        size_kib=entries[_SIZE],
        bandwidth=entries[_BANDWIDTH],
        staging=entries[_STAGING],
        start=entries[_START],
        stable_s=entries[_STABLE],
        bad_percent=entries[_BAD],
        breaks=entries[_BREAKS],
        rollout=entries[_SPREAD],
        abort=entries[_ABORTS],
        retry=entries[_RETRIES],
        timeout_minutes=entries[_TIMEOUT],
        minute_s=entries[_MINUTE],
        storms=entries[_STORMS],
    )
