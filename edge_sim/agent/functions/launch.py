"""What a function's process is started with: the specification for ``sandbox``, the interpreter, the runtime's files.

The runtime (``sdk/``: the program that loads handlers, and what the Core SDK imports) lies on the board at
``<gg>/ggc/runtime/python``; V1 kept it in ``ggc/packages/<version>/runtime`` and showed it at ``/runtime``, as is done
here for a containerised function.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from edge_sim.agent import durable
from edge_sim.agent.rooted import inside
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.facts import HostFacts
from edge_sim.folders import while_in_use
from edge_sim.greengrass.functions import Function, FunctionCode
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.plan import function_directory
from edge_sim.greengrass.process import RUNTIME, FunctionProcess
from edge_sim.greengrass.rules import start_failures
from edge_sim.greengrass.tree import BESIDE_V1, Tree

_SDK = Path(__file__).with_name("sdk")


def runtime_directory(facts: HostFacts) -> str:
    """Return where the runtime lies on the board."""
    return Tree(facts.greengrass.root).runtime


def install_runtime(root: Path, facts: HostFacts) -> None:
    """Lay the runtime's files on the board, those that are not there as they should be.

    Raises UnsupportedEnvironmentError.
    """
    top = inside(root, f"{runtime_directory(facts)}/python")
    try:
        for source in sorted(_SDK.rglob("*.py")):
            path = top / source.relative_to(_SDK)
            content = source.read_bytes()
            if path.is_file() and path.read_bytes() == content:
                continue
            for directory in (top.parent, top, path.parent):
                directory.mkdir(exist_ok=True)
                directory.chmod(0o755)  # whatever this process's umask is: functions read it
            durable.write(path, content, mode=0o644)
            path.chmod(0o644)
    except OSError as error:
        raise UnsupportedEnvironmentError(
            f"{error.filename or top}: the runtime cannot be installed there: {error.strerror}"
        ) from error


def refusal(group: Group, function: Function, root: Path, facts: HostFacts) -> str | None:
    """Return why a function of the group cannot be started on this board, or None."""
    code = group.code[function.id]
    directory = function_directory(facts, function)
    if not inside(root, directory).is_dir():
        return f"{directory} does not exist on the board"
    runtime = function.runtime_override or code.runtime
    if not runtime.startswith("python3"):
        return f"runtime {runtime or 'of a native executable'} is not simulated yet (python3.x is)"
    if function.encoding_type not in ("json", "binary"):
        return f"EncodingType {function.encoding_type!r} is neither json nor binary"
    return next((f.aws_text or f.message for f in start_failures(group, function, facts)), None)


def command(
    process: FunctionProcess, code: FunctionCode, root: Path, facts: HostFacts
) -> tuple[list[str], tuple[str, ...]]:
    """Return the command of the function's process, and a note when another interpreter stands in for its own.

    The interpreter is the runtime's own name on the board's PATH (as V1 looked it up), else the running Python; where
    that is a bundle's, which no function of a board would have, the board's ``python3``. Raises
    UnsupportedEnvironmentError when neither is there.
    """
    runtime = process.function.runtime_override or code.runtime
    seen_at = RUNTIME if process.isolation == "GreengrassContainer" else runtime_directory(facts)
    handler = process.function.executable or code.handler
    arguments = ["-B", f"{seen_at}/python/lambda_runtime.py", f"--handler={handler}"]
    if process.isolation == "NoContainer":
        arguments.append(f"--code={process.code_directory}")
    place = _on_path(process, runtime, root)
    if place:
        return [place, *arguments], ()
    if sys.prefix.startswith(f"{BESIDE_V1}/"):
        place = _on_path(process, "python3", root)
        if place is None:
            raise UnsupportedEnvironmentError(f"neither {runtime} nor another python3 is on the board's PATH")
        name = inside(root, place).name
        return [place, *arguments], (f"{name} stands in for {runtime}, which is not on the board's PATH",)
    running = str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
    if not inside(root, running).is_file():
        raise UnsupportedEnvironmentError(f"neither {runtime} nor {running} exists below {root}")
    version = ".".join(map(str, sys.version_info[:2]))
    return [running, *arguments], (f"python{version} stands in for {runtime}, which is not on the board's PATH",)


def _on_path(process: FunctionProcess, name: str, root: Path) -> str | None:
    """Return the board's path of a program on the function's PATH, None when there is none."""
    directories = process.environment.get("PATH", "").split(":")
    places = (f"{directory}/{name}" for directory in directories if directory.startswith("/"))
    return next((place for place in places if inside(root, place).is_file()), None)


@contextlib.contextmanager
def specification(
    process: FunctionProcess, root: Path, environment: Mapping[str, str], runtime: str | None = None
) -> Iterator[dict[str, Any]]:
    """Yield what ``sandbox`` needs to know, with a scratch directory that lives as long.

    ``environment`` is what the core adds to the function's own: its endpoint and the token for it. ``runtime`` is the
    board's directory of the runtime, for a process that will run a handler.
    """
    contained = process.isolation == "GreengrassContainer"
    own = dict(process.environment)
    if runtime is not None:
        own["PYTHONPATH"] = f"{own['PYTHONPATH']}:{RUNTIME if contained else runtime}/python".lstrip(":")
    with while_in_use("edge-sim-container-") as (scratch, _):
        yield {
            "root": str(root.resolve()),
            "isolation": process.isolation,
            "identity": asdict(process.identity),
            "mounts": [asdict(mount) for mount in process.mounts if contained],
            "masked": list(process.masked),
            "sysfs": bool(process.function.access_sysfs),
            "runtime": runtime,
            "scratch": str(scratch),
            "environment": {**own, **environment},
            "workingDirectory": process.working_directory,
        }


def start(spec: Mapping[str, Any], log: int | IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a sandbox with ``log`` as its error output; its messages come on ``stdout``."""
    child = subprocess.Popen(
        [sys.executable, "-m", "edge_sim.agent.functions.sandbox"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        start_new_session=True,
    )
    assert child.stdin is not None  # noqa: S101 - it was asked for
    with contextlib.suppress(BrokenPipeError), child.stdin as pipe:
        pipe.write(json.dumps({**spec, "parent": os.getpid()}).encode())
    return child
