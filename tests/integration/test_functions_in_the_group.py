"""Functions of a deployed group, from the API call to the board and back: messages, secrets, pinned functions."""

from __future__ import annotations

import json
import queue
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import greengrasssdk
import paho.mqtt.client as paho
import psutil
import pytest

from edge_sim.cloud.server import Cloud
from edge_sim.emulation import drivers
from edge_sim.emulation.board import AgentSettings, Board, BoardSpec
from edge_sim.greengrass.rows import AccessRow
from edge_sim.greengrass.tree import BELOW
from edge_sim.profiles import load_profile
from edge_sim.runs.agentprocess import AgentProcess, agent_running, ask
from edge_sim.runs.rows import FunctionRow
from tests import needs
from tests.integration.cloud_client import ACCOUNT, CERTIFICATE, client, deploy

pytestmark = [
    pytest.mark.network,
    pytest.mark.root,
    needs.mounts,
]
LIMIT_S = 60
CANARY = "the-value-of-the-token"
SECRET = f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:greengrass-token-AbCdEf"
THING = f"arn:aws:iot:us-east-1:{ACCOUNT}:thing/core1"
LISTENER, READER, BROKEN = (
    f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{n}:1" for n in ("listener", "reader", "broken")
)
CODE = {
    LISTENER: (
        "import greengrasssdk, json, os, time\n"
        "client = greengrasssdk.client('iot-data')\n"
        "client.publish(topic='up/started', payload=json.dumps({'pid': os.getpid()}))\n"
        "def handler(event, context):\n"
        "    answer = {'pid': os.getpid(), 'heard': event, 'on': context.client_context.custom.get('subject')}\n"
        "    client.publish(topic='up/answer', payload=json.dumps(answer))\n"
        "    while event.get('busy'):\n"
        "        time.sleep(1)\n"
        "    return answer\n"
    ),
    READER: (
        "import greengrasssdk\n"
        "def handler(event, context):\n"
        "    get = greengrasssdk.client('secretsmanager').get_secret_value\n"
        "    return [len(get(SecretId='greengrass-token', **kind)['SecretString']) for kind in event]\n"
    ),
    BROKEN: "import nowhere\n",
}


class Listening:
    """A client of the cloud's broker."""

    def __init__(self, url: str) -> None:
        self._heard: queue.Queue[tuple[str, Any]] = queue.Queue()
        versions = getattr(paho, "CallbackAPIVersion", None)
        self.client = paho.Client(versions.VERSION2) if versions else paho.Client()
        self.client.on_message = lambda *given: self._heard.put((given[2].topic, json.loads(given[2].payload)))
        self.client.connect(str(urlsplit(url).hostname), int(urlsplit(url).port or 0))
        self.client.loop_start()
        self.client.subscribe("up/#", 1)

    def next(self) -> tuple[str, Any]:
        return self._heard.get(timeout=LIMIT_S)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def function(arn: str, isolation: str, **more: Any) -> dict[str, Any]:
    policies = more.pop("policies", [])
    environment = {"Execution": {"IsolationMode": isolation}, "ResourceAccessPolicies": policies}
    memory = {"MemorySize": 65536} if isolation == "GreengrassContainer" else {}
    config = {"Timeout": 20, "Environment": environment, **memory, **more}
    return {"Id": arn.split(":")[6], "FunctionArn": arn, "FunctionConfiguration": config}


