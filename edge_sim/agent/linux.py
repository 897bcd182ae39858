"""The system calls that Python 3.10 does not wrap: namespaces, mounts, prctl, Landlock, syncfs. Each raises OSError."""

from __future__ import annotations

import ctypes
import os
import select
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

from edge_sim.versions import numbers

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID = 0x00020000, 0x04000000, 0x08000000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = 4096, 8192, 16384, 1 << 18
_MS_RELATIME, _ST_RELATIME = 1 << 21, 4096
_ST_SAME = 2 | 4 | 8 | 1024 | 2048  # nosuid, nodev, noexec, noatime, nodiratime: same bits in statvfs and mount
_MNT_DETACH = 2
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "armv6l": 218, "armv7l": 218}
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # the same on every architecture
_LANDLOCK_WRITE_FILE, _LANDLOCK_REFER, _LANDLOCK_PATH_BENEATH = 1 << 1, 1 << 13, 1

ORPHANED = 1
"""Exit status of a process whose parent has ended before it."""

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    """Give this process namespaces of its own; CLONE_NEWPID counts from the next fork on."""
    _checked(_libc.unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str, target: Path, kind: str | None = None, flags: int = 0, data: str = "") -> None:
    """mount(2)."""
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        os.fsencode(data),
    )
    _checked(result, f"mount {source} on {target}")


def bind(source: Path, target: Path, *, read_only: bool = False) -> None:
    """Make ``source`` visible at ``target`` as well; the mount flags of the source are kept."""
    mount(str(source), target, flags=MS_BIND)
    if read_only:
        flags = os.statvfs(target).f_flag
        same = (flags & _ST_SAME) | (_MS_RELATIME if flags & _ST_RELATIME else 0)
        mount("none", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | same)


def change_root(new: Path) -> None:
    """Make ``new``, a mount point, this mount namespace's root, and let go of everything outside it."""
    old = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    os.chdir(new)
    try:
        number = _SYS_PIVOT_ROOT[os.uname().machine]
        _checked(_libc.syscall(ctypes.c_long(number), b".", b"."), "pivot_root")
    except (KeyError, OSError):  # the initial root file system cannot be pivoted away (boards with an initramfs)
        mount(str(new), Path("/"), flags=MS_MOVE)
        os.chroot(".")
    else:
        os.fchdir(old)
        _checked(_libc.umount2(b".", _MNT_DETACH), "umount of the old root")
    finally:
        os.close(old)
    os.chdir("/")


def die_with_parent(signal: int, lives: Callable[[], bool]) -> None:
    """Have the kernel send ``signal`` to this process when its parent ends; a change of identity clears it.

    ``lives`` tells whether the parent does: of one that ended before it was asked the kernel says nothing, and this
    process ends at once.
    """
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal), 0, 0, 0), "prctl")
    if not lives():
        os._exit(ORPHANED)


def is_held(pipe: int) -> bool:
    """Tell whether any process still has the end of a pipe that is written to; ``pipe`` is the other end."""
    poll = select.poll()
    poll.register(pipe, 0)
    return not poll.poll(0)


def no_new_privileges() -> None:
    """From here on no program gains rights by its set-user-ID bit or file capabilities."""
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), 0, 0, 0), "prctl")


def syncfs(descriptor: int) -> None:
    """Bring everything written to the file system of an open file to the disk."""
    _checked(_libc.syncfs(ctypes.c_int(descriptor)), "syncfs")


def _tells_errors(release: str) -> bool:
    return numbers(release) >= (5, 8)


SYNCFS_TELLS_ERRORS = _tells_errors(os.uname().release)
"""Whether this kernel reports failed writes from syncfs(2); before 5.8 only fsync(2) did."""


def write_only_below(paths: Iterable[Path]) -> bool:
    """Refuse this process to open files for writing anywhere but at or below ``paths``.

    Uses Landlock (Linux 5.13); returns False where the kernel has none.
    """
    abi = _libc.syscall(ctypes.c_long(_LANDLOCK_CREATE), None, ctypes.c_size_t(0), ctypes.c_uint(1))
    if abi < 1:
        return False
    refer = _LANDLOCK_REFER if abi >= 2 else 0  # unhandled, it would forbid renames between directories
    handled = struct.pack("Q", _LANDLOCK_WRITE_FILE | refer)
    ruleset = _checked(
        _libc.syscall(ctypes.c_long(_LANDLOCK_CREATE), handled, ctypes.c_size_t(8), ctypes.c_uint(0)),
        "landlock_create_ruleset",
    )
    try:
        for path in paths:
            _allow_writing(ruleset, path, refer)
        _checked(_libc.syscall(ctypes.c_long(_LANDLOCK_RESTRICT), ruleset, ctypes.c_uint(0)), "landlock")
    finally:
        os.close(ruleset)
    return True


def _allow_writing(ruleset: int, path: Path, refer: int) -> None:
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        allowed = _LANDLOCK_WRITE_FILE | (refer if path.is_dir() else 0)
        rule = struct.pack("=Qi", allowed, fd)
        result = _libc.syscall(
            ctypes.c_long(_LANDLOCK_ADD),
            ctypes.c_int(ruleset),
            ctypes.c_int(_LANDLOCK_PATH_BENEATH),
            rule,
            ctypes.c_uint(0),
        )
        _checked(result, f"landlock rule for {path}")
    finally:
        os.close(fd)
