"""The program that becomes a function's process: ``python -m edge_sim.agent.functions.sandbox``.

Standard input holds one JSON object (``launch.specification`` writes it), standard output takes JSON lines, standard
error is the function's log. In this order: the container's view or the board's root, the memory cgroup, exactly the
identity, then either the function (exec of the interpreter with ``sdk/lambda_runtime.py``) or a probe, which opens
paths and asks for secrets for real and says how that went. Lines on standard output: ``{"notes": […]}``, for a probe
``{"probe": {path: …}, "secrets": {arn: …}}``; when anything fails before that, ``{"sandbox": sentence}`` and exit
status 120.

Not simulated: seccomp, and the devices cgroup (writing to a read-only device is refused by Landlock instead).
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import os
import signal
import stat
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from edge_sim.agent import linux
from edge_sim.agent.functions import view
from edge_sim.errors import NO_ROOM, EdgeSimError
from edge_sim.greengrass.process import Mount

FAILED = 120
"""Exit status when the function could not be started."""
MAX_SPEC_BYTES = 16 * 1024 * 1024
_ANSWER_LIMIT_S = 10.0


def main() -> int:
    """Read the specification and become the process it describes; returns only after a probe or a failure."""
    try:
        spec = json.loads(sys.stdin.buffer.read(MAX_SPEC_BYTES))

        def lives() -> bool:
            return os.getppid() == int(spec["parent"])

        linux.die_with_parent(signal.SIGKILL, lives)
        os.umask(0o022)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # while this machine's /dev is in sight
        if spec.get("secrets"):
            importlib.import_module("http.client")  # while its file is in sight
        if spec["isolation"] == "GreengrassContainer":
            return _in_namespaces(spec)
        root = Path(spec["root"])
        if root != Path("/"):
            os.chroot(root)
            os.chdir("/")
        return _become(spec, [], lives)
    except (OSError, EdgeSimError, ValueError) as error:
        return _failed(error)


def _failed(error: Exception) -> int:
    _say({"sandbox": str(error), "forbidden": getattr(error, "errno", None) in (errno.EPERM, *NO_ROOM)})
    return FAILED


def _say(message: Mapping[str, object]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


def _in_namespaces(spec: Mapping[str, object]) -> int:
    """Fork the first process of new namespaces and wait for it; this process keeps the board's view."""
    linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWPID | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS)
    alive, held = os.pipe()  # in there the parent's id would be 0, whether it lives or not
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    result = FAILED
    try:
        os.close(held)
        lives = partial(linux.is_held, alive)
        linux.die_with_parent(signal.SIGKILL, lives)
        result = _contained(spec, lives)
    except Exception as error:  # nothing may pass: this is a forked copy of the program
        _failed(error)
    finally:
        os._exit(result)


def _contained(spec: Mapping[str, Any], lives: Callable[[], bool]) -> int:
    container = view.ContainerView(
        root=Path(spec["root"]),
        scratch=Path(spec["scratch"]),
        masked=tuple(spec["masked"]),
        mounts=tuple(Mount(**mount) for mount in spec["mounts"]),
        sysfs=bool(spec["sysfs"]),
        runtime=spec["runtime"],
    )
    joins = os.open(spec["cgroup"], os.O_WRONLY | os.O_CLOEXEC) if spec.get("cgroup") else None
    merged, notes = view.build(container)
    linux.change_root(merged)
    linux.no_new_privileges()
    denied = view.read_only_devices(container)
    if denied and not linux.write_only_below(_all_but(denied)):
        notes.append("this kernel has no Landlock: a read-only device can be written where its mode allows it")
        _say({"unenforced": [str(device) for device in denied]})
    return _become(spec, notes, lives, joins)


def _all_but(devices: Collection[Path], top: Path = Path("/")) -> Iterator[Path]:
    """Yield paths that cover the whole tree except ``devices``: new files may be made in all other directories."""
    for path in top.iterdir():
        if any(path in device.parents for device in devices) and not path.is_symlink():
            yield from _all_but(devices, path)
        elif path not in devices and not path.is_symlink():
            yield path


