"""A board's certificate: its agent looks, ``edge_sim.certificate`` judges, the rows come back as JSON.

Any board will do that runs programs: a local one made for the question, one in a container, one of a run.
``hostchecks`` is the other half of ``edge-sim doctor``: what this machine can do.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Literal, Protocol

from edge_sim.emulation.local.board import LocalBoard
from edge_sim.errors import UnsupportedEnvironmentError, UsageError
from edge_sim.profiles import DeviceProfile, load_profile

LIMIT_S = 60.0
"""For the agent's start and its look around: seconds under QEMU."""
_Exec = Callable[[Sequence[str], float], "subprocess.CompletedProcess[str]"]
_KEYS = (
    *("architecture", "operating_system", "os_release", "libc", "libc_version", "kernel", "memory_kib", "cpus"),
    *("umask", "users", "groups"),
)


class Board(Protocol):
    """What a certificate needs of a board; ``runs.agentprocess.Board`` is more."""

    @property
    def root(self) -> str: ...

    @property
    def agent_command(self) -> tuple[str, ...]: ...

    def exec(self, argv: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]: ...


def certificate_for(board: Board, profile: DeviceProfile) -> list[dict[str, str]]:
    """Return the rows ``{fact, claimed, found, verdict, reason}`` of a running board, judged against its profile.

    Raises UnsupportedEnvironmentError when the agent there does not answer.
    """
    return _ask(board.exec, board.agent_command, board.root, profile)


def certificate(
    driver: Literal["local", "docker"], profile: DeviceProfile, progress: Callable[[str], None]
) -> list[dict[str, str]]:
    """Return the certificate of a board of ``profile``, made for it and gone afterwards.

    ``progress`` hears of an image that has to be built first. Raises UnsupportedEnvironmentError where the driver
    cannot make a board.
    """
    return _of_local(profile) if driver == "local" else _of_docker(profile, progress)


def _of_local(profile: DeviceProfile) -> list[dict[str, str]]:
    agent = (sys.executable, "-m", "edge_sim.cli.main", "agent")
    with LocalBoard(profile) as board:
        return _ask(board.exec, agent, str(board.root), profile)


def _of_docker(profile: DeviceProfile, progress: Callable[[str], None]) -> list[dict[str, str]]:
    from edge_sim.emulation.containers import boards, engine, images, networks
    from edge_sim.emulation.containers.board import DockerBoard

    name = f"{boards.PREFIX}doctor-{os.getpid()}"
    with engine.connected() as client:
        boards.remove_ownerless(client)
        image = images.build(profile.architecture, None, progress, client)
        marks = boards.labels(name, profile=profile, lasting=False)
        with (
            networks.temporary(client, name, marks) as network,
            DockerBoard(profile, engine=client, image=image, network=network.name, name=name, labels=marks) as board,
        ):
            return certificate_for(board, profile)


def running_certificate(name: str, profile: DeviceProfile | None = None) -> tuple[str, list[dict[str, str]]]:
    """Return the profile's name and the certificate of the board that ``edge-sim board up`` called ``name``.

    ``profile`` is what to judge it by, if not by its own. Raises UsageError when there is no such board or its
    profile is not known here, UnsupportedEnvironmentError without an engine.
    """
    from edge_sim.emulation.containers import boards, engine
    from edge_sim.emulation.containers.program import completed, started

    with engine.connected() as client:
        container = boards.find(client, name)
        judged_by = profile or _profile_of(name, container)

        def execute(argv: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
            return completed(started(client, container.id, argv, umask=boards.umask_of(container)), timeout)

        return judged_by.name, _ask(execute, ("edge-sim", "agent"), "/", judged_by)


def _profile_of(name: str, container: Any) -> DeviceProfile:
    known = container.labels.get("edge-sim.profile", "")
    try:
        return load_profile(known)
    except UsageError as error:
        raise UsageError(f"{name}: its profile {known!r} is not known here", hint="Name it with --profile.") from error


def _ask(execute: _Exec, agent: Sequence[str], root: str, profile: DeviceProfile) -> list[dict[str, str]]:
    argv = [*agent, "certificate", "--root", root, "--expect", _claims(profile)]
    done = execute(argv, LIMIT_S)
    try:
        rows: list[dict[str, str]] = json.loads(done.stdout)["certificate"]
    except (ValueError, KeyError, TypeError) as error:
        raise UnsupportedEnvironmentError(
            f"{profile.name}: the board gave no certificate (status {done.returncode})",
            details=done.stderr.strip()[-2000:] or None,
        ) from error
    return rows


def _claims(profile: DeviceProfile) -> str:
    """Return what the agent compares with; as an argument, since not every board's ``exec`` has an input."""
    whole = asdict(profile)
    return json.dumps({key: whole[key] for key in _KEYS}, separators=(",", ":"))
