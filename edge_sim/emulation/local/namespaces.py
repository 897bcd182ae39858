"""Linux namespaces for a board: the few system calls, and the program that joins a running board.

Imported by the board's own processes, and run as a script (``python -I -S namespaces.py JSON -- argv…``), so it
uses the standard library only and imports nothing of edge_sim. Python 3.10 has neither ``os.unshare`` nor
``os.setns``; libc is called by name.

The script is the process that ``subprocess.Popen`` sees: it joins the board, starts the program there, hands
signals on and ends as the program ended. It stays outside the board's mount namespace, so that it never keeps the
board's mounts alive.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import sys
from types import FrameType

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
_MNT_DETACH = 2
MS_PRIVATE = 1 << 18

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

_libc = ctypes.CDLL(None, use_errno=True)


def _call(what: str, result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int, what: str) -> None:
    """Give this process new namespaces. ``what`` names them in the OSError."""
    _call(what, _libc.unshare(flags))


def setns(pidfd: int, flags: int, what: str) -> None:
    """Join the namespaces ``flags`` of the process behind ``pidfd`` (Linux 5.8)."""
    _call(what, _libc.setns(pidfd, flags))


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount ``source`` on ``target``; raises OSError naming the target."""
    arguments = [source.encode(), os.fsencode(target), kind.encode() or None]
    _call(f"mount on {target}", _libc.mount(*arguments, ctypes.c_ulong(flags), options.encode() or None))


def die_with_parent(alive: int) -> None:
    """Have the kernel kill this process when the thread that made it ends. Changing ids undoes it.

    ``alive`` is a pipe whose other end the parent alone has: of one that ended before it was asked the kernel says
    nothing, and in a process namespace of its own a child sees no parent. Then this process ends at once.
    """
    _call("prctl", _libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL)))
    poll = select.poll()
    poll.register(alive, 0)
    if poll.poll(0):
        os._exit(1)


def set_hostname(name: str) -> None:
    """Set the host name of this process's UTS namespace."""
    encoded = name.encode()
    _call("sethostname", _libc.sethostname(encoded, ctypes.c_size_t(len(encoded))))


def become_root() -> None:
    """Be uid 0, gid 0 without supplementary groups, as far as this user namespace knows them."""
    # A user namespace with one id only forbids setgroups; the groups then show as nobody's.
    with contextlib.suppress(PermissionError):
        os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def unmount(target: str) -> None:
    """Unmount ``target``, even when it is in use."""
    _call(f"unmount {target}", _libc.umount2(os.fsencode(target), _MNT_DETACH))


