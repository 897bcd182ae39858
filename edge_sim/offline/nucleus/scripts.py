"""A component's script as it runs, below a process of ours that ends with the stand-in (``keeper``)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

from edge_sim import interrupts
from edge_sim.offline.nucleus.layout import Owner
from edge_sim.process import ending_with

STOP_LIMIT_S = 5.0
"""How long a script has to stop after SIGTERM (ours)."""
POLL_S = 0.02
_KEEPER = Path(__file__).with_name("keeper.py")


class Script:
    """A script from its start. ``owner`` and ``groups`` are its account, None for this process's own."""

    def __init__(
        self,
        text: str,
        *,
        environment: Mapping[str, str],
        folder: Path,
        log: IO[bytes],
        owner: Owner | None,
        groups: Sequence[int] = (),
    ) -> None:
        account = [str(owner.uid), str(owner.gid)] if owner else ["", ""]
        self._status: int | None = None
        self._answer, output = os.pipe()
        os.set_blocking(self._answer, False)
        words = [str(output), f"{STOP_LIMIT_S:g}", *account, str(len(groups)), *map(str, groups), "sh", "-c", text]
        try:
            with interrupts.hold():
                self._keeper = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(_KEEPER), *words],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    cwd=folder,
                    pass_fds=[output],
                    start_new_session=True,
                    preexec_fn=ending_with(os.getpid(), signal.SIGTERM),
                )
        finally:
            os.close(output)
        # Not as the keeper's own environment: it may be root's, and LD_PRELOAD is the component's to say.
        entries = "\0".join(f"{key}={value}" for key, value in environment.items())
        with suppress(BrokenPipeError), cast(IO[bytes], self._keeper.stdin) as pipe:
            pipe.write(os.fsencode(entries))

    def poll(self) -> int | None:
        """Return the script's exit status, None while it runs; what it has started may outlive it."""
        if self._status is None:
            try:
                text = os.read(self._answer, 8)
            except BlockingIOError:
                return None
            self._status = int(text) if text else -signal.SIGKILL  # the keeper was killed
        return self._status

    def wait(self, limit_s: float) -> int | None:
        """Wait at most ``limit_s`` for the script's end; return what ``poll`` does."""
        deadline = time.monotonic() + limit_s
        while (status := self.poll()) is None and time.monotonic() < deadline:
            time.sleep(POLL_S)
        return status

    def end(self) -> None:
        """End the script and all that it has started."""
        self._keeper.terminate()
        self._keeper.wait()
        self.poll()
        os.close(self._answer)
