"""A board over ssh, held by one run or one probe at a time, with the agent's bundle on it.

    taken ─► bundle, unless it is there ─► journal of what will be made, and whatever the caller does ─► put back

All of it lies in one folder on the board, and that there is such a folder is what keeps the next one away. What is made
elsewhere is in a journal on the board before it is; ``restore`` undoes that, also after a lost connection.
"""

from __future__ import annotations

import contextlib
import getpass
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from importlib import resources
from typing import IO

from edge_sim import interrupts
from edge_sim.emulation.bundle.archive import TOP as BUNDLE_FOLDER
from edge_sim.emulation.bundle.archive import Bundle
from edge_sim.emulation.ssh.connection import Connection
from edge_sim.emulation.ssh.text import ending, reason
from edge_sim.errors import EdgeSimError, UnsupportedEnvironmentError
from edge_sim.greengrass.tree import BESIDE_V1

RUN = f"{BESIDE_V1}/run"
"""The folder on the board that holds a run, and by which there is only one."""
INSTALLED, KEPT = f"{BESIDE_V1}/bundle", f"{BESIDE_V1}/bundle-of-runs"
"""Where a board may have the bundle already: by install.sh, or of an earlier run."""
BRING_S = 900.0
"""For a bundle of 10 MB on a slow line, unpacked to slow flash."""
RESTORE_S = 120.0
MAX_STAYING = 1000
"""How much of what stays on a board is listed."""
_BUSY = 5
"""board.sh's status where the board is taken."""
_STAYING = {
    "left": "{} stays on the board: the run created it, and it contains other files now",
    "wrote": "{} was written during the run, and stays",
    "more": "more files there were written during the run, and stay",
    "unlisted": "what was written to {} during the run stays; the board's find cannot list it",
    "open": "{} could be written to during the run",
}
"""What board.sh says of it."""


