"""Notes by which ``cloud env`` and ``board up`` find the clouds that this user has running.

One file for each cloud, locked for as long as that lives: so no cloud takes another's note over, and one that was
killed is not taken for running.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edge_sim.folders import user_cache


def read() -> list[dict[str, Any]]:
    """Return the notes of the running clouds, the oldest first; a dead one's note is removed."""
    notes = []
    with contextlib.suppress(OSError):
        for path in _folder().glob("*.json"):
            with contextlib.suppress(OSError, ValueError), path.open(encoding="utf-8") as file:
                if _is_free(file.fileno()):
                    path.unlink()
                else:
                    notes.append(json.load(file))
    return sorted(notes, key=lambda note: (note["started"], note["http"]))


@contextlib.contextmanager
def left(about: dict[str, Any]) -> Iterator[None]:
    """Leave a note as long as the block runs; a home that cannot be written costs only that others find the cloud."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            folder = _folder()
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = folder / f"{os.getpid()}-{time.monotonic_ns()}.json"
            temporary = path.with_suffix(".new")
            temporary.touch(mode=0o600)  # the exports hold a secret when there is TLS
            file = stack.enter_context(temporary.open("w", encoding="utf-8"))
            for name in (path, temporary):
                stack.callback(name.unlink, missing_ok=True)
            fcntl.flock(file, fcntl.LOCK_EX)
            json.dump({**about, "started": time.time()}, file)
            file.flush()
            temporary.rename(path)  # locked and whole from the first moment that anybody reads it
        yield


def _is_free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _folder() -> Path:
    """Return where the notes lie; raises FileNotFoundError for a user without a home."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    base = Path(runtime) / "edge-sim" if runtime else user_cache()
    if base is None:
        raise FileNotFoundError("this user has no home directory")
    return base / "clouds"
