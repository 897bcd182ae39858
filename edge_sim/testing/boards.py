"""Where a test's boards come from: simulated ones of a driver, or the one real board of ``--edge-driver ssh://…``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

from edge_sim.deviceprofile import DeviceProfile
from edge_sim.emulation import drivers
from edge_sim.emulation.board import BoardSpec
from edge_sim.emulation.drivers import Driver
from edge_sim.emulation.ssh.address import Address
from edge_sim.emulation.ssh.connection import Connection
from edge_sim.errors import UnsupportedEnvironmentError, UsageError
from edge_sim.offline.inputs import inputs_of
from edge_sim.profiles import load_profile
from edge_sim.runs import realboards
from edge_sim.runs.boardrun import BoardRun
from edge_sim.runs.boardspec import board_spec
from edge_sim.runs.cloudprocess import CloudProcess
from edge_sim.runs.liveboard import LiveBoard
from edge_sim.runs.runner import ports
from edge_sim.scenario import Scenario
from edge_sim.testing.deployment import Deployment


@dataclass(frozen=True, kw_only=True)
class Making:
    """What a board is made from, by its driver, and what is to be said of it."""

    spec: BoardSpec
    driver: Driver
    notes: Sequence[str] = ()


@dataclass(kw_only=True)
class KeptBoard:
    """A board that is up. ``part`` is what was last done there; ``deployment`` the group that it has, if any.

    ``content`` is the digest of the files of the ``scenario`` that it was made for. ``changed``: no reset makes it as
    it was. ``used``: by the test that runs.
    """

    live: LiveBoard
    scenario: Scenario
    content: str
    closing: ExitStack
    notes: Sequence[str] = field(default=())
    part: BoardRun | None = None
    deployment: Deployment | None = None
    changed: bool = False
    used: bool = True

    def change(self) -> None:
        """Note that something is about to be done that no reset undoes."""
        self.changed = True

    def check_window(self, seconds: int | None) -> None:
        """Raise UsageError where the board was made with another stable window than a test asks for."""
        agent = self.live.spec.agent
        if seconds is not None and agent and agent.stable_window_s != seconds:
            raise UsageError(
                f"the stable window of {self.live.spec.profile.name} is its scenario's, not {seconds} s",
                hint="Write stableWindow in the scenario, or update a board to which the test has deployed nothing.",
            )

    @property
    def as_made(self) -> bool:
        """Whether it is still there, and as it was made."""
        if self.changed:
            return False
        try:
            self.live.alive()
        except UnsupportedEnvironmentError:
            return False
        return True


class Boards(Protocol):
    """A kind of boards. ``bind``: the address at which they reach the cloud, None for loopback."""

    @property
    def bind(self) -> str | None: ...

    def name(self, profile: str) -> str:
        """Return the name of the board that a test means by a profile."""

    def fits(self, board: KeptBoard, scenario: Scenario, content: str, cloud: CloudProcess) -> bool:
        """Say whether a board that is as it was made will do for a scenario."""

    def making(self, scenario: Scenario, profile: str, cloud: CloudProcess) -> Making:
        """Return what a board for a scenario is made from; no other of that name is up."""


class Simulated:
    """Boards of profiles, in namespaces or in containers; one may have several groups, one after the other."""

    def __init__(self, driver: Literal["local", "docker"], closing: ExitStack) -> None:
        self._driver_name = driver
        self._closing = closing

    @cached_property
    def driver(self) -> Driver:
        if self._driver_name == "local":
            return self._closing.enter_context(drivers.local())
        return self._closing.enter_context(drivers.docker((), progress=quiet, purpose="pytest"))

    @property
    def bind(self) -> str | None:
        return self.driver.bind

    def name(self, profile: str) -> str:
        return load_profile(profile).name

    def fits(self, board: KeptBoard, scenario: Scenario, content: str, cloud: CloudProcess) -> bool:
        spec = self._spec(scenario, board.live.spec.profile, cloud)
        laid = bool(spec.files or spec.devices)
        return board.live.spec == spec and (not laid or board.content == content)

    def making(self, scenario: Scenario, profile: str, cloud: CloudProcess) -> Making:
        return Making(spec=self._spec(scenario, load_profile(profile), cloud), driver=self.driver)

    def _spec(self, scenario: Scenario, profile: DeviceProfile, cloud: CloudProcess) -> BoardSpec:
        thing = f"pytest-{profile.name}"
        return board_spec(scenario, profile, mqtt=cloud.mqtt, cafile=None, binds={}, thing=thing)


class Real:
    """The board at an address, which is looked at, and judged, again for each group: it is put back between them."""

    bind = None

    def __init__(self, address: Address, closing: ExitStack) -> None:
        self._address = address
        self._closing = closing

    @cached_property
    def _connection(self) -> Connection:
        return self._closing.enter_context(Connection(self._address))

    def name(self, profile: str) -> str:
        return self._address.name

    def fits(self, board: KeptBoard, scenario: Scenario, content: str, cloud: CloudProcess) -> bool:
        return (board.scenario, board.content) == (scenario, content)

    def making(self, scenario: Scenario, profile: str, cloud: CloudProcess) -> Making:
        inputs = inputs_of(scenario)
        board = realboards.judged(self._connection, inputs, keep=False, progress=quiet, show=lambda _lines: None)
        thing = f"pytest-{self.name(profile)}"
        spec = board_spec(
            scenario, board.profile, mqtt=cloud.mqtt, cafile=None, binds={}, ports=ports(cloud), thing=thing
        )
        return Making(spec=spec, driver=board.driver, notes=board.notes)


def quiet(_text: str) -> None:
    """Say nothing: pytest has the terminal."""
