"""Runs inside a function's process: imports the handler, calls it once, hands back the result. Python >= 3.7 alone.

Nothing of edge_sim is imported here: the text of this file is given to the board's own interpreter. The job comes as
JSON on standard input; the answers are JSON lines on ``resultFd``: ``{"started": true}`` when the handler is about to
be called (the timeout counts from there), then ``{"result": …}`` or ``{"error": {"type", "message", "trace"}}``.

The log lines are V1's: ``[time][LEVEL]-file.py:LINE,message``, ``print()`` counts as DEBUG and a lone newline is
dropped. V1's context has these attributes and no others (lambda-functions.md).
"""

from __future__ import annotations

import importlib
import io
import json
import logging
import os
import sys
import time
import traceback
from types import FrameType, SimpleNamespace

_LEVELS = {"WARNING": "WARN", "CRITICAL": "FATAL"}


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        record.levelname = _LEVELS.get(record.levelname, record.levelname)
        return f"[{_now()}]" + super().format(record)


class _Printed(io.TextIOBase):
    """Standard output as V1 has it: every write is a DEBUG line that names the caller's place."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def write(self, text: str) -> int:
        if text.strip("\n"):
            frame: FrameType = sys._getframe(1)
            place = f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"  # noqa: PTH119
            line = f"[{_now()}][DEBUG]-{place},{text}"
            os.write(self._fd, (line if line.endswith("\n") else line + "\n").encode("utf-8", "replace"))
        return len(text)


def _now() -> str:
    seconds = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03d}Z"


def main() -> None:
    """Do the one job on standard input."""
    job = json.loads(os.read(0, 1 << 26))
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    answer_fd = int(job["resultFd"])
    os.set_inheritable(answer_fd, False)
    _set_up_logging()
    if "" in sys.path:
        sys.path.remove("")  # what `python -c` puts there; V1's runtime is a file elsewhere
    if job["code"] not in sys.path:
        sys.path.insert(0, job["code"])
    try:
        module, _, name = job["handler"].rpartition(".")
        handler = getattr(importlib.import_module(module.replace("/", ".")), name)
        _answer(answer_fd, {"started": True})
        _answer(answer_fd, {"result": handler(job["event"], _context(job))})
    except BaseException as error:
        sys.stderr.write(f"[{_now()}][ERROR]-{traceback.format_exc()}")
        _answer(
            answer_fd,
            {"error": {"type": type(error).__name__, "message": str(error), "trace": traceback.format_exc()}},
        )
    logging.shutdown()
    sys.stderr.flush()
    os._exit(0)  # threads that the handler left behind do not keep the process


def _context(job: dict[str, object]) -> SimpleNamespace:
    return SimpleNamespace(
        function_name=job["name"],
        function_version=job["version"],
        invoked_function_arn=job["arn"],
        aws_request_id=job["requestId"],
        client_context=SimpleNamespace(client=None, custom=job["custom"], env=None),
    )


def _set_up_logging() -> None:
    sys.stdout = _Printed(1)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("[%(levelname)s]-%(filename)s:%(lineno)d,%(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)


def _answer(fd: int, message: dict[str, object]) -> None:
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(fd, data) :]


if __name__ == "__main__":
    main()