def _become(spec: Mapping[str, Any], notes: list[str], lives: Callable[[], bool], joins: int | None = None) -> int:
    """Join the memory cgroup behind ``joins``, take on exactly the identity, then run the function or the probe."""
    identity = spec["identity"]
    linux.no_new_privileges()
    if joins is not None:
        os.write(joins, b"0")
        os.close(joins)
    os.setgroups(identity["groups"])
    os.setresgid(identity["gid"], identity["gid"], identity["gid"])
    os.setresuid(identity["uid"], identity["uid"], identity["uid"])
    linux.die_with_parent(signal.SIGKILL, lives)  # the change of identity has cleared it
    if notes:
        _say({"notes": notes})
    if "probe" in spec:
        secrets = {arn: ask_for_secret(arn, spec["environment"]) for arn in spec.get("secrets", ())}
        _say({"probe": {path: probe(path) for path in spec["probe"]}, "secrets": secrets})
        return 0
    os.chdir(spec["workingDirectory"])
    _exec(spec)
    return FAILED


def _exec(spec: Mapping[str, Any]) -> None:
    """Become the interpreter: nothing on its standard input, the log on 1 and 2."""
    messages = os.dup(1)
    os.dup2(2, 1)
    try:
        os.execve(spec["argv"][0], spec["argv"], {**_emulated(), **spec["environment"]})  # noqa: S606 - the purpose
    except OSError as error:
        os.dup2(messages, 1)
        raise OSError(error.errno, f"{spec['argv'][0]}: cannot be started: {error.strerror}") from error


def _emulated() -> dict[str, str]:
    """Return what tells QEMU which processor to be: without it a function would run on a newer one than the board."""
    cpu = os.environ.get("QEMU_CPU")
    return {"QEMU_CPU": cpu} if cpu else {}


def probe(path: str) -> dict[str, Any]:
    """Open ``path`` for reading and for writing, list and execute it, as whoever this process is, and change nothing.

    In a directory a file with a name of its own is made and removed; devices are opened without waiting; a directory is
    entered, a program is not run: the kernel is asked whether it would. ``errors`` holds its word for each refusal.
    """
    answer: dict[str, Any] = {"errors": {}}
    attempts = (("read", _try_reading), ("write", _try_writing), ("list", os.listdir), ("execute", _try_executing))
    for kind, attempt in attempts:
        answer[kind] = False
        try:
            attempt(path)
            answer[kind] = True
        except OSError as error:
            answer["errors"][kind] = errno.errorcode.get(error.errno or 0, str(error))
    return answer


def ask_for_secret(arn: str, environment: Mapping[str, str]) -> dict[str, object]:
    """Ask the core for a secret as the Core SDK does, and return whether it came; the value itself is not looked at."""
    import http.client

    core = http.client.HTTPConnection("127.0.0.1", int(environment["GG_DAEMON_PORT"]), timeout=_ANSWER_LIMIT_S)
    place = f"/2016-11-01/functions/{environment['SECRETS_MANAGER_FUNCTION_ARN']}"
    headers = {"Authorization": environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"], "X-Amz-Client-Context": ""}
    answer: dict[str, Any] = {"read": False, "write": False, "errors": {}}
    try:
        core.request(
            "POST", place, json.dumps({"SecretId": arn}), {**headers, "X-Amz-Invocation-Type": "RequestResponse"}
        )
        number = core.getresponse().getheader("X-Amz-InvocationId") or ""
        core.close()
        core.request("GET", place, headers={**headers, "X-Amz-InvocationId": number})
        reply = json.loads(core.getresponse().read())
        answer["read"] = "SecretString" in reply or "SecretBinary" in reply
        if not answer["read"]:
            answer["errors"]["read"] = str(reply.get("Message", "no value"))
    except (OSError, ValueError, http.client.HTTPException) as error:
        answer["errors"]["read"] = str(error) or type(error).__name__
    finally:
        core.close()
    return answer


def _try_reading(path: str) -> None:
    directory = os.path.isdir(path)  # noqa: PTH112 - plain strings: a probe imports as little as it can
    os.close(os.open(path, os.O_RDONLY | (0 if directory else _flags(path))))


def _try_executing(path: str) -> None:
    if os.path.isdir(path):  # noqa: PTH112
        os.chdir(path)
    elif not os.access(path, os.X_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), path)


def _try_writing(path: str) -> None:
    if os.path.isdir(path):  # noqa: PTH112
        name = f"{path}/.edge-sim-probe-{os.urandom(16).hex()}"
        os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)  # noqa: PTH108
        return
    try:
        os.close(os.open(path, os.O_WRONLY | _flags(path)))
    except OSError as error:
        if error.errno != errno.ENXIO or not stat.S_ISFIFO(os.stat(path).st_mode):  # noqa: PTH116
            raise  # else it may be written to; it is only that nobody reads


def _flags(path: str) -> int:
    plain = stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116
    return 0 if plain else os.O_NONBLOCK | os.O_NOCTTY


if __name__ == "__main__":
    sys.exit(main())