def mount_points(below: str, process: int | str = "self") -> list[str]:
    """Return the mount points at or below a path, as a process sees them (this one by default), parents first."""
    with open(f"/proc/{process}/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        points = [_unescape(line.split(" ")[4]) for line in lines]
    return sorted({p for p in points if p == below or p.startswith(below.rstrip("/") + "/")})


def _unescape(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def enter(settings: dict[str, object], argv: list[str]) -> int:
    """Start ``argv`` on a board and return how it ended (negative: the signal).

    ``settings``: ``pidfd`` of the board's first process or None for a board without namespaces, ``view`` its root
    directory where that may be a chroot, ``user`` whether the board has a user namespace, ``life`` a pipe that closes
    when the program or its board is to end, ``umask``, ``cwd``, ``root`` a directory to chroot to or None.
    """
    pidfd, life = settings["pidfd"], int(str(settings["life"]))
    if pidfd is None:
        return _minded(settings, argv, life)
    if settings["user"]:
        setns(int(str(pidfd)), CLONE_NEWUSER, "join the board's user namespace")
        become_root()
    setns(int(str(pidfd)), CLONE_NEWPID, "join the board's process namespace")
    signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    child = _forked(settings, argv)
    handle = os.pidfd_open(child)
    _hand_on_signals(handle)
    if handle not in _first_of(handle, life):
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _minded(settings: dict[str, object], argv: list[str], life: int) -> int:
    """Without namespaces nothing ends with a board by itself: a minder stays to kill what the program leaves."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    report, tell = os.pipe()
    minder = os.fork()
    if minder == 0:
        os.close(report)
        _mind(settings, argv, life, tell)
    os.close(tell)
    _hand_on_signals(os.pidfd_open(minder))
    _first_of(report)
    return int(os.read(report, 16) or b"1")


def _mind(settings: dict[str, object], argv: list[str], life: int, tell: int) -> None:
    """The minder: adopt every process that the program leaves, and kill them when the board ends."""
    os.setsid()
    _call("prctl", _libc.prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1)))
    program = _forked(settings, argv)
    handle = os.pidfd_open(program)
    _hand_on_signals(handle)
    if handle in _first_of(handle, life):
        status = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
        os.write(tell, str(status).encode())
        os.close(tell)
        # The caller reads our output to its end, which must not wait for the board's.
        for descriptor in (0, 1, 2):
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
        if _children():
            _first_of(life)
    # Whoever loses its parent becomes ours, until nobody is left.
    killed: dict[int, int] = {}
    while children := _children():
        for child in children:
            os.kill(child, signal.SIGKILL)
        pid, status = os.wait()
        killed[pid] = status
    if program in killed:
        os.write(tell, str(os.waitstatus_to_exitcode(killed[program])).encode())
    os._exit(0)


def _children() -> list[int]:
    """Return this process's living or unreaped children."""
    own, children = os.getpid(), []
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib would double the start-up time
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                # The name in brackets may hold anything; the parent is the second word after it.
                if int(stat.read().rpartition(")")[2].split()[1]) == own:
                    children.append(int(name))
    return children


def _hand_on_signals(handle: int) -> None:
    """Give the signals that this process gets to the process behind ``handle``."""

    def hand_on(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, number)

    for number in _FORWARDED:
        signal.signal(number, hand_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)


def _first_of(*descriptors: int) -> set[int]:
    """Wait for the first of some descriptors; no limit, since a program may run as long as its board."""
    waiting = select.poll()
    for descriptor in descriptors:
        waiting.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in waiting.poll()}


def _forked(settings: dict[str, object], argv: list[str]) -> int:
    """Fork the child that becomes the program; return its id."""
    alive, held = os.pipe()  # closed where the program begins
    child = os.fork()
    if child == 0:
        os.close(held)
        _become(settings, argv, alive)
    os.close(alive)
    return child


def _become(settings: dict[str, object], argv: list[str], alive: int) -> None:
    """The child: take the board's view and turn into the program. Never returns."""
    try:
        die_with_parent(alive)
        if settings["pidfd"] is not None:
            setns(int(str(settings["pidfd"])), CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS, "join the board")
        if settings["view"] is not None:
            os.fchdir(int(str(settings["view"])))
            os.chroot(".")
        if settings["root"]:
            os.chroot(str(settings["root"]))
        os.chdir(str(settings["cwd"]))
        os.umask(int(str(settings["umask"])))
        for name in ("pidfd", "view", "life"):
            if settings[name] is not None:
                os.set_inheritable(int(str(settings[name])), False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
        os.execvp(argv[0], argv)  # noqa: S606 - the program the caller named
    except OSError as error:
        print(f"{argv[0]}: cannot be started on the board: {error.strerror or error}", file=sys.stderr)
        sys.stderr.flush()
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _end_like(status: int) -> None:
    """Exit with the program's status, or with the signal that killed it."""
    if status < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
        os.kill(os.getpid(), -status)
    os._exit(status)


if __name__ == "__main__":
    import json

    try:
        _end_like(enter(json.loads(sys.argv[1]), sys.argv[3:]))
    except OSError as error:
        print(f"the board cannot be joined: {error.strerror or error}", file=sys.stderr)
        sys.exit(125)
