"""What each core of a fleet is like: drawn from the scenario and a seed, so that a run can be repeated."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from edge_sim.deviceprofile import DeviceProfile
from edge_sim.errors import InvalidDefinitionError
from edge_sim.fleetkeys import Fleet, Range
from edge_sim.jobs.update import VERSION

Fault = Literal["none", "no space", "bad download", "does not start", "dies"]
"""How an update goes on a board. A bad board has one of the others, whatever the build."""
BAD: tuple[Fault, ...] = get_args(Fault)[1:]
FACTORY = "1.10.0"
"""The version that every profile comes with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CoreModel:
    """One core. Times are in seconds; ``fault`` is what goes wrong on it with every update."""

    number: int
    thing: str
    profile: str
    architecture: str
    operating_system: str
    version: str = FACTORY
    download_s: float = 0.0
    staging_s: float = 0.0
    start_s: float = 0.0
    stable_s: float = 0.0
    fault: Fault = "none"

    @property
    def pair(self) -> tuple[str, str]:
        """What a build is for: operating system and architecture."""
        return self.operating_system, self.architecture

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def cores(fleet: Fleet, profiles: Sequence[DeviceProfile], count: int, seed: int) -> list[CoreModel]:
    """Return the cores of a fleet. The same seed gives the same cores, whatever runs them.

    Profiles and bad boards have exactly their shares, to a whole board, and are mixed among the numbers.
    """
    order = random.Random(f"{seed}")  # noqa: S311 - no secret
    named = shares({profile.name: fleet.weights.get(profile.name, 1) for profile in profiles}, count)
    by_name = {profile.name: profile for profile in profiles}
    places = [by_name[name] for name, number in named.items() for _ in range(number)]
    order.shuffle(places)
    bad = frozenset(order.sample(range(count), round(count * fleet.bad_percent / 100)))
    return [core(fleet, profile, number, seed, bad=number in bad) for number, profile in enumerate(places)]


def shares(weights: Mapping[str, int], count: int) -> dict[str, int]:
    """Return how many of ``count`` each name gets; the rest goes to the largest remainders."""
    total = sum(weights.values())
    exact = {name: count * weight / total for name, weight in weights.items()}
    whole = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: whole[name] - exact[name])
    for name in by_remainder[: count - sum(whole.values())]:
        whole[name] += 1
    return whole


def check(fleet: Fleet, profiles: Sequence[DeviceProfile]) -> None:
    """Raise InvalidDefinitionError for a fleet that no profile of it can be updated as."""
    names = [profile.name for profile in profiles]
    for name in (*fleet.weights, *fleet.breaks):
        if name not in names:
            raise InvalidDefinitionError(
                f"fleet: {name} is not a board of this fleet", hint=f"It has {', '.join(names)}."
            )
    if not VERSION.fullmatch(fleet.version):
        raise InvalidDefinitionError(f"fleet: {fleet.version} is not a version such as 1.11.6")


def core(fleet: Fleet, profile: DeviceProfile, number: int, seed: int, *, bad: bool) -> CoreModel:
    """Return one core of a fleet; ``bad``: any update fails on it."""
    draw = random.Random(f"{seed}/{number}")  # noqa: S311 - no secret
    bandwidth = _drawn(draw, fleet.bandwidth) if fleet.bandwidth else None
    fault: Fault = draw.choice(BAD)
    broken: Fault = "does not start" if profile.name in fleet.breaks else "none"
    return CoreModel(
        number=number,
        thing=f"fleet-{number:05}",
        profile=profile.name,
        architecture=profile.architecture,
        operating_system=profile.operating_system,
        version=profile.greengrass.version,
        download_s=fleet.size_kib / bandwidth if bandwidth else 0.0,
        staging_s=_drawn(draw, fleet.staging),
        start_s=_drawn(draw, fleet.start),
        stable_s=fleet.stable_s,
        fault=fault if bad else broken,
    )


def _drawn(draw: random.Random, within: Range) -> float:
    return draw.uniform(within.least, within.most)
