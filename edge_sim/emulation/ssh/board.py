"""``--board ssh://…``: a real board, on which a run leaves nothing but what its functions wrote.

    taken (one run at a time) ─► bundle, unless it is there ─► journal of what will be made ─► core, files ─► ports
    ─► agent ─► put back

Everything of a run lies in one folder on the board, but for the scenario's files, which are laid only where nothing is.
Each is in a journal on the board before it is made; ``restore`` undoes that, also after a lost connection. The bundle
stays for the next run.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import socket
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import PurePosixPath
from types import TracebackType
from typing import IO

from edge_sim import interrupts
from edge_sim.emulation import boardplan, corebuild, itemtar
from edge_sim.emulation.board import BoardSpec
from edge_sim.emulation.boarditems import Item, with_parents
from edge_sim.emulation.bundle.archive import TOP as BUNDLE_FOLDER
from edge_sim.emulation.bundle.archive import Bundle
from edge_sim.emulation.capabilities import Proves
from edge_sim.emulation.ssh.connection import Connection, LostConnectionError, RemoteProgram
from edge_sim.errors import EdgeSimError, UnsupportedEnvironmentError
from edge_sim.greengrass.tree import BESIDE_V1

RUN = f"{BESIDE_V1}/run"
"""The folder on the board that holds a run, and by which there is only one."""
INSTALLED, KEPT = f"{BESIDE_V1}/bundle", f"{BESIDE_V1}/bundle-of-runs"
"""Where a board may have the bundle already: by install.sh, or of an earlier run."""
GREENGRASS_ROOT = f"{RUN}/greengrass"
BRING_S = 900.0
"""For a bundle of 10 MB on a slow line, unpacked to slow flash."""
RESTORE_S = 120.0
SPARE_KIB = 64 * 1024
"""What must be free on the board beside the bundle: models, code, logs."""
_BUSY = 5
"""board.sh's status where the board is taken."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What a run needs to know of its board beside a spec: what was seen there before anything was changed.

    ``writable`` are the sources of volumes and devices that functions may write to.
    """

    machine: str
    free_kib: int | None
    writable: Sequence[str] = ()
    devices: Sequence[str] = ()


class SshBoard:
    """A board over ssh, made from a spec; a context manager. Leaving it puts the board back."""

    root = PurePosixPath("/")
    agent_config = f"{RUN}/agent.json"
    standing_in: str | None = None
    proves = Proves(owners=True, identities=True, mounts=True)

    def __init__(
        self, spec: BoardSpec, *, connection: Connection, bundle: Bundle, visit: Visit, keep: bool = False
    ) -> None:
        """``keep``: a run that has come to its end stays on the board, until somebody puts it back."""
        self._spec = spec
        self._keep = keep
        self._connection = connection
        self._bundle = bundle
        self._visit = visit
        self._place = KEPT
        self._brought = False
        self._taken = False
        self._closing = threading.Lock()
        self.machine = visit.machine
        self.notes: tuple[str, ...] = ()
        self.left: tuple[str, ...] = ()

    @property
    def agent_command(self) -> tuple[str, ...]:
        return (f"{self._place}/bin/edge-sim", "agent")

    def __enter__(self) -> SshBoard:
        try:
            with interrupts.hold():
                place = self._take()
            self._refuse_small(SPARE_KIB if place else SPARE_KIB + self._bundle.unpacked // 1024)
            if place is None:
                self._bring()
            else:
                self._place = place
            self._lay()
            for port in self._spec.ports:
                self._connection.forward(port)
        except BaseException:
            with contextlib.suppress(EdgeSimError):
                self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._leave() if self._keep else self.close()
            return
        with contextlib.suppress(LostConnectionError):  # the error has said so
            self.close()

    def start_agent(self) -> RemoteProgram:
        """Start the agent; it ends when ``terminate`` is called, or this process ends."""
        return self._connection.start(_script("agent", self._place))

    def exec(self, argv: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
        """Run a program on the board to its end, as root; raises UnsupportedEnvironmentError."""
        return self._connection.run(argv, timeout=timeout)

    def close(self) -> None:
        """Put the board back; ``left`` says what stays. Safe to call again, from any thread."""
        with interrupts.hold(), self._closing:
            if not self._taken:
                return
            self._taken = False
            self.left = (*restore(self._connection, self._visit.writable), *self._stays())

    def _leave(self) -> None:
        """End the run's processes, and leave everything else on the board."""
        with interrupts.hold(), self._closing:
            self._taken = False
            self._connection.run(_script("end"))
            way_back = f"edge-sim board restore {self._connection.address}"
            self.left = (f"the run stays in {RUN}, with its journal; to put the board back: {way_back}", *self._stays())

    def _stays(self) -> Iterator[str]:
        yield from (f"{device} could be written to during the run" for device in self._visit.devices)
        if self._brought:
            away = f"edge-sim board restore --bundle {self._connection.address}"
            yield f"the agent's bundle stays in {KEPT} for the next run; to remove it: {away}"

    def _refuse_small(self, needed: int) -> None:
        free = self._visit.free_kib
        if free is not None and free < needed:
            raise UnsupportedEnvironmentError(
                f"{self._connection.address}: the board has {free >> 10} MiB free, and a run needs {needed >> 10} MiB",
                hint="The board is as it was.",
            )

    def _take(self) -> str | None:
        """Take the board, and return where it has the bundle already."""
        who = f"{getpass.getuser()} on {socket.gethostname()}"
        done = self._connection.run(_script("begin", who, self._bundle.version))
        if done.returncode == _BUSY:
            whose = self._connection.run(["cat", f"{RUN}/owner"]).stdout.strip() or "nobody that is known"
            raise UnsupportedEnvironmentError(
                f"{self._connection.address}: another run is on the board, or was cut off there: that of {whose}",
                hint=f"Wait for its end; or end it: edge-sim board restore {self._connection.address}",
            )
        self._check(done, "nothing can be created on the board")
        self._taken = True
        place = done.stdout.strip()
        return place if place in (INSTALLED, KEPT) else None

    def _bring(self) -> None:
        """Unpack the bundle, see that it starts, and put it where it stays."""
        with _temporary(self._bundle.packed) as packed:
            done = self._connection.run(["tar", "-xzf", "-", "-C", RUN], stdin=packed, timeout=BRING_S)
        self._check(done, "the bundle cannot be unpacked on the board")
        self._place = f"{RUN}/{BUNDLE_FOLDER}"
        self._check(self._connection.run([*self.agent_command, "--help"]), "the bundle does not start on the board")
        self._check(self._connection.run(_script("keep")), "the bundle cannot be kept on the board")
        self._place, self._brought = KEPT, True

    def _lay(self) -> None:
        """Make the core and the scenario's files: those where the board has nothing, each noted before it is made."""
        files = [item for file in self._spec.files for item in boardplan.items_of(file, self._spec.profile)]
        new = self._noted(with_parents(files))
        present = [item.path for item in files if item not in new]
        with itemtar.archive((*self._own(), *new), tarfile.GNU_FORMAT) as tar:
            done = self._connection.run(["tar", "-xpf", "-", "-C", "/"], stdin=tar, timeout=BRING_S)
        self._check(done, "the core and the scenario's files cannot be copied to the board")
        devices = [device.path for device in self._spec.devices]
        self.notes = (
            *(f"{path} is the board's own: the scenario's was not put over it" for path in present),
            *(f"{path} is the board's own, with whatever is connected to it" for path in devices),
        )

    def _own(self) -> Iterator[Item]:
        agent, cafile = self._spec.agent, f"{RUN}/ca.pem"
        authorities = agent.cafile if agent else None
        yield from boardplan.core(self._spec)
        yield corebuild.private_key(f"{GREENGRASS_ROOT}/{corebuild.KEY}")
        config = self._spec.agent_config(cafile if authorities else None)
        yield Item(path=self.agent_config, type="file", mode=0o600, text=json.dumps(config))
        if authorities:
            yield Item(path=cafile, type="file", mode=0o644, source=str(authorities.absolute()))

    def _noted(self, items: Sequence[Item]) -> list[Item]:
        """Return the items in whose place nothing is on the board, once its journal has them."""
        lines = [f"{'d' if item.type == 'directory' else 'f'} {item.path}\n" for item in items]
        with _temporary("".join(lines).encode()) as lines_file:
            done = self._connection.run(_script("journal"), stdin=lines_file)
        self._check(done, "the journal cannot be written on the board")
        noted = {line[2:] for line in done.stdout.splitlines()}
        return [item for item in items if item.path in noted]

    def _check(self, done: subprocess.CompletedProcess[str], what: str) -> None:
        if done.returncode:
            errors = done.stderr.strip()
            last = errors.splitlines()[-1] if errors else f"status {done.returncode}"
            raise UnsupportedEnvironmentError(
                f"{self._connection.address}: {what}: {last}",
                details=errors[-2000:] or None,
                hint=f"The board is as it was{f', but for the bundle in {KEPT}' if self._brought else ''}.",
            )


