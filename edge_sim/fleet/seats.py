"""Which process runs which core: handed out as Locust starts users, and free again when a process ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

Give = Callable[[str, int], None]
"""Hands a core, by its number, to a process."""


class Seats:
    """The cores that wait for a process, and the processes that wait for cores. ``give`` is called for each pair."""

    def __init__(self, numbers: Iterable[int], give: Give) -> None:
        self._free = deque(numbers)
        self._wanting: deque[str] = deque()
        self._give = give
        self.runs: dict[int, str] = {}
        """Core → the process that runs it."""

    def want(self, process: str) -> None:
        """A process has room for one more core."""
        self._wanting.append(process)
        self._match()

    def leave(self, number: int) -> None:
        """A process runs a core no more, and another one is to."""
        if self.runs.pop(number, None) is not None:
            self._free.append(number)
            self._match()

    def lost(self, process: str) -> list[int]:
        """A process has ended; return the cores that it ran, which are free again."""
        numbers = [number for number, where in self.runs.items() if where == process]
        self._wanting = deque(name for name in self._wanting if name != process)
        for number in numbers:
            self.leave(number)
        return numbers

    def _match(self) -> None:
        while self._free and self._wanting:
            number, process = self._free.popleft(), self._wanting.popleft()
            self.runs[number] = process
            self._give(process, number)


def source_address(number: int, broker: str, per_address: int) -> str:
    """Return the address that a core's session comes from: one of loopback's for each ``per_address`` cores."""
    return f"127.0.0.{2 + number // per_address}" if broker.startswith("127.") and number >= per_address else ""
