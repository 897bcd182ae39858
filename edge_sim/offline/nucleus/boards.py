"""A session on a simulated board of a profile: the stand-in runs there, as the board's root, with the board's programs.

    board made, with the accounts that a nucleus's installer makes ─► board.sh run there ─► session ─► its outcome

In a container programs, C library and processor are the board image's; on a local board programs are this machine's.
awsiotsdk comes as ``packages``; where it does not, ``client`` is found under its name.
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from edge_sim.deviceprofile import Account, DeviceProfile
from edge_sim.emulation import drivers
from edge_sim.emulation.board import BoardSpec
from edge_sim.emulation.containers.bases import SUITE
from edge_sim.emulation.drivers import DriverName, Progress
from edge_sim.errors import EdgeSimError, InvalidDefinitionError, UnsupportedEnvironmentError, UsageError
from edge_sim.folders import while_in_use
from edge_sim.jsonobject import JsonObject
from edge_sim.offline.migration.several import lay_over
from edge_sim.offline.nucleus.session import NucleusSession, SessionOutcome
from edge_sim.scenarioparts import BoardFile
from edge_sim.v2.nucleus import BY_NAME, LAST_SYSTEM_ID, NUCLEI, Nucleus
from edge_sim.v2.suitability import unsuited

START_LIMIT_S = 120.0
"""Until the stand-in and its components have started: under QEMU each of their interpreters takes seconds."""
BOARD_SCRIPT_LIMIT_S = 120.0
_PACKAGE = Path(__file__).parents[2]
_SOURCES = ("*.py", "agent", "greengrass", "offline/__init__.py", "offline/nucleus", "v2/__init__.py", "v2/nucleus.py")
"""What ``program`` imports."""
_SDK = "awsiot/greengrasscoreipc"
_PROGRAM = "edge_sim.offline.nucleus.program"
_THERE = "/opt/edge-sim-nucleus"
_SESSION = f"{_THERE}/session.json"
_CLIENT = (
    "edge-sim's own client stands in for awsiotsdk; --packages puts the real one on the board (pip install --target "
    "DIR)"
)
_ERRORS: Mapping[int, type[EdgeSimError]] = {
    error.exit_status: error for error in (UsageError, InvalidDefinitionError, UnsupportedEnvironmentError)
}


def hold(session: NucleusSession, profile: DeviceProfile, driver: DriverName, progress: Progress) -> SessionOutcome:
    """Make a board of ``profile`` and hold the session there; root and architecture are the board's.

    Raises InvalidDefinitionError where the nucleus runs on no such board, board.sh fails there or the deployment is
    refused, and UnsupportedEnvironmentError where the board cannot be made.
    """
    nucleus = BY_NAME[next(name for name in NUCLEI if name == session.target)]
    for reason in unsuited(nucleus, profile.facts()):
        raise InvalidDefinitionError(f"{profile.name}: {reason}", hint="Name the profile of a board that V2 supports.")
    with while_in_use("edge-sim-nucleus-") as (place, _):
        files = tuple(_files(place, session, profile, container=driver == "docker"))
        spec = BoardSpec(profile=installed(profile, nucleus), files=files, contained=False)
        with _board(spec, driver, progress) as board:
            _run_board_script(board, profile)
            outcome = _outcome(board, session, profile)
            client = () if session.packages or driver == "local" else (_CLIENT,)
            return replace(outcome, notes=(*board.notes, *client, *outcome.notes))


def installed(profile: DeviceProfile, nucleus: Nucleus) -> DeviceProfile:
    """Return the board with the accounts that the nucleus's installer makes where they are missing.

    Sources: NUC (its installer), LITE (docs/SETUP.md). Their ids are free ones, from the last system id downwards.
    """
    users, groups = dict(profile.users), dict(profile.groups)
    for user, group in dict.fromkeys(((nucleus.user, nucleus.group), (nucleus.owner, nucleus.owner))):
        taken = {*groups.values(), *(account.uid for account in users.values())}
        free = next(number for number in range(LAST_SYSTEM_ID, 0, -1) if number not in taken)
        gid = groups.setdefault(group, free)
        account = Account(uid=free, gid=gid, home=f"/home/{user}", shell="/bin/sh")  # noqa: S604 - a login shell
        users.setdefault(user, account)
    return replace(profile, users=users, groups=groups)


@dataclass(frozen=True, kw_only=True)
class _Place:
    """A board that was made. ``run`` runs a program there to its end, as root, seeing the board's files alone."""

    run: Callable[[Sequence[str], float], subprocess.CompletedProcess[str]]
    python: str
    notes: tuple[str, ...]


