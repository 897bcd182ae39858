"""How a run gets its boards: ``local`` (namespaces of this machine) or ``docker`` (containers, QEMU where needed).

A driver is opened once a run and then asked for one board after the other, or for several at once.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_sim.agent.functions import memory
from edge_sim.emulation.capabilities import Proves
from edge_sim.emulation.local.board import LocalBoard
from edge_sim.errors import UsageError
from edge_sim.greengrass import parse
from edge_sim.greengrass.group import Group
from edge_sim.limits import Limits
from edge_sim.profiles import DeviceProfile
from edge_sim.runs.agentprocess import Board, Process
from edge_sim.runs.cloudprocess import NamedBroker
from edge_sim.scenario import BoardFile, Scenario

Progress = Callable[[str], None]
AT_ONCE_HERE = 2
"""A local board's programs are this machine's own: more at once share the same processors."""
AT_ONCE_IN_DOCKER = (os.cpu_count() or 1) + 1
"""A board mostly waits while it updates: on two processors three at once are as quick as four."""


CAFILE = "/etc/edge-sim-broker-ca.pem"
"""Where a board in a container has the CA certificates of a named broker."""


@dataclass(frozen=True, kw_only=True)
class Driver:
    """``bind`` is where the cloud must listen (None: loopback), ``at_once`` how many boards make sense together.

    ``board`` makes the board of a profile whose agent is the thing ``thing`` at the broker ``mqtt``.
    """

    name: str
    bind: str | None
    at_once: int
    board: Callable[[DeviceProfile, str, str], AbstractContextManager[Board]]


@contextmanager
def local(
    scenario: Scenario, *, binds: Mapping[str, Path], broker: NamedBroker | None, keep: Path | None
) -> Iterator[Driver]:
    """Boards in namespaces of this machine. ``keep`` is a directory in which their roots stay behind.

    ``broker`` is None for the cloud's own.
    """
    cafile = broker.cafile.absolute() if broker and broker.cafile else None

    @contextmanager
    def board(profile: DeviceProfile, thing: str, mqtt: str) -> Iterator[Board]:
        directory = keep / profile.name if keep else None
        stand_in = {"architecture": profile.architecture, "operatingSystem": profile.operating_system}
        config = {**agent_config(profile, thing, mqtt, scenario.packages, cafile=cafile), **stand_in}
        with (
            _swept(),
            tempfile.TemporaryDirectory(prefix="edge-sim-agent-") as place,
            LocalBoard(
                profile,
                directory,
                keep=directory is not None,
                files=scenario.files,
                devices=scenario.devices,
                binds=binds,
                core=profile.greengrass.version,
            ) as made,
        ):
            local = _Local(made, Path(place))
            Path(local.agent_config).write_text(json.dumps(config), encoding="utf-8")
            yield local

    yield Driver(name="local", bind=None, at_once=AT_ONCE_HERE, board=board)


@contextmanager
def _swept() -> Iterator[None]:
    """Remove what only outlives an agent that is killed with its board: its functions' memory cgroups."""
    try:
        yield
    finally:
        memory.sweep()


@contextmanager
def docker(
    scenario: Scenario,
    profiles: Sequence[DeviceProfile],
    *,
    binds: Mapping[str, Path],
    broker: NamedBroker | None,
    progress: Progress,
) -> Iterator[Driver]:
    """Boards in containers, on a network of this run's own. Images that are not there are built first.

    ``broker`` is one that the boards must reach, None for the cloud's own.
    """
    from edge_sim.emulation.containers import boards, engine, images, networks
    from edge_sim.emulation.containers.board import DockerBoard

    if broker and any(place in broker.url for place in ("//127.", "//localhost", "//[::1]")):
        raise UsageError(
            f"--broker {broker.url}: a container does not reach this machine's loopback",
            hint="Leave --broker out, or name an address that other machines reach.",
        )
    contained = _has_containers(scenario)
    trusted = [BoardFile(path=CAFILE, copy=broker.cafile)] if broker and broker.cafile else []
    with engine.connected() as client:
        boards.remove_ownerless(client)
        tags = {
            architecture: images.build(architecture, None, progress, client)
            for architecture in dict.fromkeys(profile.architecture for profile in profiles)
        }
        prefix = f"{boards.PREFIX}run-{os.getpid()}"
        marks = boards.labels(lasting=False)
        with networks.temporary(client, prefix, marks, internal=broker is None) as network:

            @contextmanager
            def board(profile: DeviceProfile, thing: str, mqtt: str) -> Iterator[Board]:
                name = f"{prefix}-{profile.name}"
                with (
                    engine.connected() as own,  # one client a thread
                    DockerBoard(
                        profile,
                        engine=own,
                        image=tags[profile.architecture],
                        network=network.name,
                        name=name,
                        agent=agent_config(
                            profile, thing, mqtt, scenario.packages, cafile=Path(CAFILE) if trusted else None
                        ),
                        files=(*scenario.files, *trusted),
                        devices=scenario.devices,
                        binds=binds,
                        core=profile.greengrass.version,
                        contained=contained,
                        labels=boards.labels(name, profile=profile, thing=thing, mqtt=mqtt, lasting=False),
                    ) as made,
                ):
                    yield made

            yield Driver(name="docker", bind=network.gateway, at_once=AT_ONCE_IN_DOCKER, board=board)


class _Local:
    """A local board as a run sees it: the agent is this Python's, and told what the board stands in for.

    ``place`` is a directory for its configuration and for what its programs, killed with the board, leave behind.
    """

    agent_command = (sys.executable, "-m", "edge_sim.cli.main", "agent")
    machine = platform.machine()

    def __init__(self, board: LocalBoard, place: Path) -> None:
        self._board = board
        self._environment = {**os.environ, "TMPDIR": str(place)}
        self.agent_config = str(place / "agent.json")
        self.root = str(board.root)
        self.notes: tuple[str, ...] = board.notes
        self.proves: Proves = board.proves
        self.standing_in = board.standing_in

    def start_agent(self) -> Process:
        argv = [*self.agent_command, "run", "--root", self.root, "--config", self.agent_config]
        return self._board.popen(argv, env=self._environment, stderr=subprocess.PIPE)

    def exec(self, argv: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
        return self._board.exec(argv, timeout, env=self._environment)

    def close(self) -> None:
        self._board.close()


def agent_config(
    profile: DeviceProfile, thing: str, mqtt: str, packages: Limits, *, cafile: Path | None
) -> dict[str, Any]:
    """Return the configuration of a board's agent; ``packages`` are its limits of packages."""
    config: dict[str, Any] = {"thing": thing, "broker": mqtt, "greengrassRoot": profile.greengrass.root}
    if cafile:
        config["cafile"] = str(cafile)
    if packages != Limits():  # an agent under QEMU would read them for nothing
        config["packages"] = asdict(packages)
    return config


def _has_containers(scenario: Scenario) -> bool:
    default, functions, _ = parse.function_definition(scenario.functions)
    group = Group(functions=functions, default_config=default)
    return any(group.isolation_mode(function) == "GreengrassContainer" for function in functions)
