"""Runs a component's script and ends all that it has started: ``python3 -I -S keeper.py …``.

    keeper.py STATUS-DESCRIPTOR SECONDS UID GID NUMBER-OF-GROUPS [GROUP …] COMMAND [ARGUMENT …]

UID and GID are empty where the script runs as the keeper's own account; standard input holds the script's environment,
``NAME=VALUE`` with a NUL between two. As a subreaper it is the parent of whatever the script leaves behind, with
whichever session. It writes down the script's exit status and ends with the last process below it, or on SIGTERM: then
the script's process group has SECONDS to end, and what is left is killed. The kernel sends that SIGTERM when the stand-
in ends, however it does (``process.ending_with``).

QEMU's user mode knows no subreapers: there only the script and its process group are ended.
Standard library only, nothing of edge_sim, few imports: one runs for each script.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
CANNOT_RUN = 127
AWAITED = {signal.SIGTERM, signal.SIGCHLD}


def main(status_descriptor: str, limit_s: str, uid: str, gid: str, count: str, *words: str) -> None:
    answer, environment = int(status_descriptor), received()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
    os.set_inheritable(answer, False)
    script = os.fork()
    if script == 0:
        groups, command = words[: int(count)], words[int(count) :]
        become(uid, gid, groups, command, environment)
    while collect(script, answer):
        if signal.sigwait(AWAITED) == signal.SIGTERM:
            end(script, answer, float(limit_s))
            return


def received() -> dict[bytes, bytes]:
    """Read the script's environment from standard input, which is empty from then on."""
    parts = []
    while part := os.read(0, 65536):
        parts.append(part)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    entries = (entry.partition(b"=") for entry in b"".join(parts).split(b"\0") if entry)
    return {name: value for name, _, value in entries}


def become(
    uid: str, gid: str, groups: tuple[str, ...], command: tuple[str, ...], environment: dict[bytes, bytes]
) -> None:
    try:
        os.setsid()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, AWAITED)
        if uid:
            os.setgroups([int(group) for group in groups])
            os.setgid(int(gid))
            os.setuid(int(uid))
        os.execvpe(command[0], command, environment)  # noqa: S606 - no shell is wanted
    except OSError as error:
        os.write(2, f"cannot be run: {error.strerror}\n".encode())
    os._exit(CANNOT_RUN)


def collect(script: int, answer: int) -> bool:
    """Collect processes that have ended, write down the script's status; return whether any is left."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True
        if pid == script:
            write_down(answer, os.waitstatus_to_exitcode(status))


def write_down(answer: int, status: int) -> None:
    try:
        os.write(answer, b"%d" % status)
    except BrokenPipeError:  # the stand-in was killed
        return


def end(script: int, answer: int, limit_s: float) -> None:
    """End everything: by SIGTERM to the script's process group, after ``limit_s`` by SIGKILL to each process."""
    send(script, signal.SIGTERM)
    deadline = time.monotonic() + limit_s
    while collect(script, answer):
        rest_s = deadline - time.monotonic()
        if rest_s > 0:
            signal.sigtimedwait({signal.SIGCHLD}, rest_s)
            continue
        send(script, signal.SIGKILL)
        for pid in children():  # those below them become children of this process then
            os.kill(pid, signal.SIGKILL)
        signal.sigtimedwait({signal.SIGCHLD}, 0.1)


def send(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # ended, or all of another account's
        return


def children() -> list[int]:
    """Return the processes whose parent this one is."""
    pids = []
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib would cost more than the rest
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="latin-1") as file:
                    parent = file.read().rpartition(")")[2].split()[1]
            except OSError:  # it has ended
                continue
            if int(parent) == os.getpid():
                pids.append(int(name))
    return pids


if __name__ == "__main__":
    main(*sys.argv[1:])
