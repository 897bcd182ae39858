"""``--board ssh://…``: a real board, on which a run leaves nothing but what its functions wrote.

    held (``hold``: one run at a time, with the bundle) ─► core, files ─► ports ─► agent ─► put back

Everything of a run lies in one folder on the board, but for the scenario's files, which are laid only where nothing is,
each noted in the journal before. The bundle stays for the next run.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import TracebackType

from edge_sim.emulation import boardplan, corebuild, itemtar
from edge_sim.emulation.board import BoardSpec
from edge_sim.emulation.boarditems import Item, with_parents
from edge_sim.emulation.bundle.archive import Bundle
from edge_sim.emulation.capabilities import Proves
from edge_sim.emulation.ssh.connection import Connection, LostConnectionError, RemoteProgram
from edge_sim.emulation.ssh.hold import BRING_S, RUN, Hold, script, temporary
from edge_sim.errors import EdgeSimError

GREENGRASS_ROOT = f"{RUN}/greengrass"
SPARE_KIB = 64 * 1024
"""What must be free on the board beside the bundle: models, code, logs."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What a run needs to know of its board beside a spec: what was seen there before anything was changed.

    ``writable`` are the sources of volumes and devices that functions may write to.
    """

    machine: str
    free_kib: int | None
    writable: Sequence[str] = ()


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
        self._hold = Hold(connection, bundle, keep_bundle=True, free_kib=visit.free_kib, spare_kib=SPARE_KIB)
        self._visit = visit
        self.machine = visit.machine
        self.notes: tuple[str, ...] = ()
        self.left: tuple[str, ...] = ()

    @property
    def agent_command(self) -> tuple[str, ...]:
        return (self._hold.program, "agent")

    def __enter__(self) -> SshBoard:
        try:
            self._hold.take()
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
        return self._connection.start(script("agent", self._hold.place))

    def exec(self, argv: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
        """Run a program on the board to its end, as root; raises UnsupportedEnvironmentError."""
        return self._connection.run(argv, timeout=timeout)

    def close(self) -> None:
        """Put the board back; ``left`` says what stays. Safe to call again, from any thread."""
        stays = self._hold.release()
        if stays is not None:
            self.left = stays

    def _leave(self) -> None:
        """End the run's processes, and leave everything else on the board."""
        self.left = self._hold.leave()

    def _lay(self) -> None:
        """Make the core and the scenario's files: those where the board has nothing, each noted before it is made."""
        files = [item for file in self._spec.files for item in boardplan.items_of(file, self._spec.profile)]
        new = self._noted(with_parents(files))
        present = [item.path for item in files if item not in new]
        with itemtar.archive((*self._own(), *new), tarfile.GNU_FORMAT) as tar:
            done = self._connection.run(["tar", "-xpf", "-", "-C", "/"], stdin=tar, timeout=BRING_S)
        self._hold.check(done, "the core and the scenario's files cannot be copied to the board")
        devices = [device.path for device in self._spec.devices]
        self.notes = (
            *(f"{path} is the board's own; it was not replaced by the scenario's" for path in present),
            *(f"{path} is the board's own, with whatever is connected to it" for path in devices),
        )

    def _own(self) -> Iterator[Item]:
        files = self._spec.agent.files if self._spec.agent else {}
        places = {name: (f"{RUN}/{name}.pem", file.absolute()) for name, file in files.items()}
        yield from boardplan.core(self._spec)
        yield corebuild.private_key(f"{GREENGRASS_ROOT}/{corebuild.KEY}")
        open_to = (f"{'d' if path.startswith('/dev/') else 'v'} {path}\n" for path in self._visit.writable)
        yield Item(path=f"{RUN}/writable", type="file", mode=0o600, text="".join(open_to))
        config = {**self._spec.agent_config(None), **{name: path for name, (path, _) in places.items()}}
        yield Item(path=self.agent_config, type="file", mode=0o600, text=json.dumps(config))
        for path, file in places.values():
            yield Item(path=path, type="file", mode=0o400, source=str(file))

    def _noted(self, items: Sequence[Item]) -> list[Item]:
        """Return the items in whose place nothing is on the board, once its journal has them."""
        lines = [f"{'d' if item.type == 'directory' else 'f'} {item.path}\n" for item in items]
        with temporary("".join(lines).encode()) as lines_file:
            done = self._connection.run(script("journal"), stdin=lines_file)
        self._hold.check(done, "the journal cannot be written on the board")
        noted = {line[2:] for line in done.stdout.splitlines()}
        return [item for item in items if item.path in noted]
