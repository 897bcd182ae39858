"""The first process of a board in a container: ``python3 -I -S init.pyc UMASK [MODULE ARGUMENT ...]``, in its image.

It waits for what ``tree`` lays, gives the device nodes their groups and modes, opens a pseudo terminal for each
serial device and answers there, says one JSON line, ``{"event": "board", "machine", "libc", "notes"}``, has the agent
begin, whose lines follow, and reaps. The agent is a fork that goes on in this interpreter and imports its modules in
the meantime: to start Python once more would cost as much as they do. The board ends with the agent, on SIGTERM (which
the agent gets first), and where ``life`` is set when its standard input ends, which also happens when whoever made the
board is killed.

Standard library only, nothing of edge_sim, few imports: under QEMU json alone costs as much as a third of starting
Python. So the plan is a Python literal, and ``signal`` is used without its enumerations.
"""

# pathlib costs more than all of this program's other imports together.
# ruff: noqa: PTH101, PTH103, PTH106, PTH110, PTH120, PTH208, PTH211

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import fcntl
import os
import select
import sys
import termios
import time
import tty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PLAN = "/usr/lib/edge-sim/board"
TREE_LAID = "/usr/lib/edge-sim/laid"
"""Exists once everything else does."""
LAID_LIMIT_S = 60.0
AGENT_STOP_S = 8.0
BLOCK = 4096
UNREAD_LIMIT = 512
MS_BIND = 4096
OWN_DESCRIPTORS = 256
"""More than this process ever opens."""
NAME = "edge-sim"
"""What the agent's process is called in a board's ``ps``, after its command line the same program as its parent."""


class Peer:
    """Who answers at a pseudo terminal; all that is written there is heard.

    ``says`` is sent, an entry a second; the files ``feeds`` as fast as they are read. Both over and over.
    """

    def __init__(self, master: int, slave: int, says: list[str], feeds: list[str]) -> None:
        self.master, self.slave, self.says, self.feeds = master, slave, says, feeds
        self.number = 0
        self.unsent = b""
        self.file = -1

    def answer(self, events: int) -> None:
        if events & select.POLLIN:
            try:
                os.read(self.master, BLOCK)
            except OSError:
                return
        if events & select.POLLOUT:
            self.feed()

    def say(self) -> None:
        """Unread lines are dropped, as a full UART drops them."""
        waiting = fcntl.ioctl(self.slave, termios.FIONREAD, b"\0" * 4)
        if int.from_bytes(waiting, sys.byteorder) > UNREAD_LIMIT:
            termios.tcflush(self.slave, termios.TCIFLUSH)
        self.send(self.says[self.number % len(self.says)].encode())
        self.number += 1

    def feed(self) -> None:
        while not self.unsent:
            if self.file < 0:
                self.file = os.open(self.feeds[self.number % len(self.feeds)], os.O_RDONLY)
                self.number += 1
            self.unsent = os.read(self.file, BLOCK)
            if not self.unsent:
                os.close(self.file)
                self.file = -1
        self.unsent = self.unsent[self.send(self.unsent) :]

    def send(self, data: bytes) -> int:
        """Return how much of it was taken."""
        try:
            return os.write(self.master, data)
        except BlockingIOError:
            return 0


class AgentChild:
    """The agent's process, and who wants it to end."""

    def __init__(self) -> None:
        self.agent = 0
        self.deadline: float | None = None

    def prepare(self, argv: list[str]) -> int:
        """Fork the agent and return a descriptor: when it is closed the agent begins. There it never returns."""
        waits, begin = os.pipe()
        self.agent = os.fork()
        if self.agent == 0:
            os.close(begin)
            go_on_as(argv, waits)
        os.close(waits)
        return begin

    def end(self, *_: object) -> None:
        """Ask the agent to end; without one, the board ends at once."""
        if not self.agent:
            os._exit(0)
        if self.deadline is None:
            self.deadline = time.monotonic() + AGENT_STOP_S
            os.kill(self.agent, signal.SIGTERM)

    def reap(self) -> None:
        """Collect what has ended; when that is the agent, so does the board."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.agent:
                code = os.waitstatus_to_exitcode(status)
                os._exit(code if code >= 0 else 128 - code)


def go_on_as(argv: list[str], waits: int) -> None:
    """Become another Python program, whose module is the first argument, with nothing left of this one."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(waits, 3)
    os.closerange(4, OWN_DESCRIPTORS)
    with open("/proc/self/comm", "w") as name:
        name.write(NAME)
    import gc
    import site

    site.main()
    sys.argv = argv
    gc.disable()  # all that imports create stays; to search it for garbage would cost a thirtieth of them
    __import__(argv[0])
    gc.freeze()
    gc.enable()
    os.read(3, 1)
    os.close(3)
    sys.modules[argv[0]].main()
    sys.exit()


