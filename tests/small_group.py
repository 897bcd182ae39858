"""A small group as files, and a board's directory to lay it out on, for the tests of plan, apply, drift and access."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner, Result

from edge_sim.cli.main import edge_sim
from tests.unit.greengrass.build import ARN, function, owner, s3

TOP = "/greengrass/ggc/deployment"
GROUPS = {"root": 0, "tty": 5, "dialout": 20, "video": 44, "ml": 5150, "ggc_group": 997}
USERS = {"root": (0, 0), "ggc_user": (998, 997)}
C = "GreengrassContainer"
Files = Mapping[str, str]
WEIGHTS: Files = {"net/weights.bin": "w" * 3000, "net/labels.txt": "cat\ndog\n"}
CODE: Files = {"main.py": "def handler(event, context):\n    return event\n"}


def ml(name: str, gid: object = "ml", permission: str = "ro") -> dict[str, Any]:
    """A model below /models, owned by a group; with ``gid`` None by nobody."""
    made = s3(name, owner=None if gid is None else owner(gid, permission), to=f"/models/{name}")
    made["ResourceDataContainer"]["S3MachineLearningModelResourceData"]["S3Uri"] = uri(name)
    return made


def uri(name: str) -> str:
    return f"s3://greengrass-models/{name}.tar.gz"


def write_group(
    folder: Path,
    resources: Sequence[dict[str, Any]],
    functions: Sequence[dict[str, Any]],
    *,
    models: Mapping[str, Files] | None = None,
    code: Files = CODE,
    boards: Sequence[str] = ("raspberry-pi-3",),
    more: Mapping[str, Any] | None = None,
) -> Path:
    """Write a scenario anew: each model's files, the same code for each function. ``more`` are further keys."""
    shutil.rmtree(folder, ignore_errors=True)
    given = dict.fromkeys(_models(resources), WEIGHTS) if models is None else models
    for name, files in {**given, "code": code}.items():
        for path, text in files.items():
            place = folder / name / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
    arn = "arn:aws:iot:eu-west-1:123456789012:thing/core"
    core = {"Id": "core", "ThingArn": arn, "CertificateArn": f"arn:aws:iot:eu-west-1:123456789012:cert/{'0' * 64}"}
    documents = {
        "core": {"Cores": [core]},
        "resources": {"Resources": resources},
        "functions": {"Functions": functions},
    }
    for name, document in documents.items():
        (folder / f"{name}.json").write_text(json.dumps(document))
    scenario = {
        "edgeSim": 1,
        "name": "small",
        "boards": list(boards),
        "group": {name: f"{name}.json" for name in documents},
        "sources": [{"s3": uri(name), "folder": name} for name in given],
        "code": [
            {"function": f["FunctionArn"], "folder": "code", "handler": "main.handler", "runtime": "python3.8"}
            for f in functions
        ],
        **(more or {}),
    }
    (folder / "edge-sim.yaml").write_text(yaml.safe_dump(scenario, sort_keys=False))
    return folder


def _models(resources: Sequence[dict[str, Any]]) -> list[str]:
    return [r["Id"] for r in resources if "S3MachineLearningModelResourceData" in r["ResourceDataContainer"]]


def group_of(folder: Path, *names: str, gid: object = "ml", **more: Any) -> Path:
    """The models ``names`` and one No-container function that has all of them."""
    made = [ml(name, gid) for name in names]
    return write_group(folder, made, [function("predict", *((name, None) for name in names))], **more)


def make_root(root: Path, *, groups: Mapping[str, int] = GROUPS) -> Path:
    """A board's directory with the accounts that a core needs, as whoever runs the test."""
    (root / "etc").mkdir(parents=True)
    (root / "greengrass/ggc").mkdir(parents=True)
    users = "".join(f"{name}:x:{uid}:{gid}::/:/bin/sh\n" for name, (uid, gid) in USERS.items())
    (root / "etc/passwd").write_text(users)
    (root / "etc/group").write_text("".join(f"{name}:x:{gid}:\n" for name, gid in groups.items()))
    (root / "etc/os-release").write_text("ID=raspbian\n")
    return root


def edge(*words: object, status: int | None = 0) -> Result:
    """Run a command of ``edge-sim``; ``status`` is the one it must end with, None for any.

    Deliberate errors come out of the command as exceptions, which ``main`` turns into a status.
    """
    done = CliRunner().invoke(edge_sim, [str(word) for word in words], catch_exceptions=True)
    found = getattr(done.exception, "exit_status", done.exit_code) if done.exception else done.exit_code
    told = f"{words}: {found}\n{done.output}\n{done.exception!r}"
    assert status is None or found == status, told
    return done


def answer(*words: object, status: int | None = 0) -> Any:
    """Run a command with ``--format json`` and return what it printed."""
    return json.loads(edge(*words, "--format", "json", status=status).stdout)


def owned_by_me(path: Path) -> bool:
    return path.stat().st_uid == os.geteuid()


FUNCTION = f"{ARN}predict:1"
