"""Pseudo terminals of a board's own devpts: the slave is the board's device node, the master is what answers."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from dataclasses import dataclass
from pathlib import Path

_TIOCGPTN = 0x80045430
_TIOCSPTLCK = 0x40045431


@dataclass(frozen=True, kw_only=True)
class PseudoTerminal:
    """Both ends. The slave is kept open here, so that its settings and data outlive whoever opens it."""

    master: int
    slave: int
    slave_path: str

    def unread(self) -> int:
        """Return how many bytes wait for a reader of the slave."""
        return int(struct.unpack("i", fcntl.ioctl(self.slave, termios.FIONREAD, b"\0" * 4))[0])

    def drop_unread(self) -> None:
        termios.tcflush(self.slave, termios.TCIFLUSH)


def open_pair(devpts: Path) -> PseudoTerminal:
    """Open a pair in the devpts mounted at ``devpts``: raw, without echo, not blocking on the master's side."""
    master = os.open(devpts / "ptmx", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    number = struct.unpack("I", fcntl.ioctl(master, _TIOCGPTN, b"\0" * 4))[0]
    path = str(devpts / str(number))
    slave = os.open(path, os.O_RDWR | os.O_NOCTTY)
    pair = PseudoTerminal(master=master, slave=slave, slave_path=path)
    set_raw(pair, wait=True)
    return pair


def set_raw(pair: PseudoTerminal, *, wait: bool) -> None:
    """Pass bytes unchanged. Without ``wait`` a read with nothing to read returns the end of the file."""
    iflag, oflag, cflag, lflag, ispeed, ospeed, control = termios.tcgetattr(pair.slave)
    iflag &= ~(termios.BRKINT | termios.ICRNL | termios.INLCR | termios.IGNCR | termios.ISTRIP | termios.IXON)
    oflag &= ~termios.OPOST
    lflag &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN | termios.ISIG)
    cflag = (cflag & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
    control[termios.VMIN] = 1 if wait else 0
    control[termios.VTIME] = 0
    termios.tcsetattr(pair.slave, termios.TCSANOW, [iflag, oflag, cflag, lflag, ispeed, ospeed, control])
