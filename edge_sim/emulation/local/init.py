"""The two processes that are a local board: its keeper and its first process. ``python -m …local.init FD``.

    driver ──socket── keeper            outside the board: makes the directory, and removes it at the end
                        └─ PID 1        inside: makes the tree, mounts, answers at devices, reaps

The board ends when the driver closes its end of the socket, which also happens when the driver is killed: the
keeper then kills PID 1, and with it the kernel kills every process of the board and drops its mounts. PID 1 dies
with the keeper as well. The keeper stays in the host's mount namespace, where the board's mounts do not exist, so
removing the directory can never reach through one of them.

Messages are JSON, one a line. To the keeper: the order, ``{"mapped": true}`` when the driver has written the user
namespace's ids, ``{"keep": true}`` to leave the directory at the end. From it: ``unshared``, ``board`` (PID 1's
pid), ``ready`` or ``failed``, at the end ``removed`` or ``left``.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from edge_sim.emulation import peripherals
from edge_sim.emulation.boarditems import BoardPlan
from edge_sim.emulation.local import make
from edge_sim.emulation.local import namespaces as ns

_END_LIMIT_MS = 5000


class Ended(Exception):  # noqa: N818 - not an error
    """The driver is gone, or a signal asks the keeper to stop."""


class KeeperSocket:
    """The keeper's end of the socket."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._reader: TextIO = connection.makefile("r", encoding="utf-8")

    def read(self) -> dict[str, Any]:
        """Return the next message; raises Ended when the driver is gone."""
        line = self._reader.readline()
        if not line:
            raise Ended
        message: dict[str, object] = json.loads(line)
        return message

    def send(self, event: str, **values: object) -> None:
        # The driver may be gone; the keeper still has to clean up.
        with contextlib.suppress(OSError):
            self.connection.sendall(json.dumps({"event": event, **values}).encode() + b"\n")


def keep(driver: KeeperSocket) -> None:
    """Make the board that the driver orders, keep it until the driver ends it, and remove it."""
    root: Path | None = None
    child = 0
    keeping = False
    try:
        order = driver.read()
        _new_user_namespace(driver, order["ids"])
        root = _directory(order)
        if order["mode"] == "plain":
            _ready_without_namespaces(driver, root, order)
        else:
            child = _start_board(driver, root, order)
        while _wait(driver, child):
            keeping = bool(driver.read()["keep"])
    except Ended:
        pass
    except OSError as error:
        driver.send("failed", error=_reason(error))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _stop(child)
        remainder = _remove(root) if root and not keeping else None
        driver.send("left", error=remainder) if remainder else driver.send("removed")


def _new_user_namespace(driver: KeeperSocket, ids: str | None) -> None:
    """Become root of a user namespace of our own: ids from the driver (``mapped``), or ours alone (``single``)."""
    if ids is None:
        return
    uid, gid = os.geteuid(), os.getegid()
    ns.unshare(ns.CLONE_NEWUSER, "a user namespace")
    if ids == "mapped":
        driver.send("unshared")
        driver.read()
    else:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            Path(f"/proc/self/{name}").write_text(text, encoding="ascii")
    ns.become_root()


def _directory(order: Mapping[str, Any]) -> Path:
    directory = Path(order["directory"]) if order["directory"] else None
    if directory:
        directory.mkdir(parents=True, exist_ok=True)
    place = directory or Path(tempfile.gettempdir())  # asked before anything is made there: nobody would remove it
    if os.statvfs(place).f_flag & os.ST_NOEXEC:
        raise OSError(f"{place} is on a file system mounted noexec; choose another place with TMPDIR")
    return directory or Path(tempfile.mkdtemp(prefix="edge-sim-board-"))


def _ready_without_namespaces(driver: KeeperSocket, root: Path, order: Mapping[str, Any]) -> None:
    plan = BoardPlan.from_json(order["plan"])
    owners = make.make_items(root, plan.items)
    notes = make.make_nodes(root, plan)
    proven = {"owners": owners, "identities": make.can_switch_ids(), "mounts": False}
    driver.send("ready", root=str(root), notes=notes, **proven)


def _start_board(driver: KeeperSocket, root: Path, order: Mapping[str, Any]) -> int:
    """Start PID 1 in a process namespace of its own and return its pid as the driver sees it."""
    ns.unshare(ns.CLONE_NEWPID, "a process namespace")
    alive, keeps_alive = os.pipe()
    keeper = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(keeps_alive)
        if not os.read(alive, 1):  # the driver is to know this process before it hears that the board is ready
            os._exit(0)
        _first_process(driver, root, BoardPlan.from_json(order["plan"]), alive, keeper)
    os.close(alive)
    driver.send("board", pid=child)
    os.write(keeps_alive, b".")
    return child


