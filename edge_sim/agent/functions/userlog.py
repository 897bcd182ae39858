"""A user function's log file: V1's place and rotation by size; only root may read it.

The lines come ready made from the function's process (``sdk/lambda_runtime.py``), all of its workers' into one file.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from edge_sim.agent.events import LOG_SPACE
from edge_sim.agent.rooted import inside
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.facts import HostFacts
from edge_sim.greengrass.functions import Function, log_name
from edge_sim.greengrass.tree import Tree


class UserLog:
    """The log of one function; one older file is kept (ours), as ``.log.1``."""

    def __init__(self, function: Function, root: Path, facts: HostFacts, *, space: int = LOG_SPACE) -> None:
        self._path = inside(root, f"{Tree(facts.greengrass.root).user_logs}/{log_name(function)}")
        self._space = space
        self._whole = True
        self._lock = threading.Lock()

    def open(self) -> None:
        """Make the file. Raises UnsupportedEnvironmentError where that is impossible, which is known before a call."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.write(b"")
        except OSError as error:
            text = f"{self._path}: the function's log cannot be opened: {error.strerror}"
            raise UnsupportedEnvironmentError(text) from error

    def write(self, text: bytes) -> None:
        """Append ``text``, into a new file when this one has its ``space`` in bytes and ends with a whole line.

        Raises OSError.
        """
        with self._lock:
            self._make_room()
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                self._whole = text.endswith(b"\n") if text else self._whole
                while text:
                    text = text[os.write(fd, text) :]
            finally:
                os.close(fd)

    def _make_room(self) -> None:
        size = self._path.lstat().st_size if os.path.lexists(self._path) else 0
        if size >= self._space and (self._whole or size >= 2 * self._space):
            self._path.replace(self._path.with_name(self._path.name + ".1"))
