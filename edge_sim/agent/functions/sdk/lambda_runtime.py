"""The program of a function's process: ``python3.x lambda_runtime.py --handler=module.function [--code=DIRECTORY]``.

Python 3.7 or newer: it runs with the board's own interpreter, from ``/runtime/python``, beside the two packages that
the Greengrass Core SDK imports. It loads the handler, says so to the core, then asks for work, calls the handler and
hands back what it returned, for as long as the process lives. A handler's exception is the call's error; the process
goes on.

The log lines are V1's: ``[time][LEVEL]-file.py:LINE,message``, ``print()`` counts as DEBUG and a lone newline is
dropped. The two FATAL sentences are V1's as well (field captures). V1's context has these attributes and no others
(lambda-functions.md).
"""

from __future__ import annotations

import base64
import importlib
import io
import json
import logging
import os
import sys
import time
from types import FrameType, SimpleNamespace
from typing import Callable, NoReturn  # noqa: UP035 - Python 3.7

from greengrass_common import env_vars
from greengrass_common.function_arn_fields import FunctionArnFields
from greengrass_ipc_python_sdk.ipc_client import IPCClient, IPCException, WorkItem

_LEVELS = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_ARN = env_vars.MY_FUNCTION_ARN or ""
_log = logging.getLogger(__name__)


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
    """Load the handler, then do the function's work until the core ends this process or goes away."""
    _set_up_logging()
    core = IPCClient()
    options = dict(option.lstrip("-").split("=", 1) for option in sys.argv[1:])
    if "code" in options:
        users_own = os.environ["PYTHONPATH"].count(":")  # its last entry is this program's directory
        sys.path.insert(1 + users_own, options["code"])
    try:
        handler = _load(options["handler"])
    except BaseException as error:
        _log.critical("Failed to initialize Lambda runtime due to exception: %s", error, exc_info=True)
        core.put_initialization_result(_ARN, False, f"{type(error).__name__}: {error}")
        _end()
    try:
        core.put_initialization_result(_ARN, True)
        while True:
            _do(core, core.get_work(_ARN), handler)
    except IPCException as error:
        _log.error("No more work for this process: %s", error)
        _end()


def _end() -> NoReturn:
    """End at once: threads that the handler left behind must not keep the process."""
    logging.shutdown()
    os._exit(1)


def _load(name: str) -> Callable[[object, object], object]:
    try:
        module, _, attribute = name.rpartition(".")
        handler = getattr(importlib.import_module(module.replace("/", ".")), attribute)
    except BaseException as error:
        _log.critical('Failed to import handler function "%s" due to exception: %s', name, error)
        raise
    _refuse_newer_sdk()
    return handler  # type: ignore[no-any-return]


def _refuse_newer_sdk() -> None:
    """A core takes SDKs with its own major interface version and no higher minor one."""
    sdk = sys.modules.get("greengrasssdk")
    has = getattr(sdk, "INTERFACE_VERSION", None)
    takes = env_vars.GGC_MAX_INTERFACE_VERSION
    if has is None or takes is None:
        return
    own, most = ([int(part) for part in version.split(".")[:2]] for version in (has, takes))
    if own[0] != most[0] or own[1] > most[1]:
        text = f"greengrasssdk has interface version {has}, which this core does not support: it supports up to {takes}"
        raise ImportError(text)


def _do(core: IPCClient, work: WorkItem, handler: Callable[[object, object], object]) -> None:
    binary = env_vars.ENCODING_TYPE == "binary"
    try:
        event = work.payload if binary else json.loads(work.payload or b"{}")
        returned = handler(event, _context(work))
        result = (returned or b"") if binary else json.dumps(returned).encode()
    except Exception as error:
        _log.exception("The handler raised %s", type(error).__name__)
        core.post_handler_err(_ARN, work.invocation_id, f"{type(error).__name__}: {error}")
        return
    try:
        core.post_work_result(_ARN, WorkItem(invocation_id=work.invocation_id, payload=result))
    except IPCException as error:  # too large, for one; when the core is gone, asking for work ends this process
        _log.error("The core rejected the result: %s", error)


def _context(work: WorkItem) -> SimpleNamespace:
    text = base64.b64decode(work.client_context) if work.client_context else b"{}"
    context = json.loads(text or b"{}")
    arn = FunctionArnFields(_ARN)
    return SimpleNamespace(
        function_name=arn.name,
        function_version=arn.qualifier,
        invoked_function_arn=_ARN,
        aws_request_id=work.invocation_id,
        client_context=SimpleNamespace(
            client=context.get("client"), custom=context.get("custom", {}), env=context.get("env")
        ),
    )


def _set_up_logging() -> None:
    sys.stdout = _Printed(1)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("[%(levelname)s]-%(filename)s:%(lineno)d,%(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)


if __name__ == "__main__":
    main()
