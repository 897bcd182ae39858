"""The one place where a short command is started and waited for, and how a long one ends with what started it."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edge_sim.errors import UnsupportedEnvironmentError

SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
"""Where a system has its daemons. Debian leaves it out of the PATH of everybody but root."""
_PR_SET_PDEATHSIG = 1


def daemon(name: str) -> str | None:
    """Return the file of a daemon that is installed, whether the PATH leads to it or not."""
    return shutil.which(name) or shutil.which(name, path=SBIN)


def ending_with(parent: int, number: signal.Signals) -> Callable[[], None]:
    """Return a ``preexec_fn`` that has the kernel send a signal to the child when ``parent``, which forks it, ends.

    A child whose parent has ended before the kernel was asked ends at once.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def ask() -> None:  # runs in the child, after Popen has changed its user, which would undo it
        libc.prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os._exit(1)

    return ask


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[bytes]:
    """Run ``argv`` to its end, at most ``timeout`` seconds, and return its status and output.

    Raises UnsupportedEnvironmentError when the program is missing or takes too long, and, with ``check``, when it
    ends with another status than 0.
    """
    try:
        result = subprocess.run(
            list(argv),
            stdin=subprocess.DEVNULL,
            env=env,
            cwd=cwd,
            timeout=timeout,
            capture_output=True,
            check=False,
            start_new_session=True,  # a terminal's Ctrl-C goes to every program on it: losetup would forget a device
        )
    except FileNotFoundError as error:
        raise UnsupportedEnvironmentError(f"{argv[0]}: not found on this machine") from error
    except subprocess.TimeoutExpired as error:
        raise UnsupportedEnvironmentError(f"{argv[0]} timed out after {timeout:g} s") from error
    if check and result.returncode:
        raise UnsupportedEnvironmentError(
            f"{argv[0]} ended with status {result.returncode}",
            details=result.stderr.decode(errors="replace").strip() or None,
        )
    return result
