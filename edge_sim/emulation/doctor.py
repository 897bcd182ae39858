"""A board's certificate: its agent looks, ``edge_sim.certificate`` judges, the rows come back as JSON.

Any board will do that runs programs: a local one made for the question, one in a container, one of a run.
``hostchecks`` is the other half of ``edge-sim doctor``: what this machine can do.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from edge_sim.certificate import CertificateRow
from edge_sim.deviceprofile import DeviceProfile
from edge_sim.emulation import drivers
from edge_sim.emulation.board import BoardSpec, Shell
from edge_sim.emulation.drivers import DriverName, Progress
from edge_sim.errors import UnsupportedEnvironmentError, UsageError
from edge_sim.jsonobject import JsonObject
from edge_sim.profiles import load_profile

LIMIT_S = 60.0
"""For the agent's start and its look around: seconds under QEMU."""
_KEYS = (
    *("architecture", "operating_system", "os_release", "libc", "libc_version", "kernel", "memory_kib", "cpus"),
    *("umask", "users", "groups"),
)


def certificate_for(board: Shell, profile: DeviceProfile) -> list[CertificateRow]:
    """Return the rows of a running board, judged against its profile.

    Raises UnsupportedEnvironmentError when the agent there does not answer.
    """
    argv = [*board.agent_command, "certificate", "--root", str(board.root), "--expect", _claims(profile)]
    result = board.exec(argv, LIMIT_S)
    try:
        rows = JsonObject.parse(result.stdout).children("certificate", CertificateRow.from_json)
    except ValueError as error:
        raise UnsupportedEnvironmentError(
            f"{profile.name}: the board returned no certificate (status {result.returncode})",
            details=result.stderr.strip()[-2000:] or None,
        ) from error
    return list(rows)


def real(profile: DeviceProfile) -> list[CertificateRow]:
    """Return the certificate of a real board, whose profile is what was seen there: there is nothing to compare."""
    facts = {
        "uname -m": profile.architecture,
        "os-release": profile.os_release.get("PRETTY_NAME", profile.operating_system),
        "libc": f"{profile.libc} {profile.libc_version}",
        "kernel": profile.kernel,
        "users": str(len(profile.users)),
        "groups": str(len(profile.groups)),
        "memory": f"{profile.memory_kib // 1024} MiB",
        "cpus": str(profile.cpus),
    }
    return [
        CertificateRow(fact=fact, claimed=value, actual=value, verdict="true", reason="a real board")
        for fact, value in facts.items()
    ]


def certificate(
    driver: DriverName, profile: DeviceProfile, progress: Progress
) -> tuple[list[CertificateRow], tuple[str, ...]]:
    """Return the certificate of a board of ``profile``, made for it and gone afterwards, and the board's notes.

    ``progress`` hears of an image that has to be built first. Raises UnsupportedEnvironmentError where the driver
    cannot make a board.
    """
    context = drivers.local() if driver == "local" else drivers.docker([profile], progress=progress, purpose="doctor")
    with context as boards, boards.board(BoardSpec(profile=profile)) as board:
        return certificate_for(board, profile), board.notes


def running_certificate(name: str, profile: DeviceProfile | None = None) -> tuple[DeviceProfile, list[CertificateRow]]:
    """Return the profile and the certificate of the board that ``edge-sim board up`` called ``name``.

    ``profile`` is what to judge it by, if not by its own. Raises UsageError when there is no such board or its
    profile is not known here, UnsupportedEnvironmentError without an engine.
    """
    from edge_sim.emulation.containers import boards, engine

    with engine.connected() as client:
        container = boards.find(client, name)
        judged_by = profile or _profile_of(name, container)
        return judged_by, certificate_for(boards.ContainerShell(client, container), judged_by)


def _profile_of(name: str, container: Any) -> DeviceProfile:
    known = container.labels.get("edge-sim.profile", "")
    try:
        return load_profile(known)
    except UsageError as error:
        raise UsageError(f"{name}: its profile {known!r} is not known here", hint="Name it with --profile.") from error


def _claims(profile: DeviceProfile) -> str:
    """Return what the agent compares with; as an argument, since not every board's ``exec`` has an input."""
    whole = asdict(profile)
    return json.dumps({key: whole[key] for key in _KEYS}, separators=(",", ":"))
