"""strace: which calls a board's agent and all it starts make on the board's files, and one of them killed or failed.

A call is known by its name, the path that it is made on, and the how-manieth of these it is in its thread: so neither
other threads nor the core's own programs shift the count. A thread that becomes another program keeps its count, as
strace has it, and not its id: the kernel gives it that of its process.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MUTATING = (
    *("write", "pwrite64", "writev", "ftruncate", "truncate", "fallocate", "openat", "creat", "mknod", "mknodat"),
    *("rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "rmdir"),
    *("mkdir", "mkdirat", "chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat", "utimensat"),
    *("fsync", "fdatasync", "syncfs"),
)
ON_DESCRIPTOR = frozenset(
    {"write", "pwrite64", "writev", "ftruncate", "fallocate", "fchmod", "fchown", "fsync", "fdatasync", "syncfs"}
)
"""Their text may hold anything, so only the descriptor's path counts."""
OURS = "python"
_SUPERSEDED = re.compile(r"(\d+)(?:<[^>]*>)? +\+\+\+ superseded by execve in pid (\d+)")
_KILLED = re.compile(r"(\d+)(?:<[^>]*>)? +\+\+\+ killed by SIGKILL")
_LINE = re.compile(r"(\d+)(?:<([^>]*)>)? +(\w+)\((.*)")
_DESCRIPTOR, _TEXT = re.compile(r"\d+<(/[^>]*)>"), re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, kw_only=True)
class Call:
    """``path`` is below the board's root directory; ``ours``: the agent or its supervisor makes it, not a build."""

    name: str
    path: str
    number: int
    ours: bool

    def __str__(self) -> str:
        return f"{self.name} {self.path} ({self.number}{'' if self.ours else ', of the core'})"


def recorder(log: Path) -> list[str]:
    """Return what starts a program so that all its mutating calls are in ``log``."""
    return [*_strace(log), "--seccomp-bpf", "-e", f"trace={','.join(MUTATING)}"]


def injector(log: Path, root: Path, call: Call, fault: str, *, lasting: bool = False) -> list[str]:
    """Return what starts a program so that ``call`` fails with the error ``fault``, or is a SIGKILL before it.

    ``lasting``: all such calls of the same thread after it fail as well.
    """
    what = "signal=SIGKILL" if fault == "SIGKILL" else f"error={fault}"
    inject = f"inject={call.name}:{what}:when={call.number}{'+' * lasting}"
    return [*_strace(log), "-e", f"trace={call.name}", "-P", str(root / call.path), "-e", inject]


def fired(log: Path, call: Call, fault: str) -> bool:
    """Tell whether an injection has happened."""
    try:
        text = log.read_text(errors="replace")
    except FileNotFoundError:
        return False
    if fault != "SIGKILL":
        return "(INJECTED)" in text
    made: Counter[str] = Counter()
    killed = set()
    for line in text.splitlines():
        if found := _LINE.match(line):
            made[found[1]] += found[3] == call.name
        elif found := _SUPERSEDED.match(line):
            made[found[1]] = made[found[2]]
        elif found := _KILLED.match(line):
            killed.add(found[1])
    return any(made[thread] >= call.number for thread in killed)


def unsynced(log: Path, root: Path) -> tuple[int, list[str]]:
    """Return how many times ours renamed something on the board, and which of it a power cut could have lost.

    A file's content is brought to the disk before its new name is made, a directory with all below it (``syncfs``),
    and the directory that has the new name after that, before the same thread renames in another one.
    """
    synced: set[tuple[str, str]] = set()
    open_names: dict[str, str] = {}
    renames, lost = 0, []
    for thread, name, paths in _made(log, root):
        if name in ("fsync", "fdatasync", "syncfs") and paths:
            synced |= {(thread, paths[0]), (thread, "all")} if name == "syncfs" else {(thread, paths[0])}
            if open_names.get(thread) == paths[0]:
                del open_names[thread]
        elif name in ("write", "pwrite64", "writev", "ftruncate") and paths:
            synced -= {(thread, paths[0]), (thread, "all")}
        elif name in ("link", "symlink") and paths:
            synced.add((thread, paths[-1]))  # its content is synced already, or is the name itself
        elif name.startswith("rename") and len(paths) == 2:
            renames += 1
            old, new = paths
            if not {(thread, old), (thread, "all")} & synced:
                lost.append(f"{old} was not synced before it became {new}")
            place = str(Path(new).parent)
            if open_names.get(thread, place) != place:
                lost.append(f"{open_names[thread]} was not synced after a name in it was made")
            open_names[thread] = place
    return renames, [*lost, *(f"{place} was not synced after a name in it was made" for place in open_names.values())]


def _made(log: Path, root: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Yield thread, name and paths below ``root`` of the calls that ours made."""
    for line in log.read_text(errors="replace").splitlines():
        match = _LINE.match(line)
        if match is not None and (match[2] or "").startswith(OURS):
            arguments = re.split(r"\)\s+= |<unfinished", match[4])[0]
            yield match[1], match[3], list(_paths(match[3], arguments, str(root)))


def calls(log: Path, root: Path) -> list[Call]:
    """Return the mutating calls on the board's files that were recorded, each once, in their order."""
    made: Counter[tuple[str, str, str]] = Counter()
    before: dict[str, str] = {}
    """The threads that became another program under their process's id."""
    found: dict[tuple[str, str, int], Call] = {}
    for line in log.read_text(errors="replace").splitlines():
        if superseded := _SUPERSEDED.match(line):
            before[superseded[1]] = before.get(superseded[2], superseded[2])
        match = _LINE.match(line)
        if match is None:
            continue
        thread, program, name, arguments = match.groups()
        thread = before.get(thread, thread)
        paths = list(_paths(name, re.split(r"\)\s+= |<unfinished", arguments)[0], str(root)))
        for path in set(paths):
            made[thread, name, path] += 1
        if paths and (name != "openat" or "O_CREAT" in arguments):
            path = paths[0] if name.startswith("rename") else paths[-1]
            key = name, path, made[thread, name, path]
            call = Call(name=name, path=path, number=key[2], ours=(program or "").startswith(OURS))
            if key not in found or call.ours:
                found[key] = call
    return list(found.values())


def _paths(name: str, arguments: str, root: str) -> Iterator[str]:
    """Yield the paths below ``root`` that a call is made on: those of descriptors first, then those it names."""
    descriptors = _DESCRIPTOR.findall(arguments.split('"')[0] if name in ON_DESCRIPTOR else arguments)
    named = [] if name in ON_DESCRIPTOR else _TEXT.findall(arguments)
    yield from (path.removeprefix(f"{root}/") for path in (*descriptors, *named) if path.startswith(f"{root}/"))


def _strace(log: Path) -> list[str]:
    # -D: the program keeps the process id, and its end is seen. With --seccomp-bpf signals would not be injected.
    return ["strace", "-D", "-f", "-q", "-y", "-Y", "-s", "300", "-o", str(log)]
