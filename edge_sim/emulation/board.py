"""A simulated board as everything above it sees it, whichever driver makes it: what it is to be, what it can be asked.

``BoardSpec`` goes into a driver (``drivers``), a ``Board`` comes out. The drivers are ``local/`` and ``containers/``.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Protocol

from edge_sim.deviceprofile import DeviceProfile
from edge_sim.emulation.capabilities import Proves
from edge_sim.limits import Limits

if TYPE_CHECKING:
    from edge_sim.scenario import BoardFile, DeviceBacking


@dataclass(frozen=True, kw_only=True)
class ThingCredentials:
    """A thing's certificate and private key: files of this machine (PEM)."""

    certificate: Path
    key: Path


@dataclass(frozen=True, kw_only=True)
class AgentSettings:
    """The settings of a board's agent: its thing, its broker's URL, and the limits of packages.

    ``cafile`` is a file of this machine, the CA certificates (PEM) that the broker is checked with; None: the board's.
    ``identity`` is what it shows to a broker that asks for certificates, which boards over ssh and in containers have.
    ``stable_window_s``: how long an update's core must run before the update has succeeded; ``connect_limit_s``: how
    long a new OTA agent may take to start, and then to be connected; None: the agent's default.
    """

    thing: str
    broker: str
    packages: Limits = field(default_factory=Limits)
    cafile: Path | None = None
    identity: ThingCredentials | None = None
    stable_window_s: int | None = None
    connect_limit_s: int | None = None

    @property
    def files(self) -> Mapping[str, Path]:
        """The files of this machine that the agent needs, by the setting that names them."""
        files = {"cafile": self.cafile} if self.cafile else {}
        if self.identity:
            files |= {"certificate": self.identity.certificate, "key": self.identity.key}
        return files


@dataclass(frozen=True, kw_only=True)
class BoardSpec:
    """A board to be made of ``profile``.

    ``agent`` None: a board without one. ``files`` and ``devices`` are a scenario's; ``binds`` are paths of this machine
    (board path → path here) that appear writable on the board. ``core`` is the factory's core version, None for none.
    ``contained``: functions may run in containers, for which a board in a container gets CAP_SYS_ADMIN.
    """

    profile: DeviceProfile
    agent: AgentSettings | None = None
    files: Sequence[BoardFile] = ()
    devices: Sequence[DeviceBacking] = ()
    binds: Mapping[str, Path] = field(default_factory=dict)
    core: str | None = None
    contained: bool = True
    ports: Sequence[int] = ()
    """This machine's loopback ports that the board's agent must reach under the same numbers."""

    def agent_config(self, cafile: str | None) -> dict[str, Any]:
        """Return the configuration of the board's agent; ``cafile`` is where the CA certificates are for it.

        Empty for a board without an agent.
        """
        if self.agent is None:
            return {}
        config: dict[str, Any] = {
            "thing": self.agent.thing,
            "broker": self.agent.broker,
            "greengrassRoot": self.profile.greengrass.root,
        }
        if cafile:
            config["cafile"] = cafile
        if self.agent.stable_window_s is not None:
            config["stableWindow"] = self.agent.stable_window_s
        if self.agent.connect_limit_s is not None:
            config["connectLimit"] = self.agent.connect_limit_s
        if self.agent.packages != Limits():  # an agent under QEMU would read them for nothing
            config["packages"] = asdict(self.agent.packages)
        return config


def standing_in(profile: DeviceProfile, machine: str, libc: str) -> str | None:
    """Return what stands in for the profile's processor and C library, None where they are the profile's."""
    same_machine, same_libc = machine == profile.architecture, libc == profile.libc
    if same_machine and same_libc:
        return None
    if same_machine:
        return f"{libc} standing in for {profile.libc}"
    if same_libc:
        return f"{machine} standing in for {profile.architecture}"
    return f"{machine} with {libc} standing in for {profile.architecture} with {profile.libc}"


class Process(Protocol):
    """A running program on a board, both outputs piped: the part of ``subprocess.Popen`` that is used."""

    @property
    def stdout(self) -> Iterable[str] | None: ...

    @property
    def stderr(self) -> Iterable[str] | None: ...

    @property
    def returncode(self) -> Any: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


class Shell(Protocol):
    """What runs programs on a board, the agent's own commands among them."""

    @property
    def root(self) -> PurePath:
        """The board's root directory as programs run with ``exec`` are to name it."""

    @property
    def agent_command(self) -> tuple[str, ...]:
        """How the agent is called there; a verb and its options follow."""

    def exec(self, argv: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
        """Run a program on the board to its end."""


class Board(Shell, Protocol):
    """A board that was made: what it is, its agent, and its end."""

    @property
    def machine(self) -> str:
        """What ``uname -m`` says there."""

    @property
    def standing_in(self) -> str | None:
        """What stands in for the profile's processor and C library, None where they are the profile's."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What differs from a real board, one sentence each."""

    @property
    def proves(self) -> Proves: ...

    @property
    def agent_config(self) -> str:
        """Where the agent's configuration lies there."""

    def start_agent(self) -> Process:
        """Start the agent, or take over the one that the board has started."""

    @property
    def left(self) -> tuple[str, ...]:
        """What stays behind once the board is closed, one sentence each."""

    def close(self) -> None:
        """End the board, from any thread."""
