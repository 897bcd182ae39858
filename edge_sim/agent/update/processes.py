"""The processes of a board's core: found by the program they were started from, or by a variable, and killed."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil


def started_from(packages: str, root: Path) -> list[psutil.Process]:
    """Return the live processes of a program below ``packages`` whose root directory is ``root``, oldest first."""
    return [p for p in psutil.process_iter() if _is_from(p, packages) and _seen_root(p) == root]


def is_started_from(pid: int, packages: str, root: Path) -> bool:
    """Tell whether ``pid`` is the live process of a program below ``packages`` whose root directory is ``root``."""
    try:
        process = psutil.Process(pid)
    except (psutil.Error, ValueError, OverflowError):
        return False
    return _is_from(process, packages) and _seen_root(process) == root


def marked(name: str, value: str) -> list[psutil.Process]:
    """Return the live processes in whose environment the variable ``name`` is ``value``."""
    return [p for p in psutil.process_iter() if _is_marked(p, name, value)]


def kill(processes: Sequence[psutil.Process], *, limit_s: float) -> list[int]:
    """Kill processes with their groups; return the ids of those that are still alive after ``limit_s``."""
    for process in processes:
        _kill_group(process)
    return _wait_for_end(processes, limit_s)


def _is_from(process: psutil.Process, packages: str) -> bool:
    try:
        arguments = process.cmdline()
    except psutil.Error:
        return False
    # Under QEMU the kernel shows the emulator and the program's file first, then what the process was started with.
    emulated = bool(arguments) and re.fullmatch(r"(qemu-.+|.+-binfmt(-P)?)", Path(arguments[0]).name) is not None
    words = arguments[1:4] if emulated else arguments[:2]
    return any(word.startswith(packages) for word in words) and _is_alive(process)


def _is_marked(process: psutil.Process, name: str, value: str) -> bool:
    try:
        return process.environ().get(name) == value and _is_alive(process)
    except (psutil.Error, OSError):
        return False


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _seen_root(process: psutil.Process) -> Path | None:
    """The root directory of a process as we see it; in another mount namespace it reads ``/``."""
    try:
        return Path(f"/proc/{process.pid}/root").readlink()
    except OSError:
        return None


def _wait_for_end(processes: Sequence[psutil.Process], limit_s: float) -> list[int]:
    """Return the ids of those that are still alive after a while. A zombie that nobody collects has ended."""
    deadline = time.monotonic() + limit_s
    while alive := [process.pid for process in processes if _is_alive(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    return alive


def _kill_group(process: psutil.Process) -> None:
    with suppress(OSError, psutil.Error):
        group = os.getpgid(process.pid)
        if group == os.getpgrp():
            process.kill()
        else:
            os.killpg(group, signal.SIGKILL)
