"""The Docker engine, and the interpreters with which the kernel runs other processors' programs.

``connected`` is the way to an engine. ``interpreters`` reads what is registered in binfmt_misc; ``require`` says
what is missing before a board of an architecture hangs or dies with "exec format error".
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_sim.arch import ARCHITECTURES
from edge_sim.emulation.containers import advice
from edge_sim.errors import INSTALL, UnsupportedEnvironmentError
from edge_sim.process import run
from edge_sim.versions import numbers

OLDEST_API = (1, 41)
"""Docker 20.10, Debian 12's: the first that records an image's processor variant and cgroup namespaces."""
BINFMT = Path("/proc/sys/fs/binfmt_misc")
_START = f"As root on Debian: {advice.ENGINE}. Without Docker: --driver local; for a fleet --control."
_SLOW_ANSWER_S = 60


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """One entry of binfmt_misc: ``name`` is QEMU's name of the processor, ``flags`` the kernel's letters."""

    name: str
    program: str
    flags: str
    enabled: bool

    @property
    def in_containers(self) -> bool:
        """F: the kernel holds the program open, so that it need not be in the container's file system."""
        return "F" in self.flags

    @property
    def honours_set_id(self) -> bool:
        """C: ids come from the program that is run, not from the interpreter. Debian's entries are without it."""
        return "C" in self.flags


def connect() -> Any:
    """Return a docker.DockerClient that has answered. The caller closes it.

    Raises UnsupportedEnvironmentError when there is none, we may not talk to it, or it is older than Docker 20.10.
    """
    try:
        import docker
        from docker.errors import DockerException
    except ImportError as error:
        raise UnsupportedEnvironmentError(
            "Python's docker package is not installed", hint=f"Install it: {INSTALL}"
        ) from error
    try:
        client = docker.from_env(timeout=_SLOW_ANSWER_S)  # it asks for the version
    except (DockerException, OSError) as error:
        raise explain(error) from error
    version = client.api.api_version
    if numbers(version) < OLDEST_API:
        client.close()
        raise UnsupportedEnvironmentError(
            f"Docker is too old: its API is {version}",
            hint="Docker 20.10 or newer is needed: apt-get install docker.io (Debian 11 or newer).",
        )
    return client


@contextlib.contextmanager
def connected() -> Iterator[Any]:
    """Give a docker.DockerClient for a with block; what the engine does not do there is UnsupportedEnvironmentError.

    An engine may be stopped, or refuse, at any call. Raises what ``connect`` does.
    """
    with contextlib.closing(connect()) as client:
        try:
            yield client
        except _refusals() as error:
            raise explain(error) from error


def sets_firewall(processes: Path = Path("/proc"), settings: Path = Path("/etc/docker/daemon.json")) -> bool:
    """Tell whether the engine keeps boards apart by rules of its own, as far as this machine shows.

    Without them (``--iptables=false``, which ``.ci/engine`` falls back to) members of a network reach each other.
    """
    try:
        configuration = json.loads(settings.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        configuration = None
    if isinstance(configuration, dict) and configuration.get("iptables") is False:
        return False
    return not any(b"--iptables=false" in _arguments(name.parent) for name in processes.glob("[0-9]*/comm"))


def _arguments(process: Path) -> list[bytes]:
    """Return the arguments of a process that is a Docker engine, of no other."""
    try:
        is_engine = (process / "comm").read_bytes() == b"dockerd\n"
        return (process / "cmdline").read_bytes().split(b"\0") if is_engine else []
    except OSError:  # it has ended
        return []


def failures() -> tuple[type[Exception], ...]:
    """Return what a call to the engine may raise: its refusals, and a connection that breaks or says nothing."""
    return (*_refusals(), OSError)


def _refusals() -> tuple[type[Exception], ...]:
    """Return those of them that nothing but a call to the engine raises."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    # docker reads an answer that goes on for long past requests, and lets urllib3's own errors through.
    return (DockerException, RequestException, HTTPError)


def explain(error: Exception) -> UnsupportedEnvironmentError:
    """Return in our words why an engine did not answer."""
    place = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    causes = _causes(error)
    if any(isinstance(cause, PermissionError) for cause in causes):
        return UnsupportedEnvironmentError(
            f"{place}: this user may not talk to the Docker engine",
            hint="As root: usermod --append --groups docker USER; then log in again.",
        )
    if any(isinstance(cause, FileNotFoundError | ConnectionRefusedError) for cause in causes):
        return UnsupportedEnvironmentError(f"{place}: no Docker engine answers", hint=_START)
    return UnsupportedEnvironmentError(f"{place}: the Docker engine cannot be used", details=str(error), hint=_START)


def _causes(error: BaseException) -> list[BaseException]:
    """Return the chain of an error; requests and urllib3 keep causes among the arguments."""
    causes: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        cause = waiting.pop()
        if cause is None or cause in causes:
            continue
        causes.append(cause)
        reason = getattr(cause, "reason", None)
        waiting += [
            cause.__cause__,
            cause.__context__,
            *(a for a in (*cause.args, reason) if isinstance(a, BaseException)),
        ]
    return causes


def interpreters(folder: Path = BINFMT) -> Mapping[str, Interpreter]:
    """Return what binfmt_misc holds for QEMU, by name (``qemu-arm``); empty when it is not mounted."""
    entries = {}
    for file in sorted(folder.glob("qemu-*")):
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:  # it may go away while we look
            continue
        values = dict(line.partition(" ")[::2] for line in lines)
        entries[file.name] = Interpreter(
            name=file.name,
            program=values.get("interpreter", ""),
            flags=values.get("flags:", ""),
            enabled="enabled" in lines,
        )
    return entries


def qemu_version(interpreter: Interpreter) -> str | None:
    """Return the interpreter's version, such as ``7.2.22``, or None where its program is not on this machine."""
    # Under its registered name (…-binfmt-P) QEMU takes its arguments differently.
    program = Path(interpreter.program).resolve()
    try:
        text = run([str(program), "--version"], timeout=10).stdout.decode(errors="replace")
    except UnsupportedEnvironmentError:
        return None
    match = re.search(r"version (\d+(?:\.\d+)+)", text)
    return match[1] if match else None


def require(architecture: str, client: Any) -> Interpreter | None:
    """Return the interpreter that runs programs of ``architecture``, None where the processor does or we cannot see.

    Raises UnsupportedEnvironmentError when the engine runs on this machine's kernel and that has no usable one.
    """
    info = client.info()
    if architecture == platform.machine() or info.get("KernelVersion") != platform.release():
        return None
    return check(architecture, interpreters())


def check(architecture: str, registered: Mapping[str, Interpreter]) -> Interpreter:
    """Return the interpreter for ``architecture``; raise UnsupportedEnvironmentError where none can be used."""
    name = ARCHITECTURES[architecture].qemu
    entry = registered.get(name)
    if entry and not entry.enabled:
        raise UnsupportedEnvironmentError(
            f"this machine does not run programs for {architecture}: {name} is switched off in {BINFMT}",
            hint=f"As root: echo 1 >{BINFMT}/{name}",
        )
    if entry is None:
        raise UnsupportedEnvironmentError(
            f"this machine does not run programs for {architecture}: {name} is not registered in {BINFMT}",
            hint=f"As root on Debian: {advice.INTERPRETERS}",
        )
    if not entry.in_containers:
        raise UnsupportedEnvironmentError(
            f"{name} is registered without the flag F (flags {entry.flags}): containers cannot find {entry.program}",
            hint=f"As root: echo -1 >{BINFMT}/{name}; then {advice.INTERPRETERS} (Debian's registers it with F)",
        )
    return entry
