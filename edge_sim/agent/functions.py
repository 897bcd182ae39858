"""Run a function once, as the process that the core would start for it.

``invoke`` makes a sandbox (``sandbox``) from the group and the board's facts, hands it the event and waits, never
longer than the function's ``Timeout``. ``probe`` has the same kind of process open paths instead. Everything the
process started in its process group is killed afterwards.

Ours: one process for each call (V1 kept idle ones), no seccomp, no memory cgroup. A limit that is not applied, or an
interpreter standing in for another, is in the notes of the outcome.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from edge_sim.agent.rooted import inside
from edge_sim.agent.view import Attachment
from edge_sim.errors import AccessError, EdgeSimError, UnsupportedEnvironmentError, UsageError
from edge_sim.facts import HostFacts
from edge_sim.greengrass.functions import Function, FunctionCode
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.process import FunctionProcess, function_process
from edge_sim.greengrass.rules import start_failures

START_LIMIT_S = 30.0
"""How long a process may take until its handler is called: V1's own limit for its post-start check."""
MAX_ANSWER_BYTES = 6 * 1024 * 1024
"""The largest answer taken: AWS Lambda's own limit for a payload."""
MAX_LOG_BYTES = 64 * 1024
"""How much of the log of one call is handed back; the file keeps all of it."""
_LAST = ("result", "error", "sandbox", "probe")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one call ended: ``result`` when ``ok``, else ``error`` in one sentence; ``log`` is this call's part."""

    ok: bool
    result: Any = None
    error: str | None = None
    log: str = ""
    notes: tuple[str, ...] = ()


def invoke(group: Group, function_id: str, event: object, root: Path, facts: HostFacts) -> Outcome:
    """Call a deployed function with ``event`` and return how that went.

    Raises UsageError for an unknown function, UnsupportedEnvironmentError when this machine or account cannot make
    such a process, InvalidDefinitionError when the board lacks the account the function runs as.
    """
    function = next((f for f in group.functions if f.id == function_id), None)
    if function is None:
        known = ", ".join(f.id for f in group.functions) or "none"
        raise UsageError(f"the deployed group has no function {function_id}", hint=f"Functions: {known}.")
    code = group.code.get(function_id)
    if code is None:
        raise UsageError(f"function {function_id} has no deployed code")
    process = function_process(group, function, facts)
    if not inside(root, process.code_directory).is_dir():
        return Outcome(ok=False, error=f"{function_id}: {process.code_directory} does not exist on the board")
    refusal = next((f.aws_text or f.message for f in start_failures(group, function, facts)), None)
    refusal = refusal or _not_simulated(function, code)
    if refusal:
        return Outcome(ok=False, error=f"{function_id}: {refusal}")
    argv, notes = _interpreter(function.runtime_override or code.runtime, process, root)
    job = _job(process, code, event)
    with _log(function, root, facts) as log, _specification(process, root) as spec:
        before = log.seek(0, os.SEEK_END)
        messages = _run({**spec, "argv": argv, "job": job}, log, function.timeout_s)
        text = _written(log, before)
    return _outcome(function, messages, text, [*notes, *_limits_not_applied(process)])


def probe(process: FunctionProcess, paths: Sequence[str], root: Path) -> dict[str, dict[str, Any]]:
    """Have a process with ``process``'s identity and view open each path, and return what ``sandbox.probe`` says.

    ``enforced`` is False where the device is attached read-only and nothing here keeps the function from writing.
    Raises UnsupportedEnvironmentError when this machine or account cannot make such a process, AccessError when the
    board cannot: an attached source is not there.
    """
    with _specification(process, root) as spec, tempfile.TemporaryFile() as errors:
        messages = _run({**spec, "probe": list(paths)}, errors, START_LIMIT_S)
        answer = messages.get("probe")
        if answer is None:
            why = messages.get("sandbox") or messages["ended"]
            details = _written(errors, 0) or None
            kind = UnsupportedEnvironmentError if messages.get("forbidden") else AccessError
            raise kind(f"no process like that of function {process.function.id}: {why}", details=details)
    for path in messages.get("unenforced", ()):
        if path in answer:
            answer[path]["enforced"] = False
    return dict(answer)


@contextlib.contextmanager
def _specification(process: FunctionProcess, root: Path) -> Iterator[dict[str, Any]]:
    """Yield what ``sandbox`` needs to know, with a scratch directory that lives as long."""
    shown = [Attachment(source=m.source, destination=m.destination, read_only=m.read_only) for m in process.mounts]
    shown.append(Attachment(source=process.code_directory, destination="/lambda", read_only=True))
    with tempfile.TemporaryDirectory(prefix="edge-sim-container-") as scratch:
        yield {
            "root": str(root.resolve()),
            "isolation": process.isolation,
            "identity": asdict(process.identity),
            "attachments": [asdict(attachment) for attachment in shown],
            "masked": list(process.masked),
            "sysfs": bool(process.function.access_sysfs),
            "scratch": scratch,
            "environment": dict(process.environment),
            "workingDirectory": process.working_directory,
        }