def version(cloud: Cloud, functions: list[dict[str, Any]], *, labels: tuple[str, ...] | None = None) -> dict[str, str]:
    """Return the definition versions of a group; ``labels`` are those of its secret, None leaves the secret out."""
    gg = client(cloud, "greengrass")
    data = {"ARN": SECRET, "AdditionalStagingLabelsToDownload": list(labels or ())}
    token = {"Id": "token", "Name": "token", "ResourceDataContainer": {"SecretsManagerSecretResourceData": data}}
    resources = [token] if labels is not None else []
    core = {"Id": "core", "ThingArn": THING, "CertificateArn": CERTIFICATE}
    table = [
        {"Id": "1", "Source": LISTENER, "Subject": "up/#", "Target": "cloud"},
        {"Id": "2", "Source": "cloud", "Subject": "down/+", "Target": LISTENER},
    ]
    made = {
        "Core": gg.create_core_definition(InitialVersion={"Cores": [core]}),
        "Resource": gg.create_resource_definition(InitialVersion={"Resources": resources}),
        "Function": gg.create_function_definition(InitialVersion={"Functions": functions}),
        "Subscription": gg.create_subscription_definition(InitialVersion={"Subscriptions": table}),
    }
    return {f"{kind}DefinitionVersionArn": answer["LatestVersionArn"] for kind, answer in made.items()}


class World:
    """A cloud, a board with an agent, and one group for both."""

    def __init__(self, cloud: Cloud, board: Board, agent: AgentProcess) -> None:
        self.cloud, self.board, self.agent = cloud, board, agent
        self._group: str | None = None

    def deployed(self, definitions: dict[str, str]) -> dict[str, Any]:
        """Deploy and return the agent's last word on it."""
        gg = client(self.cloud, "greengrass")
        if self._group is None:
            made = gg.create_group(Name="g", InitialVersion=definitions)
            self._group, number = made["Id"], made["LatestVersion"]
        else:
            number = gg.create_group_version(GroupId=self._group, **definitions)["Version"]
        status = deploy(self.cloud, str(self._group), number)
        assert status["DeploymentStatus"] in ("InProgress", "Success"), status  # the agent may be done already
        return self._end_of(status["DeploymentId"])

    def _end_of(self, deployment: str) -> dict[str, Any]:
        while True:
            for event in self.agent.events:
                if event.get("id") == deployment and event["status"] != "InProgress":
                    return event
            self.agent.check()
            self.agent._take(0.1)

    def invoke(self, name: str, event: object) -> dict[str, Any]:
        read = partial(FunctionRow.from_json, name)
        row = ask(self.board, "invoke", name, "--event", json.dumps(event), read=read, timeout_s=LIMIT_S)
        return row.as_json()

    def access(self) -> tuple[AccessRow, ...]:
        return ask(self.board, "access", read=lambda a: a.children("access", AccessRow.from_json), timeout_s=LIMIT_S)

    @property
    def secrets(self) -> Path:
        return Path(self.board.root) / "greengrass" / BELOW.secrets


@contextmanager
def world(tmp_path: Path) -> Iterator[World]:
    profile = load_profile("generic-x86_64")
    spec = BoardSpec(profile=profile, core=profile.greengrass.version)
    with (
        Cloud() as cloud,
        drivers.local() as driver,
        driver.board(replace(spec, agent=AgentSettings(thing="core1", broker=cloud.mqtt_url))) as board,
        agent_running(board) as agent,
    ):
        for arn, text in CODE.items():
            folder = tmp_path / arn.split(":")[6]
            shutil.copytree(Path(greengrasssdk.__file__).parent, folder / "greengrasssdk")
            (folder / "app.py").write_text(text)
            code = {"path": str(folder), "handler": "app.handler", "runtime": "python3.7"}
            cloud.parts.functions.register({arn: code})
        kept = {"SecretString": CANARY, "Stages": {"OLD": CANARY + "-old"}}
        cloud.load_sources([{"uri": SECRET, "secret": kept}])
        agent.wait_for("connected", timeout_s=LIMIT_S, alive=lambda: None)
        yield World(cloud, board, agent)


