"""The example's board with functions of a test's own that ship AWS's Core SDK, and with a key and secrets."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import greengrasssdk

from edge_sim.agent.deployment import secrets
from edge_sim.agent.functions.daemon import Daemon
from edge_sim.agent.functions.router import ToCloud
from edge_sim.greengrass.plan import function_directory
from edge_sim.greengrass.resources import Secret
from edge_sim.greengrass.subscriptions import Subscription
from edge_sim.greengrass.tree import BELOW
from tests.factory import write_key
from tests.root.functions_board import Board

CANARY = "a-value-that-is-nowhere-else"
HEAD = "import greengrasssdk, json, os, time\nfrom pathlib import Path\n"


def with_code(made: Board, name: str, text: str) -> None:
    """Give a function a handler of the test's own, with AWS's SDK beside it as a user ships it."""
    function = made.function(name)
    folder = made.path(function_directory(made.facts, function))
    shutil.copytree(Path(greengrasssdk.__file__).parent, folder / "greengrasssdk", dirs_exist_ok=True)
    (folder / f"{name.replace('-', '_')}.py").write_text(HEAD + text)


def with_secrets(made: Board, value: str = CANARY) -> str:
    """Put the group's secret on the board, as a deployment does; return its ARN."""
    (made.root / "greengrass/certs").mkdir(exist_ok=True)
    write_key(made.root / "greengrass/certs/core.key")
    with_config(made, '{"coreThing": {"keyPath": "core.key"}}')
    (arn,) = (r.data.arn for r in made.group.resources if isinstance(r.data, Secret))

    def fetch(_url: str) -> Mapping[str, Any]:
        version = {"VersionId": "1", "VersionStages": ["AWSCURRENT"], "CreatedDate": 1000, "SecretString": value}
        return {"ARN": arn, "Name": "greengrass-meter-token", "Versions": [version]}

    document = {"Secrets": {"meter-token": {"Url": "http://cloud/"}}}
    content = secrets.sealed(made.group, document, made.root, "/greengrass", fetch)
    assert content is not None
    path = made.root / "greengrass" / BELOW.secrets
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o600)
    return arn


def with_config(made: Board, text: str) -> None:
    (made.root / "greengrass/config").mkdir(exist_ok=True)
    (made.root / "greengrass/config/config.json").write_text(text)


def with_table(made: Board, *rows: tuple[str, str, str]) -> Board:
    """Give the group subscriptions: source, topic filter, target."""
    table = tuple(Subscription(id=str(n), source=s, subject=f, target=t) for n, (s, f, t) in enumerate(rows))
    return replace(made, group=replace(made.group, subscriptions=table))


@contextmanager
def daemon(made: Board, to_cloud: ToCloud | None = None) -> Iterator[Daemon]:
    with Daemon(made.group, made.root, made.facts, to_cloud=to_cloud) as running:
        yield running


def runtime_log(made: Board) -> str:
    path = made.root / "greengrass/ggc/var/log/system/runtime.log"
    return path.read_text() if path.exists() else ""
