"""What a command says to its end, within a time and a size: nothing waits for the pipes of one that does not end.

Killing an ``ssh`` closes none of its pipes: the master of the connection holds them until the program there has ended.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import time

_CHUNK = 1 << 16


def gather(process: subprocess.Popen[bytes], timeout: float, limit: int) -> dict[str, bytes]:
    """Return both outputs of a process, and a little more than ``limit`` bytes of one that says more.

    Raises subprocess.TimeoutExpired when both have not ended after ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    outputs = {"stdout": bytearray(), "stderr": bytearray()}
    with selectors.DefaultSelector() as selector:
        for name, output in outputs.items():
            selector.register(getattr(process, name), selectors.EVENT_READ, output)
        while selector.get_map() and sum(map(len, outputs.values())) <= limit:
            remaining = deadline - time.monotonic()
            ready = selector.select(remaining) if remaining > 0 else []
            if not ready:
                raise subprocess.TimeoutExpired(process.args, timeout)
            for key, _ in ready:
                chunk = os.read(key.fd, _CHUNK)
                key.data.extend(chunk)
                if not chunk:
                    selector.unregister(key.fileobj)
    return {name: bytes(output) for name, output in outputs.items()}
