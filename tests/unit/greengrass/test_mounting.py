"""Whether a container's mounts have places to lie on. Held to the sandbox in tests/root/test_access_command.py."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from edge_sim.agent.functions.access import secret_rows
from edge_sim.facts import Node
from edge_sim.greengrass.mounting import not_started
from edge_sim.greengrass.process import function_process
from edge_sim.greengrass.rows import Probe
from tests.unit.greengrass.build import board, directory, file, function, group, secret, volume

CODE = "/greengrass/ggc/deployment/lambda/arn:aws:lambda:eu-west-1:123456789012:function:f:1"
NODES: Mapping[str, Node] = {
    **board().paths,
    CODE: directory(),
    f"{CODE}/main.py": file(),
    f"{CODE}/data": directory(),
    "/srv/readings/deep": directory(),
    "/etc/hosts": file(),
    "/srv/link": Node(type="link", uid=0, gid=0, mode=0o777, target="/proc"),
    "/srv/circle": Node(type="link", uid=0, gid=0, mode=0o777, target="circle"),
}


def told(destination: str, *, source: str = "/srv", sysfs: bool | None = None, outer: str = "ro") -> str | None:
    resources = [volume("v", source, destination), volume("outer", "/srv/readings", "/outer")]
    policies: list[tuple[str, str | None]] = [("v", "ro"), ("outer", outer)]
    made = group(resources, [function("f", *policies, isolation="GreengrassContainer", sysfs=sysfs)])
    return not_started(function_process(made, made.functions[0], board()), NODES)


@pytest.mark.parametrize(
    ("destination", "why"),
    [
        ("/lambda/x", f"/lambda/x does not exist in {CODE}, which is mounted read-only at /lambda"),
        ("/lambda/data/x", f"/lambda/data/x does not exist in {CODE}, which is mounted read-only at /lambda"),
        ("/lambda/main.py", "/srv, a directory, cannot be mounted on /lambda/main.py, a file"),
        ("/etc/hosts", "/srv, a directory, cannot be mounted on /etc/hosts, a file"),
        ("/outer/x", "/outer/x does not exist in /srv/readings, which is mounted read-only at /outer"),
        ("/proc/x", "cannot mount /proc/x: /proc belongs to the container itself"),
        ("/proc", "cannot mount /proc: /proc belongs to the container itself"),
        ("/runtime", "cannot mount /runtime: /runtime belongs to the container itself"),
        ("/runtime/python", "cannot mount /runtime/python: /runtime belongs to the container itself"),
        ("/srv/circle/x", "/srv/circle/x: too many levels of symbolic links"),
        ("/srv/link/x", "cannot mount /srv/link/x: /proc belongs to the container itself"),
    ],
)
def test_a_mount_without_a_place_keeps_the_function_from_starting(destination: str, why: str) -> None:
    assert told(destination) == f"function f does not start: {why}"


@pytest.mark.parametrize(
    "destination", ["/lambda", "/lambda/data", "/outer/deep", "/new/x", "/process", "/runtimes", "/dev/x", "/sys/x"]
)
def test_what_has_a_place_or_can_be_made_starts(destination: str) -> None:
    assert told(destination) is None


def test_what_may_be_written_to_gets_its_mount_points() -> None:
    assert told("/outer/x", outer="rw") is None
    assert told("/lambda/main.py", source="/etc/hosts") is None, "a file on a file"


def test_the_boards_sys_is_the_containers_own_with_access_to_it() -> None:
    assert told("/sys/x", sysfs=True) == (
        "function f does not start: cannot mount /sys/x: /sys belongs to the container itself"
    )


def test_who_does_not_start_asks_for_no_secret() -> None:
    made = group([secret()], [function("f", ("secret", "ro"), isolation="GreengrassContainer")])
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:greengrass-key-a1b2c3"
    probed = {arn: Probe(errors={"start": "no process"})}
    for answers, agree in ((probed, True), (None, None)):
        (row,) = secret_rows(made, made.functions[0], answers, stopped="it does not start")
        assert (row.read.computed, row.agree, row.ok) == (False, agree, False)
        assert row.not_started == "it does not start"


def test_without_a_container_nothing_is_mounted() -> None:
    made = group([volume("v", "/srv", "/proc/x")], [function("f", ("v", "ro"))])
    assert not_started(function_process(made, made.functions[0], board()), NODES) is None