def test_a_pinned_function_talks_with_the_cloud_along_the_subscriptions(tmp_path: Path) -> None:
    with world(tmp_path) as here:
        listening = Listening(here.cloud.mqtt_url)
        try:
            done = here.deployed(version(here.cloud, [function(LISTENER, "NoContainer", Pinned=True)]))
            assert done["status"] == "Success", done
            topic, started = listening.next()
            assert topic == "up/started"
            listening.client.publish("down/here", '{"n": 1}', 1)
            topic, answer = listening.next()
            assert (topic, answer) == ("up/answer", {"pid": started["pid"], "heard": {"n": 1}, "on": "down/here"})
            called = here.invoke("listener", {"n": 2})
            assert called["ok"], called["error"]
            assert (called["result"]["pid"], called["result"]["on"]) == (started["pid"], None)
        finally:
            listening.close()


def test_a_secret_comes_with_its_resource_changes_with_it_and_goes_with_it(tmp_path: Path) -> None:
    policies = [{"ResourceId": "token", "Permission": "ro"}]
    reading = [function(READER, "GreengrassContainer", policies=policies)]
    with world(tmp_path) as here:
        done = here.deployed(version(here.cloud, reading, labels=("OLD",)))
        assert done["status"] == "Success", done
        assert here.invoke("reader", [{}, {"VersionStage": "OLD"}])["result"] == [len(CANARY), len(CANARY) + 4]
        assert here.secrets.stat().st_mode & 0o777 == 0o600
        rows = {row.resource: row for row in here.access()}
        assert (rows["token"].read.probed, rows["token"].ok) == (True, True)
        before = here.secrets.read_bytes()
        again = here.deployed(version(here.cloud, reading, labels=()))
        assert again["status"] == "Success", again
        assert here.secrets.read_bytes() != before
        assert here.invoke("reader", [{}])["result"] == [len(CANARY)]
        assert "has no version OLD here" in here.invoke("reader", [{"VersionStage": "OLD"}])["error"]
        gone = here.deployed(version(here.cloud, [function(READER, "GreengrassContainer")]))
        assert gone["status"] == "Success", gone
        assert not here.secrets.exists()
        assert "is not attached to this function" in here.invoke("reader", [{}])["error"]
        tree = Path(here.board.root) / "greengrass"
        holding = [p for p in tree.rglob("*") if p.is_file() and CANARY.encode() in p.read_bytes()]
        assert holding == []
        assert CANARY not in json.dumps(here.agent.events)


def test_a_pinned_function_that_cannot_be_loaded_fails_the_deployment_in_v1s_words(tmp_path: Path) -> None:
    with world(tmp_path) as here:
        done = here.deployed(version(here.cloud, [function(BROKEN, "NoContainer", Pinned=True)]))
    assert done["status"] == "Failure"
    assert done["error"].startswith("worker with ")
    assert "failed to initialize: broken: ModuleNotFoundError: No module named 'nowhere'" in done["error"]
    assert "ggc/var/log/user" in done["hint"]


def test_functions_end_with_the_agent_even_when_it_is_killed(tmp_path: Path) -> None:
    with world(tmp_path) as here:
        pinned = [
            function(LISTENER, "NoContainer", Pinned=True, Timeout=600),
            function(READER, "GreengrassContainer", Pinned=True),
        ]
        listening = Listening(here.cloud.mqtt_url)
        try:
            done = here.deployed(version(here.cloud, pinned))
            assert done["status"] == "Success", done
            assert listening.next()[0] == "up/started"
            listening.client.publish("down/here", '{"busy": true}', 1)
            assert listening.next()[0] == "up/answer", "now it is busy, and does not see that its core has gone"
        finally:
            listening.close()
        runtimes = processes("lambda_runtime.py")
        assert len(runtimes) == 2
        (agent,) = (p for p in processes("agent run") if len(p.children()) > 1)
        agent.kill()
        _, alive = psutil.wait_procs(runtimes, timeout=LIMIT_S)
        assert alive == []


def processes(what: str) -> list[psutil.Process]:
    """Return the processes of this test's board whose command line holds ``what``."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # others may be ending
            found += [child] if what in " ".join(child.cmdline()) else []
    return found
