"""Ctrl-C and SIGTERM at a bad moment: between making a thing and remembering that it is there."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def held() -> Iterator[None]:
    """Have SIGINT and SIGTERM wait for the end of a with block, then do what they do.

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