def restore(connection: Connection, writable: Sequence[str] = ()) -> Iterator[str]:
    """End the run that is on a board, undo its journal, and yield a sentence for each thing that stays.

    Raises UnsupportedEnvironmentError where that fails.
    """
    done = connection.run(_script("restore", *writable), timeout=RESTORE_S)
    lines = done.stdout.splitlines()
    if done.returncode or not lines or lines[-1] not in ("restored", "none"):
        raise UnsupportedEnvironmentError(
            f"{connection.address}: the board could not be put back",
            details=done.stderr.strip()[-2000:] or None,
            hint=f"Try again: edge-sim board restore {connection.address}",
        )
    for line in lines[:-1]:
        word, _, path = line.partition(" ")
        if word == "wrote":
            yield f"{path} was written during the run, and stays"
        elif word == "left":
            yield f"{path} stays on the board: the run made it, and something else is in it now"


def forget(connection: Connection) -> None:
    """Remove the bundle that runs have kept on a board; raises UnsupportedEnvironmentError where that fails."""
    done = connection.run(_script("forget"), timeout=RESTORE_S)
    if done.returncode:
        raise UnsupportedEnvironmentError(
            f"{connection.address}: {KEPT} could not be removed", details=done.stderr.strip()[-2000:] or None
        )


def _script(verb: str, *arguments: str) -> list[str]:
    text = resources.files(__package__).joinpath("board.sh").read_text(encoding="utf-8")
    return ["sh", "-c", text, "sh", verb, *arguments]


@contextlib.contextmanager
def _temporary(content: bytes) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        yield file
