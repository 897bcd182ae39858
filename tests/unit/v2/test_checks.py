"""Every check of a migration: a group on which it speaks, and one like it on which it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edge_sim.facts import User
from edge_sim.greengrass.functions import FunctionCode
from edge_sim.greengrass.plan import Content
from edge_sim.v2.checks import CHECKS
from edge_sim.v2.move import Move, PackageFacts
from tests.unit.greengrass.build import ARN, device, function, owner, s3, secret, volume
from tests.unit.v2.build import CONTAINER, PHONE, F, G, connector, move, new_board, subscription, thing

LITE: dict[str, Any] = {"nucleus": "lite"}
ZIP = PackageFacts(file_name="m.zip", size=10, unpacked=20)
TAR = PackageFacts(file_name="m.tar.gz", size=10, unpacked=20)
SYSTEM = "arn:aws:lambda:::function:"


def fs(*functions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"functions": list(functions), **more}


def named(arn: str, fid: str = "f", **config: Any) -> dict[str, Any]:
    return {**function(fid, **config), "FunctionArn": arn}


def model(gid: object = "ml", permission: str = "ro", *, where: str = "m", **more: Any) -> dict[str, Any]:
    """A No-container function with one model."""
    made = s3("m", owner=None if gid is None else owner(gid, permission), to=f"/models/{where}")
    return fs(function("f", ("m", None)), resources=[made], **{"models_known": {"m": ZIP}, **more})


def packed(**changes: Any) -> dict[str, Any]:
    return model(models_known={"m": replace(TAR, **changes)})


def local(resource: dict[str, Any], isolation: str = "GreengrassContainer", **more: Any) -> dict[str, Any]:
    return fs(function("f", (resource["Id"], "rw"), isolation=isolation), resources=[resource], **more)


def runtime(name: str) -> dict[str, Any]:
    return fs(function("f"), runtime=name)


def between(source: str, target: str, subject: str = "a/b", **more: Any) -> dict[str, Any]:
    routes = [subscription(source, target, subject)]
    return fs(function("f"), function("g"), subscriptions=routes, devices=[thing("phone")], **more)


def loggers(*levels: str, kind: str = "FileSystem") -> dict[str, Any]:
    parts = ("GreengrassSystem", "Lambda")
    found = [{"Id": p, "Component": p, "Level": level, "Type": kind} for p, level in zip(parts, levels, strict=False)]
    return {"loggers": found}


def to(**changes: Any) -> dict[str, Any]:
    return {"to": new_board(**changes)}


def made(given: dict[str, Any]) -> Move:
    values = dict(given)
    name = values.pop("runtime", None)
    found = move(**values)
    if name:
        code = FunctionCode(artifact_arn="", handler="a.b", runtime=name, sha256="", size=0)
        found = replace(found, group=replace(found.group, code={f.id: code for f in found.group.functions}))
    return found


PINNED: dict[str, Any] = {"Pinned": True}
RUN_AS = {"Execution": {"RunAs": {"Uid": 1001}}}
TWO_MODELS = [s3("m", owner=owner("ml"), to="/models/a"), s3("n", owner=owner("video"), to="/models/b")]
NESTED = [s3("m", owner=owner("ml"), to="/models/a"), s3("n", owner=owner("ml"), to="/models/a/b")]
APART = [s3("m", owner=owner("ml"), to="/models/a"), s3("n", owner=owner("ml"), to="/models/ab")]
BOTH = function("f", ("m", None), ("n", None))
CORE = thing("core")
SAGEMAKER = {
    "Id": "m",
    "Name": "m",
    "ResourceDataContainer": {
        "SageMakerMachineLearningModelResourceData": {
            "SageMakerJobArn": "arn:aws:sagemaker:eu-west-1:123456789012:training-job/j",
            "DestinationPath": "/models/m",
            "OwnerSetting": owner("ml"),
        }
    },
}
SPOOLER = named(f"{SYSTEM}GGCloudSpooler:1", "spool", variables={"GG_CONFIG_STORAGE_TYPE": "FileSystem"})
MEMORY_SPOOLER = named(f"{SYSTEM}GGCloudSpooler:1", "spool", variables={"GG_CONFIG_STORAGE_TYPE": "Memory"})
NO_SUFFIX = secret()
NO_SUFFIX = {
    **NO_SUFFIX,
    "ResourceDataContainer": {"SecretsManagerSecretResourceData": {"ARN": "arn:aws:x:secret:key"}},
}
A_TO_B = subscription(PHONE, "cloud", "a/#")
B_TO_A = subscription("cloud", PHONE, "a/b")
ELSEWHERE = subscription("cloud", PHONE, "b/b")

CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lambda-version": (fs(named(f"{ARN}f:live")), fs(named(F))),
    "component-name-twice": (
        fs(named(f"{ARN}f:1", "a:b"), named(f"{ARN}f:2", "a_b")),
        fs(named(f"{ARN}f:1", "ab"), named(f"{ARN}f:2", "a_b")),
    ),
    "lambda-twice": (fs(named(f"{ARN}f:1", "a"), named(f"{ARN}f:2", "b")), fs(named(F, "a"), named(G, "b"))),
    "component-name": (fs(named(f"{ARN}f:1000000")), fs(named(f"{ARN}f:999999"))),
    "native-executable": (fs(named("arn:aws:greengrass:::runtime/function/executable")), fs(named(F))),
    "lambda-on-lite": ({**fs(function("f")), **LITE}, fs(function("f"))),
    "generic-component": (model(), fs(function("f"))),
    "not-on-lite": (
        {**fs(function("f", ("secret", "ro")), resources=[secret()]), **LITE},
        {**fs(function("f")), **LITE},
    ),
    "container-on-lite": ({**fs(function("f", **CONTAINER)), **LITE}, {**fs(function("f")), **LITE}),
    "container-cgroups": (fs(function("f", **CONTAINER), **to(cgroups="v2")), fs(function("f", **CONTAINER))),
    "runtime-deprecated": (runtime("python3.7"), runtime("python3.12")),
    "interpreter": (
        {**runtime("python3.7"), **to(programs={"python3.7": False})},
        {**runtime("python3.7"), **to(programs={"python3.7": True})},
    ),
    "handler": (fs(function("f", Executable="a.b")), {**fs(function("f", Executable="a.b")), "runtime": "python3.7"}),
    "runtime-override": (fs(function("f", FunctionRuntimeOverride="python3.8")), fs(function("f"))),
    "pinned-default": (fs(function("f")), fs(function("f", Pinned=False))),
    "timeout-default": (fs(function("f")), fs(function("f", Timeout=3))),
    "exec-args": (fs(function("f", ExecArgs="-a 'b c'")), fs(function("f", ExecArgs="-a"))),
    "memory-limit": (fs(function("f", **CONTAINER)), fs(function("f"))),
    "memory-unlimited": ({**fs(function("f", **CONTAINER)), **LITE}, fs(function("f", **CONTAINER))),
    "isolation-default": (
        fs(function("f", isolation=None), default={"Execution": {"IsolationMode": "GreengrassContainer"}}),
        fs(function("f"), default={"Execution": {"IsolationMode": "GreengrassContainer"}}),
    ),
    "run-as-account": (
        fs(function("f", run_as={"Uid": 1001})),
        fs(function("f", run_as={"Uid": 1001}), **to(users={"root": User(uid=0, gid=0)})),
    ),
    "root": (fs(function("f", run_as={"Uid": 0})), fs(function("f", run_as={"Uid": 1001}))),
    "run-as-default": (fs(function("f"), default=RUN_AS), fs(function("f"))),
    "run-as-lite": ({**fs(function("f", run_as={"Uid": 5})), **LITE}, {**fs(function("f")), **LITE}),
    "environment-secret": (
        fs(function("f", variables={"API_KEY": "x"})),
        fs(function("f", variables={"KEYBOARD": "x", "API_KEY": ""})),
    ),
    "environment-braces": (
        fs(function("f", variables={"A": "{artifacts:path}/x"})),
        fs(function("f", variables={"A": "{x}"})),
    ),
    "worker-counts": (fs(function("f")), fs(function("f", **PINNED))),
    "idle-time": (
        fs(function("f"), uses={"f": frozenset({"memory"})}),
        fs(function("f", **PINNED), uses={"f": frozenset({"memory"})}),
    ),
    "resource-limits": (
        fs(function("f", sysfs=True, **CONTAINER), **to(cgroups="v2")),
        fs(function("f", sysfs=True, **CONTAINER)),
    ),
    "code-missing": (model(), model(code_known={"f": ZIP})),
    "v1-paths": (
        fs(function("f", variables={"A": "/greengrass/ggc/x"})),
        fs(function("f", variables={"A": "/greengrass/x"})),
    ),
    "model-missing": (model(models_known={}), model()),
    "model-format": (packed(), model()),
    "model-unpackable": (packed(problem="link/x: a link"), packed()),
    "model-links": (packed(links=("a -> b",)), packed()),
    "model-case-twins": (
        packed(contents=(Content(path="a/W.bin", type="file"), Content(path="A/w.bin", type="file"))),
        packed(contents=(Content(path="a/w.bin", type="file"), Content(path="b/w.bin", type="file"))),
    ),
    "model-dots": (
        {**packed(contents=(Content(path="v1../w.bin", type="file"),)), **LITE},
        {**packed(contents=(Content(path="v1/w..bin", type="file"),)), **LITE},
    ),
    "model-source": (
        fs(function("f", ("m", None)), resources=[SAGEMAKER]),
        fs(function("f", ("m", None)), resources=[SAGEMAKER], bucket="mine"),
    ),
    "model-owner": (model(), model(None)),
    "model-writable": (model("ml", "rw"), model("ml", "ro")),
    "board-tmp": (
        {"to": new_board(mounts={"/": frozenset(), "/tmp": frozenset({"noexec", "nodev"})})},
        {"to": new_board(mounts={"/": frozenset({"noexec"}), "/tmp": frozenset({"nodev"})})},
    ),
    "model-written": (
        model("ml", "rw", written={("f", "m"): frozenset({"cache/a.bin"})}),
        model("ml", "rw", written={("g", "m"): frozenset({"cache/a.bin"})}),
    ),
    "model-root-only": (model(None), model()),
    "model-listing": (model(), fs(function("f"))),
    "executable-bits": (
        packed(contents=(Content(path="run", type="file", executable=True),)),
        packed(contents=(Content(path="run", type="file"),)),
    ),
    "model-owners": (fs(BOTH, resources=TWO_MODELS), fs(BOTH, resources=APART)),
    "model-nested": (fs(BOTH, resources=NESTED), fs(BOTH, resources=APART)),
    "model-destination": (model(where="../.."), model()),
    "model-prefix": (model(), fs(function("f"))),
    "model-versioned-path": (
        fs(function("f", ("m", "ro"), **CONTAINER), resources=[s3("m", owner=owner())]),
        model(),
    ),
    "model-in-place": (model("ml", "rw"), model("ml", "ro")),
    "model-zip64": (packed(unpacked=2**32), packed(unpacked=2**31)),
    "tar-advice": (packed(), model()),
    "auto-group-owner": (local(device(AutoAddGroupOwner=True)), local(device())),
    "group-owner": (local(device(GroupOwner="video")), local(device(AutoAddGroupOwner=True, GroupOwner="video"))),
    "volume-shared": (
        fs(
            function("f", ("volume", "ro"), **CONTAINER),
            function("g", ("volume", "ro"), **CONTAINER),
            resources=[volume()],
        ),
        local(volume()),
    ),
    "source-path": (local(volume(source="/srv/none")), local(volume())),
    "local-without-container": ({**local(volume()), **LITE}, local(volume())),
    "secret-policy": (
        fs(function("f", ("secret", "ro")), resources=[secret()]),
        fs(function("f"), resources=[secret()]),
    ),
    "secret-arn": (
        fs(function("f", ("secret", "ro")), resources=[NO_SUFFIX]),
        fs(function("f", ("secret", "ro")), resources=[secret()]),
    ),
    "connector-none": ({"connectors": [connector("RaspberryPiGPIO")]}, {"connectors": [connector("SNS")]}),
    "connector-successor": ({"connectors": [connector("SNS")]}, {"connectors": [connector("SNS")], **LITE}),
    "function-to-device": (between(F, PHONE), between(F, "cloud")),
    "devices-on-lite": ({"devices": [thing("phone")], **LITE}, {"devices": [thing("phone")]}),
    "shadow-subscription": (between(F, "GGShadowService"), between(F, G)),
    "shadow-calls": (
        fs(function("f"), uses={"f": frozenset({"shadow"})}),
        fs(function("f"), uses={"f": frozenset({"publish"})}),
    ),
    "any-publisher": (between(PHONE, F), between(F, G)),
    "router-entry": (between(F, G), between("cloud", G)),
    "publish-unrouted": (
        {**between(G, "cloud"), "uses": {"f": frozenset({"publish"})}},
        {**between(F, "cloud"), "uses": {"f": frozenset({"publish"})}},
    ),
    "publish-lost": (
        fs(function("f"), published={F: frozenset({"a/b"})}),
        fs(function("f"), published={G: frozenset({"a/b"})}),
    ),
    "wildcard-pubsub": (between(PHONE, F, "a/+"), between(PHONE, F, "a/b")),
    "stranger": (between(F, f"{ARN}h:1"), between(F, G)),
    "bridge-loop": ({"subscriptions": [A_TO_B, B_TO_A]}, {"subscriptions": [A_TO_B, ELSEWHERE]}),
    "device-to-device": (between(PHONE, PHONE), between(PHONE, "cloud")),
    "device-bridge": (between(PHONE, "cloud"), between(PHONE, PHONE)),
    "device-publish-wildcard": (between(PHONE, "cloud", "a/#"), between("cloud", PHONE, "a/#")),
    "shadow-sync": ({"core": [thing("c", SyncShadow=True)]}, {"core": [thing("c", SyncShadow=False)]}),
    "board-architecture": (to(architecture="armv6l"), to(architecture="armv7l")),
    "board-libc": (to(libc="musl"), to(libc_version="2.25")),
    "board-init": ({**to(init="procd"), **LITE}, to(init="procd")),
    "board-sudo": (to(operating_system="openwrt", programs={}), to()),
    "board-java": (to(programs={"java": False}), to(programs={"java8": True})),
    "board-memory": (to(memory_kib=64 * 1024), to(memory_kib=1024 * 1024)),
    "board-storage": (to(storage_kib=64 * 1024), to()),
    "component-count": (
        {**fs(*(function(f"f{n}") for n in range(51))), **LITE},
        {**fs(*(function(f"f{n}") for n in range(50))), **LITE},
    ),
    "side-by-side": ({"core": [CORE]}, {}),
    "pin-versions": (fs(function("f")), {}),
    "replaces-all": (fs(function("f"), function("g")), fs(function("f"))),
    "local-trial": ({**model(), **LITE}, model()),
    "settings-lost": ({"config": {"runtime": {"lruSize": 3}}}, {"config": {"runtime": {"other": 3}}}),
    "spooler": (fs(SPOOLER), fs(MEMORY_SPOOLER)),
    "system-function": (fs(SPOOLER), fs(function("f"))),
    "loggers": (loggers("INFO"), loggers("INFO", kind="AWSCloudWatch")),
    "log-levels": (loggers("INFO", "DEBUG"), loggers("INFO", "INFO")),
    "cloudwatch-logs": (loggers("INFO", kind="AWSCloudWatch"), loggers("INFO")),
}


def test_there_is_a_case_for_every_check_and_a_source() -> None:
    assert sorted(CASES) == sorted(one.id.removeprefix("v2-") for one in CHECKS)
    assert len(CHECKS) >= 40
    assert all(one.source and one.what.endswith(".") for one in CHECKS)
    assert len({one.id for one in CHECKS}) == len(CHECKS)


@pytest.mark.parametrize("rule", CHECKS, ids=lambda rule: rule.id)
def test_a_check_speaks_of_its_case_and_of_no_other(rule: Any) -> None:
    bad, good = CASES[rule.id.removeprefix("v2-")]
    found = list(rule.findings(made(bad)))
    assert found, "the check says nothing"
    assert {one.severity for one in found} <= {rule.severity, "unknown"}
    assert any(one.severity == rule.severity for one in found) or rule.id == "v2-model-prefix"
    assert list(rule.findings(made(good))) == []


def test_an_unknown_version_of_glibc_is_neither_new_nor_old_enough() -> None:
    """A board that ``profiles capture`` looked at may not have told its version."""
    (rule,) = [one for one in CHECKS if one.id == "v2-board-libc"]
    for version in ("", "unknown"):
        (finding,) = rule.findings(made(to(libc_version=version)))
        assert finding.severity == "unknown"