class Hold:
    """A board at the other end of ``connection``, taken and put back. ``place`` is where its bundle is then.

    ``keep_bundle``: one that is brought stays on the board for the next run. ``free_kib`` is the room on the board, as
    far as it is known, and ``spare_kib`` what must be free beside the bundle.
    """

    def __init__(
        self, connection: Connection, bundle: Bundle, *, keep_bundle: bool, free_kib: int | None, spare_kib: int
    ) -> None:
        self.place = KEPT
        self._connection = connection
        self._bundle = bundle
        self._keep_bundle = keep_bundle
        self._free_kib = free_kib
        self._spare_kib = spare_kib
        self._bundle_stays = False
        self._taken = False
        self._closing = threading.Lock()

    @property
    def program(self) -> str:
        """The agent's program on the board."""
        return f"{self.place}/bin/edge-sim"

    def take(self) -> None:
        """Take the board, and bring the bundle unless the board has it; raises UnsupportedEnvironmentError.

        Whatever happens, ``release`` must follow.
        """
        with interrupts.hold():
            place = self._begin()
        self._refuse_small(self._spare_kib if place else self._spare_kib + self._bundle.unpacked // 1024)
        if place:
            self.place = place
        else:
            self._bring()

    def release(self) -> tuple[str, ...] | None:
        """Put the board back, and return a sentence for each thing that stays; None where it is not taken any more.

        Safe to call again, from any thread.
        """
        with interrupts.hold(), self._closing:
            if not self._taken:
                return None
            self._taken = False
            return (*restore(self._connection), *self._stays())

    def leave(self) -> tuple[str, ...]:
        """End the run's processes, leave everything else on the board, and return what stays, in sentences."""
        with interrupts.hold(), self._closing:
            self._taken = False
            self._connection.run(script("end"))
            way_back = f"edge-sim board restore {self._connection.address}"
            return (f"the run stays in {RUN}, with its journal; to restore the board: {way_back}", *self._stays())

    def check(self, done: subprocess.CompletedProcess[str], what: str) -> None:
        """Raise UnsupportedEnvironmentError that says ``what`` failed, and why, unless it went well."""
        if done.returncode:
            raise UnsupportedEnvironmentError(
                f"{self._connection.address}: {what}: {reason(done.stderr, done.returncode)}",
                details=ending(done.stderr),
                hint=f"The board is as it was{f', except for the bundle in {KEPT}' if self._bundle_stays else ''}.",
            )

    def _begin(self) -> str | None:
        """Take the board, and return where it has the bundle already."""
        who = f"{getpass.getuser()} on {socket.gethostname()}"
        done = self._connection.run(script("begin", who, self._bundle.version))
        if done.returncode == _BUSY:
            whose = self._connection.run(["cat", f"{RUN}/owner"]).stdout.strip() or "an unknown user"
            raise UnsupportedEnvironmentError(
                f"{self._connection.address}: another run, by {whose}, is in progress on the board or was interrupted "
                "there",
                hint=f"Wait until it has ended, or end it: edge-sim board restore {self._connection.address}",
            )
        self.check(done, "nothing can be created on the board")
        self._taken = True
        place = done.stdout.strip()
        return place if place in (INSTALLED, KEPT) else None

    def _refuse_small(self, needed: int) -> None:
        if self._free_kib is not None and self._free_kib < needed:
            raise UnsupportedEnvironmentError(
                f"{self._connection.address}: the board has {self._free_kib >> 10} MiB free, but a run needs "
                f"{needed >> 10} MiB",
                hint="The board is as it was.",
            )

    def _bring(self) -> None:
        """Unpack the bundle, see that it starts, and put it where it stays, if it is to stay."""
        with temporary(self._bundle.packed) as packed:
            done = self._connection.run(["tar", "-xzf", "-", "-C", RUN], stdin=packed, timeout=BRING_S)
        self.check(done, "the bundle cannot be unpacked on the board")
        self.place = f"{RUN}/{BUNDLE_FOLDER}"
        self.check(self._connection.run([self.program, "agent", "--help"]), "the bundle does not start on the board")
        if self._keep_bundle:
            self.check(self._connection.run(script("keep")), "the bundle cannot be kept on the board")
            self.place, self._bundle_stays = KEPT, True

    def _stays(self) -> Iterator[str]:
        if self._bundle_stays:
            away = f"edge-sim board restore --bundle {self._connection.address}"
            yield f"the agent's bundle stays in {KEPT} for the next run; to remove it: {away}"


@contextlib.contextmanager
def held(connection: Connection, bundle: Bundle, *, free_kib: int | None, spare_kib: int) -> Iterator[Hold]:
    """Yield a board that is taken for the block, and as it was afterwards: a bundle that is brought goes as well."""
    hold = Hold(connection, bundle, keep_bundle=False, free_kib=free_kib, spare_kib=spare_kib)
    try:
        hold.take()
        yield hold
    except BaseException:
        with contextlib.suppress(EdgeSimError):  # the first error has said what is wrong
            hold.release()
        raise
    hold.release()


def restore(connection: Connection) -> Iterator[str]:
    """End the run that is on a board, undo its journal, and yield a sentence for each thing that stays.

    Raises UnsupportedEnvironmentError where that fails.
    """
    done = connection.run(script("restore"), timeout=RESTORE_S)
    lines = done.stdout.splitlines()
    if done.returncode or not lines or lines[-1] not in ("restored", "none"):
        raise UnsupportedEnvironmentError(
            f"{connection.address}: the board could not be restored",
            details=ending(done.stderr),
            hint=f"Try again: edge-sim board restore {connection.address}",
        )
    *lines, _ = lines
    for line in lines[:MAX_STAYING]:
        word, _, path = line.partition(" ")
        if word in _STAYING:
            yield _STAYING[word].format(path)
    if len(lines) > MAX_STAYING:
        yield f"{len(lines) - MAX_STAYING} more paths stay on the board and are not listed"


def forget(connection: Connection) -> None:
    """Remove the bundle that runs have kept on a board; raises UnsupportedEnvironmentError where that fails."""
    done = connection.run(script("forget"), timeout=RESTORE_S)
    if done.returncode:
        raise UnsupportedEnvironmentError(
            f"{connection.address}: {KEPT} could not be removed", details=ending(done.stderr)
        )


def script(verb: str, *arguments: str) -> list[str]:
    """Return the command by which the board's shell carries out a verb of ``board.sh``."""
    text = resources.files(__package__).joinpath("board.sh").read_text(encoding="utf-8")
    return ["sh", "-c", text, "sh", verb, *arguments]


@contextlib.contextmanager
def temporary(content: bytes) -> Iterator[IO[bytes]]:
    """Yield a file with ``content``, to be read from its start."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        yield file