def _run(spec: Mapping[str, Any], log: IO[bytes], timeout_s: float) -> dict[str, Any]:
    """Start a sandbox and return its messages in one object, with ``ended`` when it said nothing final."""
    child = subprocess.Popen(
        [sys.executable, "-m", "edge_sim.agent.sandbox"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        start_new_session=True,
    )
    try:
        assert child.stdin is not None  # noqa: S101 - both were asked for
        assert child.stdout is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError), child.stdin as pipe:
            pipe.write(json.dumps(spec).encode())
        messages = _listen(child.stdout, timeout_s)
        if not messages.keys() & set(_LAST) and "ended" not in messages:
            messages["ended"] = _ending(child.wait(START_LIMIT_S))
        return messages
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait(START_LIMIT_S)
        if child.stdout:
            child.stdout.close()


def _listen(pipe: IO[bytes], timeout_s: float) -> dict[str, Any]:
    """Collect the messages up to a final one, the end of the pipe, or a limit; the handler's time has its own."""
    messages: dict[str, Any] = {}
    heard = b""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    deadline = time.monotonic() + START_LIMIT_S
    while not messages.keys() & set(_LAST):
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            limit = f"its Timeout of {timeout_s:g} s" if "started" in messages else f"{START_LIMIT_S:g} s to start"
            return {**messages, "ended": f"no answer within {limit}; the process was killed"}
        chunk = os.read(pipe.fileno(), 1 << 16)
        if not chunk:
            return messages
        *lines, heard = (heard + chunk).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "started" in message:
                deadline = time.monotonic() + timeout_s
            messages.update(message)
        if len(heard) > MAX_ANSWER_BYTES:
            return {**messages, "ended": f"the answer is larger than {MAX_ANSWER_BYTES} bytes"}
    return messages


def _ending(status: int) -> str:
    number = -status if status < 0 else status - 128
    if status < 0 or number in list(signal.Signals):
        return f"the process was killed by {signal.Signals(number).name} before it answered"
    return f"the process ended with status {status} before it answered"


def _outcome(function: Function, messages: Mapping[str, Any], log: str, notes: list[str]) -> Outcome:
    notes = [*messages.get("notes", ()), *notes]
    if "result" in messages:
        return Outcome(ok=True, result=messages["result"], log=log, notes=tuple(notes))
    if "error" in messages:
        raised = messages["error"]
        error = f"{function.id}: {raised['type']}: {raised['message']}"
    elif "sandbox" in messages:
        error = f"{function.id}: could not be started: {messages['sandbox']}"
        if messages.get("forbidden"):
            hint = "Run as root, or where user namespaces with subordinate ids are allowed."
            raise UnsupportedEnvironmentError(error, hint=hint)
    else:
        error = f"{function.id}: {messages['ended']}"
    return Outcome(ok=False, error=error, log=log, notes=tuple(notes))


def _not_simulated(function: Function, code: FunctionCode) -> str | None:
    runtime = function.runtime_override or code.runtime
    if not runtime.startswith("python3"):
        return f"runtime {runtime or 'of a native executable'} is not simulated yet (python3.x is)"
    if function.encoding_type != "json":
        return f"EncodingType {function.encoding_type} is not simulated yet (json is)"
    return None


def _limits_not_applied(process: FunctionProcess) -> list[str]:
    size = process.function.memory_size_kb
    contained = process.isolation == "GreengrassContainer"
    return [f"MemorySize {size} KB is not simulated yet: no memory limit"] if contained and size else []


def _interpreter(runtime: str, process: FunctionProcess, root: Path) -> tuple[list[str], list[str]]:
    """Return the command for ``worker``: the runtime's own name on the board's PATH, else the running Python."""
    worker = Path(__file__).with_name("worker.py").read_text(encoding="utf-8")
    for directory in process.environment.get("PATH", "").split(":"):
        place = f"{directory}/{runtime}"
        if directory.startswith("/") and inside(root, place).is_file():
            return [place, "-B", "-c", worker], []
    running = str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
    if not inside(root, running).is_file():
        raise UnsupportedEnvironmentError(f"neither {runtime} nor {running} is there below {root}")
    version = ".".join(map(str, sys.version_info[:2]))
    note = f"python{version} stands in for {runtime}, which is not on the board's PATH"
    return [running, "-B", "-c", worker], [note]


def _job(process: FunctionProcess, code: FunctionCode, event: object) -> dict[str, Any]:
    arn = process.function.arn.split(":")
    contained = process.isolation == "GreengrassContainer"
    return {
        "handler": process.function.executable or code.handler,
        "code": "/lambda" if contained else process.code_directory,
        "arn": process.function.arn,
        "name": arn[6] if len(arn) > 6 else process.function.id,
        "version": arn[7] if len(arn) > 7 else "",
        "requestId": str(uuid.uuid4()),
        "custom": {},
        "event": event,
    }


@contextlib.contextmanager
def _log(function: Function, root: Path, facts: HostFacts) -> Iterator[IO[bytes]]:
    """Open the function's log for appending; V1's place, and only root may read it."""
    part = dict(enumerate(function.arn.split(":")))
    name = f"{part.get(3) or 'none'}/{part.get(4) or 'none'}/{part.get(6) or function.id}.log"
    path = inside(root, f"{facts.greengrass.root}/ggc/var/log/user/{name}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise EdgeSimError(f"{path}: the function's log cannot be opened: {error.strerror}") from error
    with os.fdopen(fd, "r+b", buffering=0) as log:
        yield log


def _written(log: IO[bytes], since: int) -> str:
    end = log.seek(0, os.SEEK_END)
    log.seek(max(since, end - MAX_LOG_BYTES))
    return log.read(MAX_LOG_BYTES).decode(errors="replace")
