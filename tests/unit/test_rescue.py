"""Rescue from real cores' files, half a tree, trees made to lead astray, and the folder of AWS's exporter."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.small_group import answer, edge

FOUND = Path(__file__).parent / "definitions/found"
GG = "greengrass/ggc/deployment"
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:f:1"
PI = ("--profile", "raspberry-pi-3")
KEY = "-----BEGIN RSA PRIVATE KEY-----"
CONFIG = {
    "coreThing": {
        "thingArn": "arn:aws:iot:eu-west-1:123456789012:thing/core",
        "iotMqttPort": 443,
        "networkProxy": {"proxy": {"url": "https://me:hunter2@proxy:3128", "username": "me", "password": "hunter2"}},
    },
    "crypto": {
        "PKCS11": {"slotLabel": "gg", "slotUserPin": "4711"},
        "principals": {"IoTCertificate": {"privateKeyPath": "pkcs11:object=core;pin-value=4711;type=private"}},
    },
}


def board(folder: Path, group: object, **files: str) -> Path:
    """A core's tree with a group.json, keys, a config.json, and the files that are named from the root on."""
    texts = {
        f"{GG}/group/group.json": group if isinstance(group, str) else json.dumps(group),
        "greengrass/certs/core.private.key": KEY,
        "greengrass/config/config.json": json.dumps(CONFIG),
        "etc/os-release": 'ID=raspbian\nVERSION_ID="10"\n',
        **files,
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def group_json(*resources: dict[str, Any], **function: Any) -> dict[str, Any]:
    entry = {
        "FunctionArn": ARN,
        "DeploymentConfiguration": {"MemorySize": 16384, "Handler": "main.handler"},
        **function,
    }
    definitions = {"Resources": {"ref": None, "Content": [*resources]}, "Lambdas": {"ref": None, "Content": [entry]}}
    return {"Arn": "a", "Cores": [], "Devices": [], "GroupDefinitions": definitions, "Region": "eu-west-1"}


def model(rid: str, artifact: str | None = None) -> dict[str, Any]:
    data = {"S3Uri": f"s3://models/{rid}.zip", "DestinationPath": f"/models/{rid}"}
    kind = "S3MachineLearningModelResourceData"
    entry = {"Id": rid, "Type": "S3_MACHINE_LEARNING_MODEL", "Data": {"type": kind, **data}}
    return {**entry, **({"ArtifactArn": f"arn:x/{artifact}"} if artifact else {})}


def every_byte(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.mark.parametrize("name", ["group.json", "group-empty.json"])
def test_a_real_cores_group_json_comes_back(tmp_path: Path, name: str) -> None:
    root = board(tmp_path / "root", (FOUND / name).read_text())
    told = answer("rescue", "--root", root, "-o", tmp_path / "out")
    judged = answer("validate", tmp_path / "out", status=None)
    assert "unreadable" not in {one["id"] for one in judged["findings"]}
    assert told["never"]
    assert any("raspberry-pi-3" in line for line in told["guessed"])
    scenario = yaml.safe_load((tmp_path / "out/edge-sim.yaml").read_text())
    assert scenario["boards"] == ["raspberry-pi-3"]
    known = json.loads((FOUND / name).read_text())["GroupDefinitions"]["Lambdas"]["Content"]
    assert told["functions"] == len(known)
    assert len([line for line in told["lost"] if line.startswith("code of function")]) == len(known)


def test_a_tree_put_together_from_what_greengo_and_the_guide_show_gives_code_and_group(tmp_path: Path) -> None:
    """group.json, its .orig beside it and a core of 1.5.0: dzimine/greengo (misc/group.json, its setup scripts). Code
    below the function's ARN, in the root of that folder: V1's guide, ml-dlc-console.md, "Verify the Lambda function is
    successfully deployed"; config.json below configuration, as of 1.0: gg-core.md.
    """
    group = (FOUND / "group.json").read_text()
    arn = json.loads(group)["GroupDefinitions"]["Lambdas"]["Content"][0]["FunctionArn"]
    files = {
        f"{GG}/group/group.json.orig": (FOUND / "group-empty.json").read_text(),
        f"{GG}/lambda/{arn}/run.py": "def handler(event, context):\n    return event\n",
        f"{GG}/lambda/{arn}/numpy/__init__.py": "",
        "greengrass/configuration/config.json": "{}",
        "greengrass/ggc/packages/1.5.0/greengrassd": "#!/bin/sh\n",
        "greengrass/ggc/var/log/system/runtime.log": "",
    }
    root = board(tmp_path / "root", group, **files)
    (root / "greengrass/ggc/core").symlink_to("packages/1.5.0")
    told = answer("rescue", "--root", root, "-o", tmp_path / "out", *PI)
    assert told["functions"] == 1
    assert not [line for line in told["lost"] if line.startswith("code of function")]
    code = {str(path.relative_to(tmp_path / "out/functions")) for path in (tmp_path / "out/functions").rglob("*.py")}
    assert {name.partition("/")[2] for name in code} == {"run.py", "numpy/__init__.py"}
    assert all(word in _text(tmp_path / "out") for word in ("/images", "/input", "WATCH_PATTERN"))
    assert "handler: run.handler" in (tmp_path / "out/edge-sim.yaml").read_text()
    assert not [line for line in told["guessed"] if "[inferred]" in line], "a volume's encoding was published"


def test_a_deeplens_has_its_core_elsewhere_and_a_device_whose_encoding_is_inferred(tmp_path: Path) -> None:
    """The root, the device and the members Id, SourcePath and ResourceAccessPolicies of a function: the AWS forum's
    thread 826041 on sound for a DeepLens. Nobody published the rest of a device's entry.
    """
    device = {"Id": "gpu", "Type": "LOCAL_DEVICE", "Data": {"SourcePath": "/dev/dri/renderD128"}}
    device["Data"]["type"] = "LocalDeviceResourceData"  # type: ignore[index]
    policies = {"ResourceAccessPolicies": [{"ResourceId": "gpu", "Permission": "rw"}]}
    group = group_json(device)
    group["GroupDefinitions"]["Lambdas"]["Content"][0]["DeploymentConfiguration"]["Environment"] = policies
    root = board(tmp_path / "root", group)
    (root / "opt/awscam").mkdir(parents=True)
    (root / "greengrass").rename(root / "opt/awscam/greengrass")
    done = edge("rescue", "--root", root, "-o", tmp_path / "out", *PI, status=3)
    assert "/greengrass/ggc/deployment/group/group.json" in str(done.exception)
    place = ("--greengrass-root", "/opt/awscam/greengrass")
    told = answer("rescue", "--root", root, "-o", tmp_path / "out", *PI, *place)
    (line,) = (line for line in told["guessed"] if "[inferred]" in line)
    assert line.startswith("Local.Device gpu: its kind read by analogy with a volume"), line
    text = _text(tmp_path / "out")
    assert "/dev/dri/renderD128" in text
    assert "gpu" in text


def _text(rescued: Path) -> str:
    return (rescued / "group.yaml").read_text()


def test_what_is_secret_stays_on_the_board(tmp_path: Path) -> None:
    root = board(tmp_path / "root", group_json())
    told = answer("rescue", "--root", root, "-o", tmp_path / "out", *PI)
    kept = every_byte(tmp_path / "out")
    assert not any(word in kept for word in (b"hunter2", b"4711", KEY.encode()))
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["coreThing"]["iotMqttPort"] == 443
    assert config["coreThing"]["networkProxy"]["proxy"] == {"url": "https://proxy:3128"}
    assert config["crypto"]["PKCS11"] == {"slotLabel": "gg"}
    assert told["certificates"] == ["core.private.key"]
    assert sum("left on the board" in note for note in told["notes"]) == 5
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700


def test_links_lead_neither_out_of_the_board_nor_to_its_keys(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "theirs").write_text("not the board's")
    root = board(tmp_path / "root", group_json(model("m", "certs"), model("n", "n")))
    (root / GG / "mlmodel").mkdir()
    (root / GG / "mlmodel/certs").symlink_to("/greengrass/certs")
    (root / GG / "mlmodel/n").mkdir()
    (root / GG / "mlmodel/n/w.bin").write_text("w")
    (root / GG / "mlmodel/n/out").symlink_to(outside)
    (root / GG / "lambda").symlink_to(outside)
    (outside / ARN).mkdir()
    told = answer("rescue", "--root", root, "-o", tmp_path / "out", *PI)
    kept = every_byte(tmp_path / "out")
    assert KEY.encode() not in kept
    assert b"not the board's" not in kept
    assert any("model m" in line and "link" in line for line in told["lost"])
    assert any("code of function" in line and "link" in line for line in told["lost"])
    assert any("left out out" in line for line in told["notes"])
    assert (tmp_path / "out/models/n.zip").is_file()


def test_a_tar_made_to_write_elsewhere_writes_nowhere(tmp_path: Path) -> None:
    tar = tmp_path / "board.tar"
    with tarfile.open(tar, "w") as archive:
        for name, target in (("greengrass/ggc/deployment/lambda", str(tmp_path)), ("tmp", str(tmp_path))):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
        texts = {
            f"{GG}/group/group.json": json.dumps(group_json()),
            "../up": "x",
            "tmp/evil": "x",
            f"{GG}/lambda/evil": "x",
            "/abs": "x",
        }
        for name, text in texts.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
        device = tarfile.TarInfo(f"{GG}/mlmodel/null")
        device.type = tarfile.CHRTYPE
        archive.addfile(device)
    told = answer("rescue", "--tar", tar, "-o", tmp_path / "out", *PI)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["board.tar", "out"]
    assert told["functions"] == 1


def test_half_a_tree_is_told_and_the_rest_is_there(tmp_path: Path) -> None:
    group = group_json(model("m", "m"), model("n", "n"))
    root = board(
        tmp_path / "root", group, **{f"{GG}/mlmodel_public/m/w.bin": "w", f"{GG}/lambda/{ARN}/main.py": "x = 1\n"}
    )
    (root / "greengrass/config/config.json").write_text("{")
    told = answer("rescue", "--root", root, "-o", tmp_path / "out", *PI)
    assert (told["functions"], told["models"]) == (1, 1)
    assert any(line.startswith("model n: not on the board") for line in told["lost"])
    assert any("config.json: cannot be read" in line for line in told["notes"])
    assert any("runtime python3.7" in line for line in told["guessed"])
    assert (tmp_path / "out/functions" / "f").parent.is_dir()
    assert any(path.name == "main.py" for path in (tmp_path / "out/functions").rglob("*"))


def test_a_model_without_an_artifact_is_guessed_only_where_there_is_one(tmp_path: Path) -> None:
    root = board(tmp_path / "one", group_json(model("m")), **{f"{GG}/mlmodel/uuid/w.bin": "w"})
    told = answer("rescue", "--root", root, "-o", tmp_path / "out", *PI)
    assert told["models"] == 1
    assert any(line.startswith("model m:") for line in told["guessed"])
    root = board(tmp_path / "two", group_json(model("m")), **{f"{GG}/mlmodel/{n}/w.bin": "w" for n in ("u1", "u2")})
    told = answer("rescue", "--root", root, "-o", tmp_path / "other", *PI)
    assert told["models"] == 0
    assert len(told["lost"]) == 4


@pytest.mark.parametrize(
    ("text", "words"), [("", "not JSON"), ("{]", "not JSON"), ('{"Definitions": 1}', "group"), ("\ufeff\x00", "JSON")]
)
def test_a_foreign_group_json_is_one_sentence_and_leaves_nothing(tmp_path: Path, text: str, words: str) -> None:
    root = board(tmp_path / "root", text)
    done = edge("rescue", "--root", root, "-o", tmp_path / "out", status=3)
    assert "group.json" in str(done.exception)
    assert "\n" not in str(done.exception)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root"]
    shutil.rmtree(root / GG)
    edge("rescue", "--root", root, "-o", tmp_path / "out", status=3)
    assert words


def test_code_that_was_not_on_the_board_is_not_packed_for_v2(tmp_path: Path) -> None:
    root = board(tmp_path / "root", group_json())
    edge("rescue", "--root", root, "-o", tmp_path / "out", *PI)
    words = ("--from-profile", "raspberry-pi-3", "--target", "lite", "-o", tmp_path / "v2")
    found = answer("migrate", tmp_path / "out", *words, status=3)["findings"]
    assert "v2-code-missing" in {one["id"] for one in found}
    assert b"not on the board" not in every_byte(tmp_path / "v2")
    assert not list((tmp_path / "v2").rglob("*.zip"))


def test_a_model_that_cannot_be_packed_is_named_as_on_the_board(tmp_path: Path) -> None:
    root = board(tmp_path / "root", group_json(model("m", "m")), **{f"{GG}/mlmodel/m/w.bin": "w"})
    (root / GG / "mlmodel/m" / os.fsdecode(b"\xff")).write_text("x")
    told = answer("rescue", "--root", root, "-o", tmp_path / "out", *PI)
    assert f"model m: /{GG}/mlmodel/m/" in told["lost"][0]


def elsewhere(tmp_path: Path) -> Path:
    """A core whose config.json names a write directory, a link on the board, in which the deployment lies."""
    texts = {"data/real/deployment/mlmodel/m/w.bin": "w", f"data/real/deployment/lambda/{ARN}/main.py": "x = 1\n"}
    root = board(tmp_path / "root", group_json(model("m", "m")), **texts)
    (root / "data/gg").symlink_to("/data/real")
    (root / GG / "group").rename(root / "data/real/deployment/group")
    (root / "greengrass/config/config.json").write_text('{"writeDirectory": "/data/gg/"}')
    return root


@pytest.mark.parametrize("form", ["disk", "tar"])
def test_a_core_that_writes_elsewhere_is_read_there(tmp_path: Path, form: str) -> None:
    root = elsewhere(tmp_path)
    words: tuple[object, ...] = ("--root", root)
    if form == "tar":
        with tarfile.open(tmp_path / "board.tar", "w") as archive:
            archive.add(root, "")
        words = ("--tar", tmp_path / "board.tar")
    told = answer("rescue", *words, "-o", tmp_path / "out", *PI)
    assert (told["functions"], told["models"]) == (1, 1)
    assert not [line for line in told["lost"] if "not on the board" in line]
    assert "config.json names /data/gg as writeDirectory, so the deployment was read from there" in told["notes"]


def test_a_write_directory_without_a_group_is_told_and_the_cores_own_is_read(tmp_path: Path) -> None:
    root = board(tmp_path / "root", group_json())
    (root / "greengrass/config/config.json").write_text('{"writeDirectory": "/data/gg"}')
    told = answer("rescue", "--root", root, "-o", tmp_path / "out", *PI)
    assert any("/data/gg as writeDirectory, which has none" in line for line in told["guessed"])
    shutil.rmtree(root / GG)
    done = edge("rescue", "--root", root, "-o", tmp_path / "none", *PI, status=3)
    assert "is its file system mounted" in str(done.exception.hint)  # type: ignore[union-attr]


@pytest.mark.parametrize("named", ["data", "/", "/../../etc", 7, "/a\u0000b", None])
def test_a_write_directory_that_is_none_is_not_looked_at(tmp_path: Path, named: object) -> None:
    root = board(tmp_path / "root", group_json())
    (root / "greengrass/config/config.json").write_text(json.dumps({"writeDirectory": named}))
    assert answer("rescue", "--root", root, "-o", tmp_path / "out", *PI)["functions"] == 1


def test_folders_of_settings_and_keys_that_are_links_do_not_end_a_rescue(tmp_path: Path) -> None:
    root = board(tmp_path / "root", group_json())
    for name in ("certs", "config"):
        (root / "greengrass" / name).rename(root / name)
        (root / "greengrass" / name).symlink_to(f"/{name}")
    told = answer("rescue", "--root", root, "-o", tmp_path / "out", *PI)
    assert told["certificates"] == []
    assert any("names of certificates" in line and "link" in line for line in told["lost"])
    assert any("config.json" in line and "link" in line for line in told["notes"])


def test_a_tar_that_would_fill_the_disk_is_refused_before_it_does(tmp_path: Path) -> None:
    sparse = tarfile.TarInfo(f"{GG}/mlmodel/m/w.bin")
    sparse.type, sparse.size = tarfile.GNUTYPE_SPARSE, 0
    header = bytearray(sparse.tobuf(tarfile.GNU_FORMAT))
    header[483:495] = b"\x80" + (1 << 50).to_bytes(11, "big")  # its size once it is laid out
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "board.tar").write_bytes(bytes(header) + bytes(1024))
    done = edge("rescue", "--tar", tmp_path / "board.tar", "-o", tmp_path / "out", *PI, status=3)
    assert "64 GiB: not a board's tree" in str(done.exception)


def test_a_tar_with_a_path_of_a_thousand_folders_is_laid_without_it(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "board.tar", "w") as archive:
        for name, text in ((f"{GG}/group/group.json", json.dumps(group_json())), ("a/" * 1500 + "b", "x")):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    told = answer("rescue", "--tar", tmp_path / "board.tar", "-o", tmp_path / "out", *PI)
    assert any("not a valid name on a board" in note for note in told["notes"])


def test_what_awss_exporter_wrote_is_read_and_what_it_lacks_is_told(tmp_path: Path) -> None:
    export = tmp_path / "export"
    (export / "lambda-code/f").mkdir(parents=True)
    (export / "lambda-code/f/main.py").write_text("x = 1\n")
    function = {"Id": "f", "FunctionArn": ARN, "FunctionConfiguration": {"MemorySize": 16384}}
    lost = {"Id": "g", "FunctionArn": ARN.replace(":f:", ":g:"), "FunctionConfiguration": {"MemorySize": 16384}}
    (export / "functions.json").write_text(json.dumps({"Definition": {"Functions": [function, lost]}, "Id": "x"}))
    route = {"Id": "s", "Source": ARN, "Subject": "a", "Target": "cloud"}
    (export / "subscriptions.json").write_text(json.dumps({"Definition": {"Subscriptions": [route]}, "Id": "y"}))
    (export / "group.json").write_text(json.dumps({"Definition": {"CoreDefinitionVersionArn": "arn:x"}, "Id": "z"}))
    told = answer("rescue", "--export", export, "-o", tmp_path / "out")
    assert (tmp_path / "out/functions/f/main.py").is_file()
    assert sum("exporter leaves them out" in line for line in told["lost"]) == 5
    assert any("code of function g" in line for line in told["lost"])
    words = ("--from-profile", "raspberry-pi-3")
    assert answer("migrate", tmp_path / "out/group.yaml", *words, status=0)["ok"]
