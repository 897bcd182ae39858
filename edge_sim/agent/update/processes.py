"""The processes of a board's software: how they are found, and how all of them are ended."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

ROUNDS = 50


def matching(packages: str, root: Path, label: str, variable: tuple[str, str]) -> list[psutil.Process]:
    """Return the live processes of a program below ``packages`` whose root directory is ``root``, those with the
    argument ``label``, and those in whose environment ``variable`` is.
    """
    return [
        process
        for process in psutil.process_iter()
        if (_is_from(process, packages) and _seen_root(process) == root)
        or label in _arguments(process)
        or _has(process, *variable)
    ]


def is_started_from(pid: int, packages: str, root: Path) -> bool:
    """Tell whether ``pid`` is the live process of a program below ``packages`` whose root directory is ``root``."""
    return any(_is_from(process, packages) and _seen_root(process) == root for process in existing([pid]))


def first_started(program: re.Pattern[str], root: Path) -> tuple[int, str] | None:
    """Return id and version of the oldest live process of ``program``, whose first group is the version."""
    for process in psutil.process_iter():
        match = next(filter(None, map(program.fullmatch, _first_words(process))), None)
        if match is not None and _is_alive(process) and _seen_root(process) == root:
            return process.pid, match[1]
    return None


def existing(pids: Iterable[int]) -> list[psutil.Process]:
    """Return the processes with these ids, without those that have ended."""
    processes = []
    for pid in pids:
        with suppress(psutil.Error, ValueError, OverflowError):
            processes.append(psutil.Process(pid))
    return processes


def with_descendants(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Return the live ones among ``processes`` and all below them, each once."""
    by_id: dict[int, psutil.Process] = {}
    for process in processes:
        with suppress(psutil.Error):
            below = () if process.pid in by_id else process.children(recursive=True)
            by_id |= {each.pid: each for each in (process, *below)}
    return [process for process in by_id.values() if _is_alive(process)]


def memory(processes: Sequence[psutil.Process]) -> int:
    """Return the bytes that these processes have for themselves."""
    used = 0
    for process in processes:
        with suppress(psutil.Error):
            info = process.memory_info()
            used += info.rss - info.shared
    return used


def end(find: Callable[[], Sequence[psutil.Process]], *, limit_s: float) -> list[int]:
    """Kill everything that ``find`` returns; return the ids of what is still alive after ``limit_s``.

    They are stopped first, until no new ones are found: what forks faster than it is killed would never end.
    """
    stopped: set[psutil.Process] = set()
    for _ in range(ROUNDS):
        others = set(find()) - stopped
        if not others:
            break
        for process in others:
            with suppress(psutil.Error):
                process.suspend()
        stopped |= others
    for process in stopped:
        with suppress(psutil.Error):
            process.kill()
    return _wait_for_end(stopped, limit_s)


def _is_from(process: psutil.Process, packages: str) -> bool:
    return any(word.startswith(packages) for word in _first_words(process)) and _is_alive(process)


def _first_words(process: psutil.Process) -> Sequence[str]:
    """Return the arguments among which a process's program is: itself, or its interpreter's first argument."""
    arguments = _arguments(process)
    # Under QEMU the kernel shows the emulator and the program's file first, then what the process was started with.
    emulated = bool(arguments) and re.fullmatch(r"(qemu-.+|.+-binfmt(-P)?)", Path(arguments[0]).name) is not None
    return arguments[1:4] if emulated else arguments[:2]


def _arguments(process: psutil.Process) -> Sequence[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return ()


def _has(process: psutil.Process, name: str, value: str) -> bool:
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


def _wait_for_end(processes: Iterable[psutil.Process], limit_s: float) -> list[int]:
    """Return the ids of those that are still alive after a while. A zombie that nobody collects has ended."""
    deadline = time.monotonic() + limit_s
    while alive := [process.pid for process in processes if _is_alive(process)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    return alive
