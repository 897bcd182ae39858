"""The files of a migration, judged by others: botocore, cfn-lint, unzip, Python's zipfile, a shell, a YAML reader."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
import shutil
import stat
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.validate import ParamValidator

from edge_sim.v2.recipes import problems
from tests.models import service_model
from tests.small_group import edge, ml, write_group
from tests.unit.greengrass.build import ARN, device, function, secret, volume
from tests.unit.v2.build import PHONE, F, connector, subscription, thing

BOARDS = ("--from-profile", "raspberry-pi-3", "--to-profile", "raspberry-pi-4")
HOSTILE = "$(touch /tmp/x); `id` \"'\n- a: {b} & # *"
C = "GreengrassContainer"


def rich(folder: Path, **changes: Any) -> Path:
    """A group with one of everything."""
    resources = [ml("m"), ml("n", "video", "rw"), volume("v", "/srv/it's here"), device("d", AutoAddGroupOwner=True)]
    functions = [
        function(
            "f", ("m", "ro"), ("v", "rw"), ("d", "rw"), ("secret", "ro"), isolation=C, Pinned=True, ExecArgs="-a 'b c'"
        ),
        function("g", ("m", None), ("n", None), run_as={"Uid": 0}, variables={"API_KEY": "hunter2", "MODE": "fast"}),
        {**function("spool"), "FunctionArn": "arn:aws:lambda:::function:GGCloudSpooler:1"},
    ]
    functions[2]["FunctionConfiguration"]["Environment"]["Variables"] = {"GG_CONFIG_STORAGE_TYPE": "FileSystem"}
    g = functions[1]["FunctionArn"]
    routes = [
        subscription(F, "cloud", "up/#"),
        subscription("cloud", F, "down"),
        subscription(F, g, "local"),
        subscription(g, "cloud", "g/up"),
        subscription(PHONE, F, "phone/+"),
        subscription(PHONE, "cloud", "phone/x"),
    ]
    logger = {"Id": "l", "Component": "Lambda", "Level": "INFO", "Type": "AWSCloudWatch", "Space": 100}
    more = {
        "subscriptions": {"Subscriptions": routes},
        "devices": {"Devices": [thing("phone", SyncShadow=True), thing("a:b")]},
        "connectors": {"Connectors": [connector("SNS")]},
        "loggers": {"Loggers": [logger, {**logger, "Id": "s", "Component": "GreengrassSystem", "Type": "FileSystem"}]},
    }
    write_group(folder, [*resources, secret()], [*functions], **changes)
    scenario = yaml.safe_load((folder / "edge-sim.yaml").read_text())
    for name, document in more.items():
        (folder / f"{name}.json").write_text(json.dumps(document))
        scenario["group"][name] = f"{name}.json"
    (folder / "edge-sim.yaml").write_text(yaml.safe_dump(scenario))
    return folder


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rich(tmp_path_factory.mktemp("rich") / "group")


def migrated(group: Path, out: Path, *words: str, target: str = "classic") -> Path:
    edge("migrate", group, *BOARDS, "--target", target, "-o", out, *words, status=3)
    return out


def every_byte(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("target", ["classic", "lite"])
def test_botocore_takes_every_request_and_cfn_lint_the_template(group: Path, tmp_path: Path, target: str) -> None:
    out = migrated(group, tmp_path / "out", target=target)
    model, validator = service_model("greengrassv2"), ParamValidator()
    requests = sorted(out.glob("components/*/create-component-version.json"))
    assert len(requests) == {"classic": 3, "lite": 1}[target]
    for path in requests:
        request = json.loads(path.read_text())
        if "inlineRecipe" in request:
            request["inlineRecipe"] = base64.b64decode(request["inlineRecipe"])
            assert request["inlineRecipe"] == path.with_name("recipe.yaml").read_bytes()
            assert list(problems(yaml.safe_load(request["inlineRecipe"]), request["inlineRecipe"])) == []
        shape = model.operation_model("CreateComponentVersion").input_shape
        assert not validator.validate(request, shape).has_errors(), path
    plan = json.loads((out / "deployment.json").read_text())
    report = validator.validate(plan, model.operation_model("CreateDeployment").input_shape)
    assert not report.has_errors(), report.generate_report()
    for one in plan["components"].values():
        json.loads(one.get("configurationUpdate", {}).get("merge", "{}"))
    from cfnlint.api import lint  # takes a second, which no collection of the tests has to wait for

    assert [str(match) for match in lint((out / "template.json").read_text())] == []


def test_the_deployment_configures_what_v1_had(group: Path, tmp_path: Path) -> None:
    plan = json.loads((migrated(group, tmp_path / "out") / "deployment.json").read_text())["components"]

    def merged(name: str) -> Any:
        return json.loads(plan[name]["configurationUpdate"]["merge"])

    router = merged("aws.greengrass.LegacySubscriptionRouter")["subscriptions"].values()
    assert [(one["source"], one["subject"], one["target"]) for one in router] == [("component:f", "up/#", "cloud")]
    bridge = merged("aws.greengrass.clientdevices.mqtt.Bridge")["mqttTopicMapping"].values()
    assert [(one["topic"], one["source"], one["target"]) for one in bridge] == [
        ("phone/+", "LocalMqtt", "Pubsub"),
        ("phone/x", "LocalMqtt", "IotCore"),
    ]
    groups = merged("aws.greengrass.clientdevices.Auth")["deviceGroups"]
    assert groups["definitions"]["a:b"]["selectionRule"] == "thingName: a\\:b"
    assert groups["policies"]["phone-policy"]["publish"]["resources"] == ["mqtt:topic:phone/+", "mqtt:topic:phone/x"]
    assert merged("aws.greengrass.ShadowManager")["synchronize"]["shadowDocuments"][0]["thingName"] == "phone"
    assert merged("aws.greengrass.SecretManager")["cloudSecrets"][0]["arn"].endswith("a1b2c3")
    uploads = merged("aws.greengrass.LogManager")["logsUploaderConfiguration"]["componentLogsConfigurationMap"]
    assert uploads["f"] == {"minimumLogLevel": "INFO", "diskSpaceLimit": "100", "diskSpaceLimitUnit": "KB"}
    assert merged("aws.greengrass.Nucleus")["mqtt"]["spooler"]["storageType"] == "Disk"
    assert merged("f")["accessControl"]["aws.greengrass.SecretManager"]["f:secrets:1"]["resources"]
    assert plan["g"]["runWith"] == {"posixUser": "root"}
    assert {"aws.greengrass.DiskSpooler", "aws.greengrass.SNS"} <= plan.keys()


def test_an_imported_function_keeps_its_settings_and_sees_its_model_where_it_was(group: Path, tmp_path: Path) -> None:
    path = migrated(group, tmp_path / "out") / "components/f/create-component-version.json"
    asked = json.loads(path.read_text())["lambdaFunction"]
    params = asked["componentLambdaParameters"]
    assert (asked["componentName"], asked["componentVersion"], params["pinned"]) == ("f", "1.0.0", True)
    assert params["execArgs"] == ["-a", "b c"]
    assert params["eventSources"] == [
        {"topic": "down", "type": "IOT_CORE"},
        {"topic": "phone/+", "type": "PUB_SUB"},
    ]
    container = params["linuxProcessParams"]["containerParams"]
    assert [one["destinationPath"] for one in container["volumes"]] == ["/readings", "/models/m"]
    assert container["devices"] == [{"path": "/dev/ttyAMA0", "permission": "rw", "addGroupOwner": True}]
    assert container["volumes"][1]["sourcePath"].endswith("/model.m/1.0.0/m/models/m")


@pytest.mark.process
def test_every_zip_is_read_by_unzip_and_python_and_holds_the_destination(group: Path, tmp_path: Path) -> None:
    out = migrated(group, tmp_path / "out")
    found = sorted(out.rglob("*.zip"))
    assert [path.name for path in found] == ["code.zip", "models.zip", "m.zip"]
    for path in found:
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
    with zipfile.ZipFile(found[1]) as archive:
        assert {"models/", "models/m/net/weights.bin", "models/n/net/labels.txt"} <= set(archive.namelist())
    unzip = shutil.which("unzip")
    if unzip is None:
        pytest.skip("read by Python alone: no unzip here")
    for path in found:
        subprocess.run([unzip, "-tq", path], check=True, stdout=subprocess.DEVNULL)


def test_the_same_input_gives_the_same_bytes_and_only_the_owner_gets_in(group: Path, tmp_path: Path) -> None:
    one, other = (migrated(group, tmp_path / name) for name in ("one", "other"))
    assert every_byte(one) == every_byte(other)
    assert {path.name for path in one.glob("report.*")} == {
        f"report.{suffix}" for suffix in ("txt", "json", "sarif", "html")
    }
    assert stat.S_IMODE(one.stat().st_mode) == 0o700


def test_for_several_boards_what_differs_lies_apart_and_the_rest_once(tmp_path: Path) -> None:
    contained = function("g", ("d", "rw"), isolation=C, run_as={"Uid": 1000})  # pi on one board, ubuntu on another
    resources = [ml("m"), device("d", AutoAddGroupOwner=True)]
    group = write_group(tmp_path / "group", resources, [function("f", ("m", None)), contained])
    boards = ("raspberry-pi-4", "raspberry-pi-4-bullseye", "raspberry-pi-3")
    words = [word for name in boards for word in ("--to-profile", name)]
    command = ("migrate", group, "--from-profile", "raspberry-pi-3", "--target", "classic")
    edge(*command, *words, "-o", tmp_path / "all", status=3)
    files = {path.relative_to(tmp_path / "all") for path in (tmp_path / "all").rglob("*") if path.is_file()}
    for board in boards:
        edge(*command, "--to-profile", board, "-o", tmp_path / board, status=3)
        own = tmp_path / "all/boards" / board
        for path in (path for path in (tmp_path / board).rglob("*") if path.is_file()):
            name = path.relative_to(tmp_path / board)
            if name.name.startswith("report.") or name.name == "README.md":
                continue
            there = own / name if (own / name).is_file() else tmp_path / "all" / name
            assert there.read_bytes() == path.read_bytes(), name
    apart = {path.name for path in files if path.parts[0] == "boards"}
    assert "board.sh" in apart, "accounts differ from board to board"
    assert "models.zip" in {path.name for path in files} - apart
    assert not [path for path in files if path.parts[0] != "boards" and Path("boards", boards[0], path) in files]
    assert "boards/NAME" in (tmp_path / "all/README.md").read_text()


def test_boards_that_differ_in_nothing_have_no_folders_of_their_own(tmp_path: Path) -> None:
    group = write_group(tmp_path / "group", [ml("m")], [function("f", ("m", None))])
    words = ("--to-profile", "raspberry-pi-4", "--to-profile", "raspberry-pi-4-bullseye")
    out = tmp_path / "out"
    edge("migrate", group, "--from-profile", "raspberry-pi-3", *words, "--target", "classic", "-o", out, status=3)
    assert not (out / "boards").exists()
    assert (out / "deployment.json").is_file()


def test_a_secret_is_a_placeholder_until_it_is_asked_for(group: Path, tmp_path: Path) -> None:
    hidden, shown = migrated(group, tmp_path / "a"), migrated(group, tmp_path / "b", "--include-values")
    assert not any(b"hunter2" in path.read_bytes() for path in hidden.rglob("*") if path.is_file())
    assert "REPLACE_G_API_KEY" in (hidden / "components/g/recipe.yaml").read_text()
    assert "hunter2" in (shown / "components/g/recipe.yaml").read_text()
    assert "MODE: fast" in (hidden / "components/g/recipe.yaml").read_text()


def test_a_package_that_cannot_be_packed_and_missing_code_take_no_others_with_them(tmp_path: Path) -> None:
    functions = [function("f", ("m", None), ("n", None)), function("g", ("n", None))]
    group = write_group(tmp_path / "group", [ml("m", "users"), ml("n", "users")], functions)
    text = yaml.safe_load((group / "edge-sim.yaml").read_text())
    (group / "m.tar.gz").write_bytes(b"\x1f\x8b\x08nonsense")
    text["sources"][0] = {"s3": text["sources"][0]["s3"], "file": "m.tar.gz"}
    text["code"] = text["code"][:1]
    (group / "edge-sim.yaml").write_text(yaml.safe_dump(text))
    done = edge("migrate", group, *BOARDS, "--target", "lite", "-o", tmp_path / "out", status=3)
    told = [line.partition("  ")[2] for line in done.stdout.splitlines() if "  v2-" in line or "  unreadable" in line]
    assert "v2-model-unpackable: resource m: it cannot be packed as a zip: its gzip header is damaged" in told
    assert "v2-code-missing: function g: it becomes a generic component, but its code is not available here" in told
    assert not [line for line in told if line.startswith("unreadable")], "that a run lacks it is no other fault"
    assert not [line for line in told if "missing" in line and ("resource n" in line or "function f:" in line)]
    assert "\nAccess on raspberry-pi-4" in done.stdout
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.zip")}
    assert written == {"components/f/artifacts/code.zip", "components/g/artifacts/models.zip"}


@pytest.mark.process
def test_names_break_out_of_nothing(tmp_path: Path) -> None:
    resources = [ml("m"), volume("v", f"/srv/{HOSTILE}", GroupOwner=HOSTILE)]
    functions = [function("f", ("m", None), variables={"A\nB": HOSTILE}), function("g", ("v", "rw"), isolation=C)]
    functions[0]["FunctionArn"] = f"{ARN}{HOSTILE.replace(':', '')}:1"
    functions[1]["FunctionConfiguration"]["Executable"] = HOSTILE
    group = write_group(tmp_path / "group", resources, functions)
    text = yaml.safe_load((group / "edge-sim.yaml").read_text())
    text["code"] = text["code"][1:]  # a scenario takes code for no such ARN
    (group / "edge-sim.yaml").write_text(yaml.safe_dump(text))
    out = migrated(group, tmp_path / "out")
    script = (out / "board.sh").read_text()
    subprocess.run(["sh", "-n", out / "board.sh"], check=True)
    words = shlex.split("\n".join(line for line in script.splitlines() if not line.startswith("#")), comments=True)
    assert f"/srv/{HOSTILE}" in words
    assert HOSTILE in words
    recipes = [yaml.safe_load(path.read_text()) for path in out.rglob("recipe.yaml")]
    setenv = next(one for one in recipes if one["ComponentName"] != "model.m")["Manifests"][0]["Lifecycle"]["Setenv"]
    assert setenv["A\nB"] == HOSTILE
    assert all(json.loads(path.read_text()) for path in out.rglob("*.json"))
    assert all(path.resolve().is_relative_to(out.resolve()) for path in out.rglob("*"))