def _first_process(driver: KeeperSocket, root: Path, plan: BoardPlan, alive: int, keeper: int) -> None:
    """PID 1 of the board. Never returns."""
    try:
        ns.die_with_parent(alive)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        peers, proven, notes = _make_board(root, plan, keeper)
        os.umask(plan.umask)
        signal.signal(signal.SIGCHLD, _reap)
        driver.send("ready", root=str(root), notes=notes, **proven)
        driver.connection.close()
        peripherals.serve(peers, alive)
    except make.UnreadablePythonError as error:
        driver.send("unusable", error=str(error), hint=f"chmod -R go+rX {error.path}")
    except BaseException as error:
        driver.send("failed", error=_reason(error))
    finally:
        os._exit(0)


def _make_board(root: Path, plan: BoardPlan, keeper: int) -> tuple[list[peripherals.Peer], dict[str, bool], list[str]]:
    ns.unshare(ns.CLONE_NEWNS | ns.CLONE_NEWIPC | ns.CLONE_NEWUTS, "mount, ipc and uts namespaces")
    _seal(str(root), keeper)
    ns.set_hostname(plan.hostname)
    owners = make.make_items(root, plan.items)
    make.mount_binds(root, plan.binds)
    notes = [make.mount_proc(target) for target in (str(root / "proc"), "/proc")]
    peers, device_notes = make.mount_dev(root, plan)
    proven = {"owners": owners, "identities": make.can_switch_ids(), "mounts": True}
    if proven["identities"]:
        make.check_python(root)
    return peers, proven, [note for note in notes if note] + device_notes


def _seal(root: str, keeper: int) -> None:
    """Keep the mounts to come in this namespace; raise OSError when they would show outside, in the keeper's."""
    try:
        ns.mount("none", "/", flags=ns.MS_REC | ns.MS_PRIVATE)
        return
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    # In a chroot / is no mount point, and the mount that it lies on cannot be named. So the board's directory becomes
    # a mount of its own, which shows whether that mount hands on what is mounted on it.
    for point in ns.mount_points("/"):
        with contextlib.suppress(OSError):
            ns.mount("none", point, flags=ns.MS_PRIVATE)
    ns.mount(root, root, flags=ns.MS_BIND)
    ns.mount("none", root, flags=ns.MS_PRIVATE)
    if root in ns.mount_points(root, keeper):
        ns.unmount(root)
        raise OSError("this chroot is on a shared mount; make it private: mount --make-private")


def _reap(_number: int, _frame: FrameType | None) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _wait(driver: KeeperSocket, child: int) -> bool:
    """Wait until the driver says something or goes (True), or PID 1 ends (False)."""
    waiting = select.poll()
    waiting.register(driver.connection, select.POLLIN)
    handle = os.pidfd_open(child) if child else -1
    if child:
        waiting.register(handle, select.POLLIN)
    # No limit: a board lives as long as its driver.
    return handle not in {fd for fd, _ in waiting.poll()}


def _stop(child: int) -> None:
    """Kill PID 1; the kernel kills the rest of the board and drops its mounts, and only then is PID 1 gone.

    A process that joined the board belongs to a parent outside. If that one is dead, and this machine's init reaps
    nothing, its remains keep PID 1; they hold nothing else, so waiting has a limit.
    """
    if child:
        handle = os.pidfd_open(child)
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        waiting = select.poll()
        waiting.register(handle, select.POLLIN)
        if waiting.poll(_END_LIMIT_MS):
            os.waitpid(child, 0)


def _remove(root: Path) -> str | None:
    """Remove the board's directory; return why not, if so."""
    mounted = ns.mount_points(str(root.resolve()))
    if mounted:
        return f"could not remove {root}: {mounted[0]} is mounted there"
    try:
        for folder, _, _ in os.walk(root):
            # A directory without w for its owner cannot be emptied by a plain user.
            with contextlib.suppress(PermissionError):
                Path(folder).chmod(0o700)
        shutil.rmtree(root)
    except OSError as error:
        return f"could not remove {root}: {error}"
    return None


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _asked_to_end(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Ended


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _asked_to_end)
    os.umask(0o022)
    os.chdir("/")
    keep(KeeperSocket(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
