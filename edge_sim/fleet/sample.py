"""How a sample of real agents went through a rollout, beside the simulated cores: pure.

A finding is not a fault: it says where the model of the scenario and real agents differ, and by how much.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from edge_sim.fleet.account import ENDS, CoreAccount

TIMED = ("staging", "activating", "confirming", "rolling back")
"""The states whose length is compared: how long a core is queued is the rollout's."""
SLACK_S = 0.25
"""Times are compared no finer: events of real agents are dated where they are read."""


@dataclass(frozen=True)
class Spread:
    """How long cores were in a state, in seconds."""

    least: float
    middle: float
    most: float
    count: int

    def __str__(self) -> str:
        if self.count == 1:
            return f"{self.middle:.2f} s"
        return f"{self.least:.2f} to {self.most:.2f} s, median {self.middle:.2f} s"


def durations(account: CoreAccount) -> dict[str, float]:
    """Return how long a core was in each state that it left again."""
    lengths: dict[str, float] = {}
    for (begun, state), (ended, _) in zip(account.changes, account.changes[1:], strict=False):
        lengths[state] = lengths.get(state, 0.0) + ended - begun
    return lengths


def way(account: CoreAccount) -> tuple[str, ...]:
    """Return the states that a core went through, in order."""
    return tuple(state for _, state in account.changes)


def spreads(accounts: Iterable[CoreAccount]) -> dict[str, Spread]:
    """Return for each timed state how long these cores were in it."""
    lengths: dict[str, list[float]] = {}
    for account in accounts:
        for state, seconds in durations(account).items():
            lengths.setdefault(state, []).append(seconds)
    return {
        state: Spread(min(times), sorted(times)[len(times) // 2], max(times), len(times))
        for state in TIMED
        if (times := lengths.get(state))
    }


def findings(accounts: Iterable[CoreAccount]) -> list[str]:
    """Return, one sentence each, where real agents went another way, took another time, or ended otherwise."""
    real: list[CoreAccount] = []
    simulated: list[CoreAccount] = []
    for account in accounts:
        (real if account.real else simulated).append(account)
    different = [*_ends(real, simulated), *_ways(real, simulated)]
    for place in dict.fromkeys(account.container for account in real):  # processes and each architecture by themselves
        theirs = spreads(account for account in real if account.container == place)
        different += _times(theirs, spreads(simulated), f" in containers of {place}" if place else "")
    return different


def _ends(real: Sequence[CoreAccount], simulated: Sequence[CoreAccount]) -> Iterator[str]:
    known = {account.state for account in simulated}
    for account in real:
        if account.state not in ENDS:
            yield f"{account.model.thing}: a real agent is {account.state}, and its update has not ended"
        elif account.state not in known:
            why = f" ({account.reason})" if account.reason else ""
            yield f"{account.model.thing}: a real agent ended {account.state}{why}, but no simulated core did"


def _ways(real: Sequence[CoreAccount], simulated: Sequence[CoreAccount]) -> Iterator[str]:
    known = {way(account) for account in simulated}
    for account in real:
        states = way(account)
        if states and states not in known:
            yield f"{account.model.thing}: a real agent went {', '.join(states)}, but no simulated core did"


def _times(real: Mapping[str, Spread], simulated: Mapping[str, Spread], where: str) -> Iterator[str]:
    for state, spread in real.items():
        model = simulated.get(state)
        if model is None:
            continue
        if spread.middle < model.least - SLACK_S or spread.middle > model.most + SLACK_S:
            which = "less" if spread.middle < model.least else "more"
            who = f"{spread.count} real agent{'s' * (spread.count > 1)}{where}"
            yield f"{state}: {spread} on {who}, {which} than any simulated core's ({model})"
