"""Every rule has a case that breaks only it; the valid group breaks none."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge_sim.greengrass import rules
from edge_sim.greengrass.group import Group
from tests.unit.greengrass.build import (
    board,
    device,
    directory,
    function,
    group,
    owner,
    resource,
    s3,
    secret,
    volume,
)

C = "GreengrassContainer"


def n_resources(count: int) -> Group:
    names = [f"v{i}" for i in range(count)]
    made = [volume(n, source="/srv/readings", to="/readings") for n in names]
    return group(made, [function("f", *[(n, "ro") for n in names], isolation=C)])


CASES: dict[str, Callable[[], Group]] = {
    "volume-under-sys": lambda: group([volume(source="/sys/class")], []),
    "device-outside-dev": lambda: group([device(source="/tmp/tty")], []),
    "resource-identifier": lambda: group([s3("spaced id", owner=owner())], []),
    "resource-id-unique": lambda: group([secret("a"), device("a")], []),
    "absolute-path": lambda: group([volume(to="readings")], []),
    "duplicate-device": lambda: group([device("a"), device("b")], []),
    "volume-destinations": lambda: group([volume("a", to="/x"), volume("b", to="/y")], []),
    "proc-destination": lambda: group([volume(source="/proc/stat", to="/proc/x")], []),
    "proc-read-only": lambda: group(
        [volume(source="/proc/stat", to="/p")], [function("f", ("volume", "rw"), isolation=C)]
    ),
    "shm-device": lambda: group([device(source="/dev/shm")], []),
    "shm-read-write": lambda: group(
        [volume(source="/dev/shm", to="/s")], [function("f", ("volume", "ro"), isolation=C)]
    ),
    "duplicate-secret": lambda: group([secret("a"), secret("b")], []),
    "function-id-unique": lambda: group([], [function("f"), function("f")]),
    "unknown-resource": lambda: group([], [function("f", ("nowhere", None))]),
    "memory-size": lambda: group([], [function("f", MemorySize=16384)]),
    "access-sysfs": lambda: group([], [function("f", sysfs=True)]),
    "local-resource-no-container": lambda: group([device()], [function("f", ("serial", "ro"))]),
    "secret-permission": lambda: group([secret()], [function("f", ("secret", "rw"))]),
    "resource-count": lambda: n_resources(21),
    "model-owner": lambda: group([s3(owner={"GroupOwner": "999"})], []),
    "model-no-container-permission": lambda: group([s3(owner=owner())], [function("f", ("model", "ro"))]),
    "model-permission-missing": lambda: group([s3()], [function("f", ("model", None))]),
    "model-permission-exceeds-owner": lambda: group([s3(owner=owner())], [function("f", ("model", "rw"), isolation=C)]),
    "model-nested-destination": lambda: group(
        [s3("a", owner=owner(), to="/m"), s3("b", owner=owner(), to="/m/n")], [function("f", ("a", None), ("b", None))]
    ),
    "model-destination-unique": lambda: group([s3("a", owner=owner()), s3("b", owner=owner())], []),
    "model-package": lambda: group(
        [resource("m", "S3MachineLearningModelResourceData", {"S3Uri": "s3://b/k.rar", "DestinationPath": "/m"})], []
    ),
    "model-bucket": lambda: group(
        [resource("m", "S3MachineLearningModelResourceData", {"S3Uri": "s3://b.c/k.zip", "DestinationPath": "/m"})], []
    ),
}


@pytest.mark.parametrize("rule", CASES)
def test_rule_refuses(rule: str) -> None:
    found = {f.id for f in rules.check(CASES[rule]()) if f.severity == "error"}
    assert found == {rule}


def test_every_rule_of_the_cloud_has_a_case(capsys: pytest.CaptureFixture[str]) -> None:
    count = len(rules.CREATE) + len(rules.DEPLOY)
    with capsys.disabled():
        print(f"\nrules of the cloud: {count} functions, {len(CASES)} refusals with a minimal bad group")
    assert len(CASES) >= count


def valid() -> Group:
    resources = [s3(owner=owner("999")), volume(), device(AutoAddGroupOwner=True), secret()]
    functions = [
        function("n", ("model", None), ("secret", "ro")),
        function("c", ("model", "ro"), ("volume", "ro"), ("serial", "rw"), isolation=C),
    ]
    return group(resources, functions)


def test_a_valid_group_passes_everywhere() -> None:
    assert rules.check(valid(), board()) == []


def test_between_ten_and_twenty_resources_is_a_note() -> None:
    assert [f.severity for f in rules.check(n_resources(15))] == ["note"]


def core_cases() -> dict[str, list[str]]:
    """What each board makes of the valid group."""
    paths = dict(board().paths)
    no_serial = {p: n for p, n in paths.items() if p != "/dev/ttyAMA0"}
    return {
        "accounts": [f.id for f in rules.check(valid(), board(users={}))],
        "ml-unsupported": [f.id for f in rules.check(valid(), board(unsupported=frozenset({"ml-inference"})))],
        "source-exists": [f.id for f in rules.check(valid(), board(paths=no_serial))],
        "device-type": [f.id for f in rules.check(valid(), board(paths={**paths, "/dev/ttyAMA0": directory(0o777)}))],
        "local-access": [
            f.id for f in rules.check(valid(), board(paths={**paths, "/srv/readings": directory(0o700, gid=7)}))
        ],
    }


@pytest.mark.parametrize("rule", core_cases())
def test_core_refuses(rule: str) -> None:
    assert core_cases()[rule] == [rule]


def test_core_refuses_an_unknown_group() -> None:
    found = rules.check(group([s3(owner=owner("nosuch"))], [function("f", ("model", None))]), board())
    assert [(f.id, "'nosuch'" in f.message) for f in found] == [("group-exists", True)]


def test_core_refuses_root_unless_allowed() -> None:
    rooted = group([], [function("f", run_as={"Uid": 0, "Gid": 0})])
    assert [f.id for f in rules.check(rooted, board())] == ["root-functions"]


def test_core_refuses_access_by_a_shared_group_but_not_for_root() -> None:
    model = s3(owner=owner("995"))
    assert [f.id for f in rules.check(group([model], [function("f")]), board())] == ["shared-group"]
    attached = group([model], [function("f", ("model", None))])
    assert rules.check(attached, board()) == []
    rooted = group([model], [function("f", run_as={"Uid": 0, "Gid": 995})])
    assert "shared-group" not in {f.id for f in rules.check(rooted, board())}


TABLE = [
    # (owner, isolation, function permission) -> the rule that refuses, or None: greengrass-v1 §1.4's decision table
    (None, C, "ro", None),
    (None, C, "rw", None),
    (None, C, None, "model-permission-missing"),
    (None, "NoContainer", None, "model-permission-missing"),
    ("ro", "NoContainer", "ro", "model-no-container-permission"),
    ("rw", "NoContainer", "rw", "model-no-container-permission"),
    ("ro", "NoContainer", None, None),
    ("rw", C, None, None),
    ("rw", C, "ro", None),
    ("rw", C, "rw", None),
    ("ro", C, "ro", None),
    ("ro", C, "rw", "model-permission-exceeds-owner"),
]


@pytest.mark.parametrize(("own", "isolation", "permission", "refused"), TABLE)
def test_decision_table(own: str | None, isolation: str, permission: str | None, refused: str | None) -> None:
    model = s3(owner=owner("999", own) if own else None)
    found = rules.check(group([model], [function("f", ("model", permission), isolation=isolation)]))
    assert [f.id for f in found] == ([refused] if refused else [])
