"""Where boards come from: a driver is opened once, and then asked for one board after the other, or several at once.

``local`` (namespaces of this machine), ``docker`` (containers, QEMU where needed) or ``ssh`` (a board of somebody's).
``run`` and ``doctor`` open one; ``lasting`` makes the one board of ``board up``, ``local_board`` one without a driver.
Whoever holds a ``Board`` does not know which driver it has.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from edge_sim import interrupts
from edge_sim.deviceprofile import DeviceProfile
from edge_sim.emulation.board import Board, BoardSpec
from edge_sim.errors import UnsupportedEnvironmentError, UsageError

if TYPE_CHECKING:
    from edge_sim.emulation.bundle.archive import Bundle
    from edge_sim.emulation.local.board import LocalBoard
    from edge_sim.emulation.ssh.board import Visit
    from edge_sim.emulation.ssh.connection import Connection

DriverName = Literal["local", "docker", "ssh"]
Progress = Callable[[str], None]
AT_ONCE_HERE = 2
"""A local board's programs are this machine's own: more at once share the same processors."""
AT_ONCE_IN_DOCKER = (os.cpu_count() or 1) + 1
"""A board mostly waits while it updates: on two processors three at once are as quick as four."""


@dataclass(frozen=True, kw_only=True)
class Driver:
    """``bind`` is where a cloud must listen that its boards reach (None: loopback), ``at_once`` how many boards make
    sense together. ``board`` makes a board, which ends with the block.
    """

    name: DriverName
    bind: str | None
    at_once: int
    board: Callable[[BoardSpec], AbstractContextManager[Board]]


@contextmanager
def local(*, keep: Path | None = None) -> Iterator[Driver]:
    """Open the driver of boards in namespaces; ``keep`` is a directory in which their roots stay behind."""

    def board(spec: BoardSpec) -> LocalBoard:
        return local_board(spec, keep / spec.profile.name if keep else None)

    yield Driver(name="local", bind=None, at_once=AT_ONCE_HERE, board=board)


def local_board(spec: BoardSpec, directory: Path | None = None) -> LocalBoard:
    """Return a board in namespaces, by itself; ``directory`` is where its root stays behind."""
    from edge_sim.emulation.local.board import LocalBoard

    return LocalBoard(spec, directory, keep=directory is not None)


@contextmanager
def docker(
    profiles: Iterable[DeviceProfile],
    *,
    broker: str | None = None,
    progress: Progress,
    purpose: str = "run",
    suite: str | None = None,
) -> Iterator[Driver]:
    """Open the driver of boards in containers, on a network of their own.

    Images for ``profiles`` that are missing are built first, others when a board needs them. ``suite`` is the release
    of Debian that all boards stand on, None for each board's own.

    ``broker`` is the URL of one elsewhere that the boards must reach, None for a cloud at ``bind``. Raises UsageError
    for one that no container reaches, UnsupportedEnvironmentError where engine, QEMU or image is missing.
    """
    from edge_sim.emulation.containers import boards, engine, networks
    from edge_sim.emulation.containers.board import DockerBoard

    if broker:
        _refuse_loopback(broker)
    prefix = f"{purpose}-{os.getpid()}"
    with engine.connected() as client:
        boards.remove_ownerless(client)
        tags: dict[tuple[str, str], str] = {}
        for profile in profiles:
            kind = profile.architecture, suite or suite_of(profile)
            tags[kind] = tags.get(kind) or image_of(profile, progress, client, suite)
        marks = boards.labels(lasting=False)
        with networks.temporary(client, boards.container_name(prefix), marks, internal=broker is None) as network:

            @contextmanager
            def board(spec: BoardSpec) -> Iterator[Board]:
                name = f"{prefix}-{spec.profile.name}"
                kind = spec.profile.architecture, suite or suite_of(spec.profile)
                with engine.connected() as own:  # one client a thread
                    image = tags.get(kind) or image_of(spec.profile, progress, own, suite)
                    with DockerBoard(spec, engine=own, image=image, network=network.name, name=name) as container:
                        yield container

            yield Driver(name="docker", bind=network.gateway, at_once=AT_ONCE_IN_DOCKER, board=board)


def suite_of(profile: DeviceProfile) -> str:
    """Return the release of Debian that boards of a profile stand on."""
    from edge_sim.emulation.containers import bases

    return bases.suite_for(profile.os_release, profile.architecture)


def image_of(profile: DeviceProfile, progress: Progress, client: Any, suite: str | None = None) -> str:
    """Return the image for boards of a profile, built now where it is missing, and bullseye's base with it.

    Where that base cannot be made it is an image of the default release, of which the board's certificate tells.
    ``suite`` is another release than the profile's own.
    """
    from edge_sim.emulation.containers import bases, images

    architecture, suite = profile.architecture, suite or suite_of(profile)
    if suite != bases.SUITE:
        try:
            bases.make(architecture, progress, suite)
        except UnsupportedEnvironmentError as error:
            progress(f"{architecture}: Debian {bases.SUITE} stands in for {suite}: {error.brief}")
        else:
            from edge_sim.emulation.bundle import archive

            bundle = archive.bundle(architecture, progress, newest=False)
            return images.build(architecture, None, progress, client, bundle=bundle.packed)
    return images.build(architecture, None, progress, client)


def ssh(connection: Connection, bundle: Bundle, visit: Visit, *, keep: bool = False) -> Driver:
    """Return the driver of the one board at the other end of ``connection``, which stays the caller's.

    ``keep``: what a run has made stays on the board.
    """
    from edge_sim.emulation.ssh.board import SshBoard

    def board(spec: BoardSpec) -> SshBoard:
        return SshBoard(spec, connection=connection, bundle=bundle, visit=visit, keep=keep)

    return Driver(name="ssh", bind=None, at_once=1, board=board)


@contextmanager
def lasting(name: str, spec: BoardSpec, progress: Progress) -> Iterator[Board]:
    """Make a board in a container that stays when the block ends without an error.

    It is on the network of ``cloud serve --bind docker`` where its broker is that cloud's, else on one of its own that
    leads out. Raises UsageError when there is a board of that name, or no container reaches the broker.
    """
    from edge_sim.emulation.containers import boards, engine
    from edge_sim.emulation.containers.board import DockerBoard

    broker = spec.agent.broker if spec.agent else ""
    _refuse_loopback(broker)
    with reserved(name), engine.connected() as client:
        if name in boards.names(client):
            raise UsageError(
                f"a board named {name} already exists, or part of one does",
                hint=f"Name this one with --name, or remove that one: edge-sim board down {name}",
            )
        image = image_of(spec.profile, progress, client)
        with contextlib.ExitStack() as undo:
            with interrupts.hold():  # one that the engine is just making would stay
                network = _network(client, name, spec, broker)
                undo.callback(boards.remove_network, client, network)
            with DockerBoard(spec, engine=client, image=image, network=network, name=name, lasting=True) as board:
                yield board
            undo.pop_all()


@contextmanager
def reserved(name: str) -> Iterator[None]:
    """Reserve the name of a board that does not exist yet; raises UsageError while another process makes one of that
    name.

    An abstract socket: it goes with its process, however that ends.
    """
    with socket.socket(socket.AF_UNIX) as lock:
        try:
            lock.bind(f"\0edge-sim board {name}")
        except OSError as error:
            raise UsageError(
                f"a board named {name} is already being created", hint="Name this one with --name."
            ) from error
        yield


def _network(client: Any, name: str, spec: BoardSpec, broker: str) -> str:
    """Return the network from which a lasting board reaches its broker: the shared one, or one that leads out."""
    from edge_sim.emulation.containers import boards, networks

    shared = networks.find(client, networks.SHARED)
    if shared and shared.gateway == urlsplit(broker).hostname:
        return shared.name
    return networks.make(client, boards.container_name(name), boards.labels(name, spec), internal=False).name


def _refuse_loopback(broker: str) -> None:
    host = urlsplit(broker).hostname or ""
    if host in ("localhost", "::1") or host.startswith("127."):
        raise UsageError(
            f"{broker}: a container cannot reach this machine's loopback",
            hint="Start the cloud where boards reach it (edge-sim cloud serve --bind docker), or name another address.",
        )
