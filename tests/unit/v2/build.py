"""Small moves for tests, written by hand: a group, the board that it leaves, the board that it goes to."""

from __future__ import annotations

from typing import Any

from edge_sim.facts import HostFacts, User
from edge_sim.greengrass import parse
from edge_sim.v2.move import Move
from edge_sim.v2.nucleus import BY_NAME, NucleusName
from tests.unit.greengrass.build import ARN, board

THING = "arn:aws:iot:eu-west-1:123456789012:thing/"
PHONE = f"{THING}phone"
F, G = f"{ARN}f:1", f"{ARN}g:1"
CONTAINER: dict[str, Any] = {"isolation": "GreengrassContainer"}


def new_board(**changes: Any) -> HostFacts:
    """A board on which nothing stands in the way of classic."""
    values: dict[str, Any] = {
        "libc_version": "2.31",
        "memory_kib": 1024 * 1024,
        "storage_kib": 16 * 1024 * 1024,
        "cgroups": "v1",
        "mounts": {"/": frozenset()},
        "programs": {"sudo": True, "java": True, "python3.7": True},
        "users": {"root": User(uid=0, gid=0), "ggc_user": User(uid=995, gid=995), "robot": User(uid=1001, gid=1001)},
    }
    return board(**{**values, **changes})


def subscription(source: str, target: str, subject: str = "a/b") -> dict[str, str]:
    return {"Id": f"{source[-4:]}-{target[-4:]}-{subject}", "Source": source, "Subject": subject, "Target": target}


def thing(name: str, **more: Any) -> dict[str, Any]:
    return {
        "Id": name,
        "ThingArn": THING + name,
        "CertificateArn": f"arn:aws:iot:eu-west-1:123456789012:cert/{'0' * 64}",
        **more,
    }


def connector(name: str) -> dict[str, Any]:
    arn = f"arn:aws:greengrass:eu-west-1::/connectors/{name}/versions/1"
    return {"Id": name, "ConnectorArn": arn, "Parameters": {"DefaultSNSArn": "arn:aws:sns:::x"}}


def move(nucleus: NucleusName = "classic", **given: Any) -> Move:
    """Return a move of the API's lists (``functions``, ``resources``, …); the rest are members of ``Move``."""
    members = ("functions", "resources", "subscriptions", "devices", "connectors", "loggers", "core")
    lists = {name.title() if name != "core" else "Cores": given.pop(name, []) for name in members}
    default = given.pop("default", {})
    sections = {
        "resources": {"Resources": lists["Resources"]},
        "functions": {"DefaultConfig": default, "Functions": lists["Functions"]},
        "core": {"Cores": lists["Cores"]},
    }
    group, faults = parse.group(sections)
    assert not any(faults.values()), faults
    values: dict[str, Any] = {"facts": board(), "to": new_board(), "sections": {**lists, "DefaultConfig": default}}
    return Move(group=group, nucleus=BY_NAME[nucleus], **{**values, **given})