def await_tree(child: AgentChild) -> None:
    """Wait until the board's files exist; the agent imports its modules in the meantime."""
    end = time.monotonic() + LAID_LIMIT_S
    while not os.path.exists(TREE_LAID):
        if time.monotonic() > end:
            sys.exit(f"{TREE_LAID}: did not appear within {LAID_LIMIT_S:g} s")
        time.sleep(0.002)
        child.reap()


def make_device(device: dict[str, Any], may_mount: bool) -> tuple[Peer | None, str | None]:
    """Give a node its group and mode, or make the pseudo terminal that stands for it; return its peer and a note."""
    path = device["path"]
    if not device["pty"]:
        os.chown(path, 0, device["gid"])
        os.chmod(path, device["mode"])
        return None, None
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    name = os.ttyname(slave)
    os.chown(name, 0, device["gid"])
    os.chmod(name, device["mode"])
    os.makedirs(os.path.dirname(path), exist_ok=True)
    peer = Peer(master, slave, device["says"], device["feeds"])
    if may_mount:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        bind(name, path)
        return peer, None
    os.symlink(name, path)
    return peer, path + " is a link to its pseudo terminal: placing the terminal itself there needs CAP_SYS_ADMIN"


def bind(source: str, target: str) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), target.encode(), None, ctypes.c_ulong(MS_BIND), None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def tidy(directories: list[str]) -> None:
    """A new ext4 holds a directory that no board has in its Greengrass root."""
    for directory in directories:
        try:
            os.rmdir(directory + "/lost+found")
        except OSError:
            continue


def serve(peers: list[Peer], child: AgentChild, watched: list[int], wake: int) -> None:
    """Answer at the devices, reap, and notice the end; never returns."""
    by_master = {peer.master: peer for peer in peers}
    speaking = [peer for peer in peers if peer.says]
    waiting = select.poll()
    for descriptor in (*watched, wake):
        waiting.register(descriptor, select.POLLIN)
    for peer in peers:
        waiting.register(peer.master, select.POLLIN | (select.POLLOUT if peer.feeds else 0))
    next_at = time.monotonic()
    while True:
        now = time.monotonic()
        if speaking and now >= next_at:
            next_at = max(next_at + 1.0, now)
            for peer in speaking:
                peer.say()
        if child.deadline is not None and now > child.deadline:
            os._exit(137)
        for descriptor, events in waiting.poll(patience(child, next_at if speaking else None)):
            if descriptor in by_master:
                by_master[descriptor].answer(events)
            elif descriptor == wake:
                os.read(wake, BLOCK)
            elif not os.read(descriptor, BLOCK):
                waiting.unregister(descriptor)
                child.end()
        child.reap()


def patience(child: AgentChild, next_at: float | None) -> int | None:
    """Return for how many milliseconds nothing has to be done unless a descriptor reports; None: for ever."""
    moments = [moment for moment in (child.deadline, next_at) if moment is not None]
    return max(0, int((min(moments) - time.monotonic()) * 1000) + 1) if moments else None


def libc_name() -> str:
    return "musl" if any(name.startswith("ld-musl-") for name in os.listdir("/lib")) else "glibc"


def say(notes: list[str]) -> None:
    """Report in JSON that the board is ready; nothing in it has to be escaped."""
    quoted = ", ".join(f'"{note}"' for note in notes)
    about = f'"event": "board", "machine": "{os.uname().machine}", "libc": "{libc_name()}", "notes": [{quoted}]'
    print("{" + about + "}", flush=True)


def main() -> None:
    umask, *agent = sys.argv[1:]
    os.umask(int(umask, 8))
    wake, wake_end = os.pipe()
    os.set_blocking(wake_end, False)
    signal.set_wakeup_fd(wake_end)
    child = AgentChild()
    signal.signal(signal.SIGTERM, child.end)
    signal.signal(signal.SIGINT, child.end)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    begin = child.prepare(agent) if agent else None
    await_tree(child)
    with open(PLAN) as file:
        plan = eval(file.read(), {"__builtins__": {}})  # noqa: S307 - ours, and root's
    tidy(plan["volumes"])
    own = os.umask(0o022)  # a directory below /dev is not the umask's, as udev makes it
    nodes = [make_device(device, plan["may_mount"]) for device in plan["devices"]]
    os.umask(own)
    say([note for _, note in nodes if note])
    if begin is not None:
        os.close(begin)
    serve([peer for peer, _ in nodes if peer], child, [0] if plan["life"] else [], wake)


if __name__ == "__main__":
    main()
