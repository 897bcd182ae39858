"""A program on a local board, as the driver sees it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from edge_sim.emulation.local import namespaces


class Program(subprocess.Popen[str]):
    """A ``Popen`` whose process joins the board, starts the program there and ends as it ended.

    SIGTERM, SIGINT, SIGHUP, SIGUSR1 and SIGUSR2 are handed on to the program. ``kill`` kills the program, and the
    process in between then reaps it: were that one killed instead, the program would wait for this machine's init,
    which in a container often reaps nothing, and the board could not end before it.
    """

    def __init__(
        self,
        argv: Sequence[str],
        settings: Mapping[str, Any],
        *,
        env: Mapping[str, str] | None,
        stdin: int,
        stdout: int,
        stderr: int | None,
    ) -> None:
        # Closing our end, which also happens when this process is killed, kills the program.
        life, self._life = os.pipe()
        fds = [fd for fd in (settings["pidfd"], settings["view"], life) if fd is not None]
        line = json.dumps({**settings, "life": life})
        try:
            super().__init__(
                [sys.executable, "-I", "-S", namespaces.__file__, line, "--", *argv],
                pass_fds=fds,
                env=None if env is None else dict(env),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                text=True,
                encoding="utf-8",
                errors="replace",
                # Ctrl-C in a terminal reaches the driver alone, which decides in which order things end.
                start_new_session=True,
            )
        except BaseException:
            self.release()
            raise
        finally:
            os.close(life)

    def send_signal(self, sig: int) -> None:
        """Send a signal to the program."""
        if sig == signal.SIGKILL:
            self.release()
        else:
            super().send_signal(sig)

    def release(self) -> None:
        """Let go of the program: it is killed if it still runs."""
        life, self._life = self._life, -1
        if life >= 0:
            os.close(life)

    def __del__(self, *_: object) -> None:
        with contextlib.suppress(AttributeError, OSError):
            self.release()
        super().__del__()
