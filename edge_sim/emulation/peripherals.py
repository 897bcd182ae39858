"""What answers at a board's device nodes, served by the board's first process in one loop.

A peer sits at the master end of a pseudo terminal. ``silent`` hears everything and says nothing; ``nmea`` is a GPS
receiver that reports once a second; ``lines`` says a scenario's lines, one a second, over and over; ``frames`` gives
a folder's files as fast as they are read. ``null``, ``zero`` and ``random`` stand in for the kernel's nodes where none
can be made.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

from edge_sim.emulation.boarddevices import BoardDevice
from edge_sim.emulation.pty import PseudoTerminal, set_raw

_BLOCK = 1024
_UNREAD_LIMIT = 512
_START = (50.0755, 14.4378)
"""Where the GPS is: a fixed public place, so that what a function reads is the same in every run."""


@dataclass(kw_only=True)
class Peer:
    """The far end of a node. ``says`` gives what is sent each second, ``feeds`` what is sent as fast as it is read."""

    pair: PseudoTerminal
    says: Iterator[bytes] | None = None
    feeds: Callable[[int], bytes] | None = None
    next_at: float = 0.0
    unsent: bytes = b""

    def tick(self, now: float) -> None:
        """Say the next line when its second has come; unread lines are dropped, as a full UART drops them."""
        if self.says is None or now < self.next_at:
            return
        self.next_at = now + 1.0
        if self.pair.unread() > _UNREAD_LIMIT:
            self.pair.drop_unread()
        self._send(next(self.says))

    def serve(self, events: int) -> None:
        """Hear what the board sent, and feed what it reads."""
        if events & select.POLLIN:
            try:
                os.read(self.pair.master, 64 * _BLOCK)
            except OSError:
                return
        if events & select.POLLOUT and self.feeds:
            data = self.unsent or self.feeds(_BLOCK)
            self.unsent = data[self._send(data) :]

    def _send(self, data: bytes) -> int:
        """Return how much of it was taken."""
        try:
            return os.write(self.pair.master, data)
        except BlockingIOError:
            return 0


def peer_for(device: BoardDevice, pair: PseudoTerminal) -> Peer:
    """Return what answers at ``device``."""
    if device.backing == "null":
        set_raw(pair, wait=False)
    if device.backing == "zero":
        return Peer(pair=pair, feeds=bytes)
    if device.backing == "random":
        return Peer(pair=pair, feeds=os.urandom)
    if device.peer == "frames":
        return Peer(pair=pair, feeds=Frames(device.frames).read)
    if device.peer == "nmea":
        return Peer(pair=pair, says=nmea())
    if device.peer == "lines" and device.lines:
        return Peer(pair=pair, says=cycle(f"{line}\r\n".encode() for line in device.lines))
    return Peer(pair=pair)


def serve(peers: Sequence[Peer], until: int) -> None:
    """Serve the peers until the descriptor ``until`` reports its end."""
    by_master = {peer.pair.master: peer for peer in peers}
    waiting = select.poll()
    waiting.register(until, select.POLLIN)
    for peer in peers:
        waiting.register(peer.pair.master, select.POLLIN | (select.POLLOUT if peer.feeds else 0))
    speaking = any(peer.says for peer in peers)
    while True:
        # With nobody speaking there is nothing to do until a descriptor reports.
        for descriptor, events in waiting.poll(250 if speaking else None):
            if descriptor == until:
                return
            by_master[descriptor].serve(events)
        for peer in peers:
            peer.tick(time.monotonic())


class Frames:
    """The bytes of files, one after the other, over and over."""

    def __init__(self, files: Sequence[str]) -> None:
        self._files = cycle(files)
        self._file = open(next(self._files), "rb")  # noqa: SIM115 - it lives as long as the board

    def read(self, size: int) -> bytes:
        while not (data := self._file.read(size)):
            self._file.close()
            self._file = open(next(self._files), "rb")  # noqa: SIM115
        return data


def nmea() -> Iterator[bytes]:
    """Yield a GPS receiver's report for second after second: position (GGA) and recommended minimum (RMC).

    The receiver moves 10 m a second to the north-east; its clock starts at midnight of 2020-01-01.
    """
    second = 0
    while True:
        clock = f"{second // 3600 % 24:02}{second // 60 % 60:02}{second % 60:02}.00"
        place = f"{_angle(_START[0] + second * 6e-5, 2, 'NS')},{_angle(_START[1] + second * 1e-4, 3, 'EW')}"
        yield (
            _sentence(f"GPGGA,{clock},{place},1,08,0.9,250.0,M,45.0,M,,")
            + _sentence(f"GPRMC,{clock},A,{place},19.4,045.0,010120,,,A")
        )
        second += 1


def _angle(degrees: float, width: int, signs: str) -> str:
    whole, minutes = divmod(abs(degrees) * 60, 60)
    return f"{int(whole):0{width}}{minutes:07.4f},{signs[degrees < 0]}"


def _sentence(body: str) -> bytes:
    checksum = 0
    for byte in body.encode("ascii"):
        checksum ^= byte
    return f"${body}*{checksum:02X}\r\n".encode("ascii")
