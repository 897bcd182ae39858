"""Ctrl-C, SIGTERM, a closed terminal: waited for, and at a bad moment, as a thing is made or removed."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import queue

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOK_S = 1.0
_Entry = TypeVar("_Entry")
_AGAIN = b"Interrupted already; stopping what was started. Ctrl-\\ ends this at once, and leaves things behind.\n"


def answer_once() -> None:
    """Have SIGINT raise KeyboardInterrupt, SIGTERM and SIGHUP SystemExit (143, 129), but none while one is on its way.

    All that was started is being stopped then, and a second one would leave the rest of it behind. Nothing is
    remembered, so one that got lost on its way (Python drops what is raised in a finalizer) can be repeated.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell may have it ignored
        signal.signal(signal.SIGINT, _answer)
    signal.signal(signal.SIGTERM, _answer)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # nohup has it ignored
        signal.signal(signal.SIGHUP, _answer)


@contextmanager
def hold() -> Iterator[None]:
    """Have SIGINT, SIGTERM and SIGHUP wait for the end of a with block, then do what they do.

    For short blocks. Only a program's main thread is ever interrupted, so in another one this does nothing. A mask of
    the kernel's would be inherited by threads and programs that are started in the block; this is not.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for caught in dict.fromkeys(came):
            signal.raise_signal(caught)


def awaited(entries: queue.SimpleQueue[_Entry]) -> _Entry:
    """Return the next entry, which a signal's handler may put there: a SimpleQueue may be used in one, an Event not.

    To be called in the main thread, where Python runs handlers. The kernel may give a signal to any thread (it does
    when the process was stopped meanwhile), and that does not wake this one: so it looks once a second.
    """
    from queue import Empty  # of use to those alone who wait: --help does not

    while True:
        with suppress(Empty):
            return entries.get(timeout=_LOOK_S)


def _answer(number: int, _frame: FrameType | None) -> None:
    if _is_answered():
        with suppress(OSError):  # the terminal that was closed
            os.write(2, _AGAIN)
    elif number == signal.SIGINT:
        raise KeyboardInterrupt
    else:
        sys.exit(128 + number)


def _is_answered() -> bool:
    """Tell whether an earlier signal, or the program's end, is what the code that runs now cleans up after."""
    error = sys.exc_info()[1]
    while error is not None:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            return True
        error = error.__context__
    return False
