"""Deploy the stack of examples/fleet on this machine's Swarm (docs/fleet-machines.md): ``python -m tests.stack``.

Needs what ``make image`` needs, and builds the image that way. Where the engine is in no swarm it forms one of its own,
on loopback, and leaves it. Prints the report of the fleet's master, and ends with 1 where that did not end well.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.image import ROOT, build, run

IMAGE, STACK = "edge-sim:fleet", "edge-sim-tried"
BRIDGE = "docker_gwbridge"
LIMIT_S = 900.0
MADE = ("container", "network", "config")


@contextmanager
def swarm() -> Iterator[None]:
    """Have the engine in a swarm for as long as the block lasts."""
    if run("docker", "info", "--format", "{{.Swarm.LocalNodeState}}") != "inactive":
        yield
        return
    bridged = BRIDGE in run("docker", "network", "ls", "--format", "{{.Name}}").splitlines()
    run("docker", "swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:2377")
    try:
        yield
    finally:
        run("docker", "swarm", "leave", "--force")
        if not bridged:
            run("docker", "network", "rm", BRIDGE)


@contextmanager
def deployed() -> Iterator[None]:
    """Have the stack deployed; behind the block nothing of it is left."""
    file = ROOT / "examples/fleet/stack.yaml"
    run("docker", "stack", "deploy", "--resolve-image", "never", "--compose-file", file, STACK)
    try:
        yield
    finally:
        run("docker", "stack", "rm", STACK)
        _wait(lambda: not any(_left(kind) for kind in MADE), "the stack's containers and networks are still there")


def _left(kind: str) -> str:
    every = ("--all",) if kind == "container" else ()
    return run("docker", kind, "ls", *every, "--quiet", "--filter", f"label=com.docker.stack.namespace={STACK}")


def _wait(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(1)


def _state(service: str) -> str:
    """Return how the service's newest task is, in Docker's word."""
    form = "{{.CurrentState}}|{{.Error}}"
    rows = run("docker", "service", "ps", "--no-trunc", "--format", form, f"{STACK}_{service}").splitlines()
    return rows[0] if rows else ""


def main() -> None:
    """Build the image, deploy, and wait for the master's end."""
    build(IMAGE, "fleet")
    with swarm(), deployed():
        print("deployed", flush=True)
        _wait(lambda: _state("master").startswith(("Complete", "Failed", "Rejected")), "the master does not end")
        state = _state("master")
        print(run("docker", "service", "logs", "--raw", f"{STACK}_master"))
        print(f"master: {state}; worker: {_state('worker')}")
    sys.exit(not state.startswith("Complete"))


if __name__ == "__main__":
    main()