@contextmanager
def _board(spec: BoardSpec, driver: DriverName, progress: Progress) -> Iterator[_Place]:
    name = spec.profile.name
    if driver == "local":
        with drivers.local_board(spec) as local:
            note = f"{name}: programs, Python and kernel are this machine's ({platform.machine()})"
            yield _Place(run=partial(local.exec, inside=True), python=sys.executable, notes=(note, *local.notes))
        return
    with (
        drivers.docker([spec.profile], progress=progress, purpose="nucleus", suite=SUITE) as containers,
        containers.board(spec) as board,
    ):
        standing_in = (f"{name}: {board.standing_in}",) if board.standing_in else ()
        by = "" if board.machine == platform.machine() else ", run by QEMU"
        note = f"{name}: programs and Python are those of the image for {board.machine}{by}"
        yield _Place(run=board.exec, python="python3", notes=(note, *standing_in, *board.notes))


def _files(place: Path, session: NucleusSession, profile: DeviceProfile, *, container: bool) -> Iterator[BoardFile]:
    """Yield what is laid on the board: the migration's folder, the stand-in's modules, packages, the session."""
    python = place / "python"
    if container:
        for source in (path for pattern in _SOURCES for path in _PACKAGE.glob(pattern)):
            _copy(source, python / "edge_sim" / source.relative_to(_PACKAGE))
        if not session.packages:
            for module in ("clientv2", "model"):
                text = "from edge_sim.offline.nucleus.client import *  # noqa: F403\n"
                _write(python / _SDK / f"{module}.py", text)
    if session.packages:
        _copy(session.packages, python)
    _copy(session.folder, place / "folder")
    lay_over(place / "folder", profile.name)
    there = replace(
        session,
        folder=Path(_THERE, "folder"),
        root=Path("/"),
        architecture=profile.architecture,
        packages=Path(_THERE, "python") if python.is_dir() else None,
    )
    _write(place / "session.json", json.dumps(there.as_json()))
    if python.is_dir():
        yield BoardFile(path=f"{_THERE}/python", copy=python)
    yield BoardFile(path=f"{_THERE}/folder", copy=place / "folder")
    yield BoardFile(path=_SESSION, copy=place / "session.json", mode=0o600)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def _run_board_script(board: _Place, profile: DeviceProfile) -> None:
    done = board.run(["sh", f"{_THERE}/folder/board.sh"], BOARD_SCRIPT_LIMIT_S)
    if done.returncode != 0:
        raise InvalidDefinitionError(
            f"{profile.name}: board.sh ended with status {done.returncode} on the board",
            details=done.stderr.strip() or None,
        )


def _outcome(board: _Place, session: NucleusSession, profile: DeviceProfile) -> SessionOutcome:
    argv = ["env", f"PYTHONPATH={_THERE}/python", board.python, "-m", _PROGRAM, _SESSION]
    messages = len(session.messages) + len(session.local) + 1
    done = board.run(argv, START_LIMIT_S + messages * session.seconds)
    try:
        answer = JsonObject.parse(done.stdout)
        if done.returncode == 0:
            return SessionOutcome.from_json(answer)
        message = f"{profile.name}: {answer.text('error')}"
        raise _ERRORS[done.returncode](message, hint=answer.text_or_none("hint"))
    except (ValueError, KeyError) as error:
        raise UnsupportedEnvironmentError(
            f"{profile.name}: the stand-in ended with status {done.returncode} on the board",
            details=done.stderr.strip() or str(error),
        ) from error
