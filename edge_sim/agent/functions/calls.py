"""Call a function once, or have a process like a function's look around.

``invoke`` asks the agent that runs on the board, else it runs a core of its own for the length of one call
(``daemon``). ``probe`` has the same kind of process open paths instead, and ask for secrets. Everything the process
started in its process group is killed afterwards.

Not simulated: seccomp. An interpreter standing in for another, and how MemorySize is enforced, is in the notes of the
outcome.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from edge_sim.agent.deployment import secrets as secrets_file
from edge_sim.agent.functions import launch
from edge_sim.agent.functions.daemon import Daemon
from edge_sim.agent.functions.deployed import address
from edge_sim.agent.functions.invocations import InvocationOutcome
from edge_sim.agent.functions.worker import START_LIMIT_S
from edge_sim.agent.functions.workers import QUEUE_LIMIT_S
from edge_sim.errors import AccessError, UnsupportedEnvironmentError, UsageError
from edge_sim.facts import HostFacts
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.process import FunctionProcess
from edge_sim.greengrass.rows import Probe

__all__ = ["Asker", "InvocationOutcome", "asking", "invoke", "probe"]

LIMIT_S = 30.0
CALL_LIMIT_S = START_LIMIT_S + QUEUE_LIMIT_S + 10.0
"""How long a call by the agent may take beside the function's Timeout."""
MAX_ANSWER_BYTES = 6 * 1024 * 1024


def invoke(group: Group, function_id: str, event: object, root: Path, facts: HostFacts) -> InvocationOutcome:
    """Call a deployed function with ``event`` and return how that went.

    Raises UsageError for an unknown function, UnsupportedEnvironmentError when this machine or account cannot make
    such a process, InvalidDefinitionError when the board lacks the account the function runs as.
    """
    payload = json.dumps(event).encode()
    running = address(root, facts.greengrass.root)
    if running is not None:
        return _ask(running, group, function_id, payload)
    with Daemon(group, root, facts) as daemon:
        return daemon.run(function_id, payload)


def _ask(running: Mapping[str, Any], group: Group, function_id: str, payload: bytes) -> InvocationOutcome:
    """Have the agent's daemon make the call."""
    timeout = max((f.call_limit_s for f in group.functions if f.id == function_id), default=0)
    connection = http.client.HTTPConnection("127.0.0.1", running["port"], timeout=timeout + CALL_LIMIT_S)
    try:
        place = f"/edge-sim/functions/{quote(function_id, safe='')}"
        connection.request("POST", place, payload, {"Authorization": running["token"]})
        answer = json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise UnsupportedEnvironmentError(f"the agent on this board does not answer: {error!r}") from error
    finally:
        connection.close()
    if "outcome" in answer:
        return InvocationOutcome(**{**answer["outcome"], "notes": tuple(answer["outcome"]["notes"])})
    kind = UsageError if answer["error"]["exit_status"] == UsageError.exit_status else UnsupportedEnvironmentError
    raise kind(answer["error"]["brief"], hint=answer["error"]["hint"])


@dataclass(frozen=True, kw_only=True)
class Asker:
    """What a probe needs to ask a core. ``secrets`` are the ARNs of those that the board has."""

    secrets: tuple[str, ...] = ()
    daemon: Daemon | None = None

    def environment(self, process: FunctionProcess) -> dict[str, str]:
        """Return what lets a process ask in the name of its function."""
        return self.daemon.environment_of(process.function) if self.daemon else {}


@contextlib.contextmanager
def asking(group: Group, root: Path, facts: HostFacts) -> Iterator[Asker]:
    """Have a core serve the group's secrets as long as the block lasts; without secrets there is none."""
    stored = secrets_file.stored(root, facts.greengrass.root)
    arns = tuple(r.secret.arn for r in group.resources if r.secret and r.secret.arn in stored)
    if not arns:
        yield Asker()
        return
    with Daemon(group, root, facts, port=0) as daemon:
        yield Asker(secrets=arns, daemon=daemon)


def probe(
    process: FunctionProcess,
    paths: Sequence[str],
    root: Path,
    *,
    secrets: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> dict[str, Probe]:
    """Have a process with ``process``'s identity and view open each path, and return what ``sandbox.probe`` says.

    ``secrets`` are ARNs that it asks the core for, which ``environment`` (``asking``) makes possible; their answers
    stand under the ARN. Raises UnsupportedEnvironmentError when this machine or account cannot make such a process,
    AccessError when the board cannot: an attached source is not there.
    """
    with (
        launch.specification(process, root, environment or {}) as spec,
        tempfile.TemporaryFile() as errors,
    ):
        messages = _run({**spec, "probe": list(paths), "secrets": list(secrets)}, errors)
        answer = messages.get("probe")
        if answer is None:
            why = messages.get("sandbox") or messages["ended"]
            errors.seek(0)
            details = errors.read(MAX_ANSWER_BYTES).decode(errors="replace") or None
            kind = UnsupportedEnvironmentError if messages.get("forbidden") else AccessError
            raise kind(f"cannot start a probe process for function {process.function.id}: {why}", details=details)
    unenforced = messages.get("unenforced", ())
    probes = {path: Probe(**members, enforced=path not in unenforced) for path, members in answer.items()}
    return probes | {arn: Probe(**members) for arn, members in messages.get("secrets", {}).items()}


def _run(spec: Mapping[str, Any], errors: IO[bytes]) -> dict[str, Any]:
    """Run a sandbox to its end and return its messages in one object, with ``ended`` when it said nothing final."""
    child = launch.start(spec, errors)
    try:
        assert child.stdout is not None  # noqa: S101 - it was asked for
        messages = _listen(child.stdout)
        if not messages.keys() & {"probe", "sandbox"} and "ended" not in messages:
            messages["ended"] = f"the process ended with status {child.wait(LIMIT_S)} before it answered"
        return messages
    finally:
        _end(child)


def _listen(pipe: IO[bytes]) -> dict[str, Any]:
    """Collect the messages up to the end of the pipe, or a limit."""
    heard = b""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    deadline = time.monotonic() + LIMIT_S
    while poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        chunk = os.read(pipe.fileno(), 1 << 16)
        heard += chunk
        if not chunk:
            return {key: value for line in heard.splitlines() for key, value in json.loads(line).items()}
        if len(heard) > MAX_ANSWER_BYTES:
            return {"ended": f"the response is larger than {MAX_ANSWER_BYTES} bytes"}
    return {"ended": f"no answer within {LIMIT_S:g} s; the process was killed"}


def _end(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait(LIMIT_S)
    if child.stdout:
        child.stdout.close()
