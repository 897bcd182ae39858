"""What befalls a fleet in mid-rollout: all sessions lost at once, the broker or the cloud killed and started again.

The scenario says what and when, ``Storms`` carries it out. A broker to be restarted is one of this process, at a port
that stays; a cloud to be restarted keeps its state in a file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edge_sim.cloud.brokers.broker import HOST, MAX_PAYLOAD, START_LIMIT_S, STOP_LIMIT_S
from edge_sim.cloud.brokers.mosquitto import Mosquitto
from edge_sim.errors import UnsupportedEnvironmentError, UsageError
from edge_sim.fleetkeys import Storm
from edge_sim.process import daemon
from edge_sim.runs.cloudprocess import CloudProcess, NamedBroker

Drop = Callable[[float, float], None]
"""Loses every core's session: for so many seconds, and back spread over so many."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What a fleet's cloud stands on: its broker and the file of its state, None for the cloud's own choice."""

    broker: NamedBroker | None
    state: Path | None
    engine: Mosquitto | None = None
    """The broker, where it can be restarted."""


@contextmanager
def ground(
    storms: Sequence[Storm],
    broker: NamedBroker | None,
    state: Path | None,
    folder: Path,
    connections: int,
    host: str = HOST,
) -> Iterator[Ground]:
    """Yield what the cloud has to stand on for these storms: ``broker`` and ``state`` where the user has named them.

    ``host``: where a broker that can be restarted listens.

    Raises UsageError for a named broker that is to be restarted, UnsupportedEnvironmentError without mosquitto.
    """
    kinds = {storm.kind for storm in storms}
    if broker is not None and "broker restart" in kinds:
        raise UsageError(
            f"--broker {broker.url}: the scenario's storms restart the broker, but edge-sim can restart only its own"
        )
    if "cloud restart" in kinds:
        state = state or folder / "cloud.sqlite"
    if broker is not None or not kinds & {"broker restart", "cloud restart"}:
        yield Ground(broker=broker, state=state)
        return
    program = daemon("mosquitto")
    if program is None:
        why = "a storm that restarts the broker or the cloud needs mosquitto, which is not installed"
        raise UnsupportedEnvironmentError(why, hint="apt-get install mosquitto")
    engine = Mosquitto(
        program,
        host,
        max_payload=MAX_PAYLOAD,
        start_limit_s=START_LIMIT_S,
        stop_limit_s=STOP_LIMIT_S,
        connections=connections,
    )
    try:
        yield Ground(broker=NamedBroker(url=f"mqtt://{host}:{engine.port}"), state=state, engine=engine)
    finally:
        engine.stop()


@dataclass
class Storms:
    """The storms of a rollout. ``passed`` are those that have been, each with its time (epoch seconds).

    ``engine`` is the broker, where it can be restarted.
    """

    planned: Sequence[Storm]
    cloud: CloudProcess
    drop: Drop
    engine: Mosquitto | None = None
    passed: list[tuple[float, Storm]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._coming = sorted(self.planned, key=lambda storm: storm.after_s)

    @property
    def over(self) -> bool:
        """Whether none is to come."""
        return not self._coming

    def carry_out(self, after_s: float) -> None:
        """Carry out what is due so long after CreateJob. Restarts are over when this returns."""
        while self._coming and self._coming[0].after_s <= after_s:
            storm = self._coming.pop(0)
            self.passed.append((time.time(), storm))
            if storm.kind == "lost sessions":
                self.drop(storm.down_s, storm.spread_s)
            elif storm.kind == "cloud restart":
                self.cloud.restart(storm.down_s)
            elif self.engine is not None:
                self.engine.restart(storm.down_s)
