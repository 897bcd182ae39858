"""The whole agent as a core of a cloud with TLS: its config.json, MQTT, documents, models, secrets, reports, jobs."""

from __future__ import annotations

import json
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge_sim.agent import mqtt, tls
from edge_sim.agent.configfile import read_config
from edge_sim.cloud.provisioning import Endpoints, provision
from tests import needs
from tests.connect_proxy import connect_proxy
from tests.integration.test_cloud_iot import deploy
from tests.integration.tls_cloud import LIMIT_S, Credentials, World, tls_cloud
from tests.relay import Relay
from tests.waiting import until

pytestmark = [pytest.mark.network, pytest.mark.process, needs.program("mosquitto")]
EDGE_SIM = [sys.executable, "-m", "edge_sim.cli.main"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with tls_cloud(tmp_path_factory.mktemp("tls")) as found:
        yield found


@contextmanager
def agent(root: Path, config: Path) -> Iterator[Iterator[dict[str, Any]]]:
    """Run an agent until the block ends; yield what it says."""
    argv = [*EDGE_SIM, "agent", "run", "--root", str(root), "--config", str(config)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield map(json.loads, process.stdout)
        finally:
            process.terminate()
            process.wait(60)


def provisioned(world: World, root: Path, mqtt: str | None = None) -> Path:
    """Give core1 a certificate below the board's Greengrass root; return its config.json."""
    endpoints = Endpoints(http=world.cloud.http_url, mqtt=mqtt or world.cloud.mqtt_url, cafile=Path(world.cafile))
    provision(world.iot, "core1", endpoints, root / "greengrass")
    return root / "greengrass" / "config" / "config.json"


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for the owners of what is deployed")
def test_a_core_with_its_certificate_deploys_a_group_through_its_proxy(world: World, tmp_path: Path) -> None:
    config = provisioned(world, tmp_path)
    content = json.loads(config.read_text())
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "passwd").write_text("ggc_user:x:998:998::/:/bin/false\n")
    (tmp_path / "etc" / "group").write_text("ggc_group:x:998:\nml:x:1001:\n")
    with connect_proxy() as (port, targets):
        content["coreThing"]["networkProxy"] = {"proxy": {"url": f"http://127.0.0.1:{port}"}}
        config.write_text(json.dumps(content))
        deployed(world, tmp_path, config)
    urls = (world.cloud.mqtt_url, world.cloud.http_url)
    assert {*targets} == {url.partition("://")[2] for url in urls}
    assert (tmp_path / "greengrass/ggc/deployment/group/group.json").exists()
    assert (tmp_path / "greengrass/ggc/var/state/secrets.json").exists()


def deployed(world: World, root: Path, config: Path) -> None:
    """Deploy a group to the board below ``root``, until the cloud knows that it went well."""
    with agent(root, config) as events:
        assert next(event for event in events if event["event"] == "connected")
        group_id, deployment = deploy(world)
        done = next(event for event in events if event["event"] == "deployment" and event["status"] != "InProgress")
        assert (done["id"], done["status"]) == (deployment, "Success"), done
        gg = world.client("greengrass")
        call = {"GroupId": group_id, "DeploymentId": deployment}
        until(lambda: gg.get_deployment_status(**call)["DeploymentStatus"] == "Success", "the core's report")


def test_a_certificate_that_was_deactivated_is_told_and_tried_again(world: World, tmp_path: Path) -> None:
    config = provisioned(world, tmp_path)
    id_ = world.iot.list_certificates(pageSize=1)["certificates"][0]["certificateId"]
    with agent(tmp_path, config) as events:
        assert next(event for event in events if event["event"] == "connected")
        world.iot.update_certificate(certificateId=id_, newStatus="INACTIVE")
        reasons = (event["reason"] for event in events if event["event"] == "disconnected")
        assert "the broker refused the connection (Not authorized)" in next(why for why in reasons if "refused" in why)
        world.iot.update_certificate(certificateId=id_, newStatus="ACTIVE")
        assert next(event for event in events if event["event"] == "connected")


class Connection:
    """The agent's connection for a thing with its certificate, which notes its changes and the numbers of its waits."""

    def __init__(self, port: int, world: World, shown: Credentials, thing: str) -> None:
        self.changes: queue.Queue[str] = queue.Queue()
        self.attempts: list[int] = []
        self.clock = 0.0
        self.channel = mqtt.connect(
            f"mqtts://127.0.0.1:{port}",
            thing,
            30,
            subscriptions={},
            on_connect=lambda: self.changes.put("connected"),
            on_disconnect=lambda reason, _: self.changes.put(reason),
            tls=tls.context(world.cafile, str(shown.certificate), str(shown.key)),
            wait=self.wait,
            now=lambda: self.clock,
        )

    def wait(self, attempt: int) -> float:
        self.attempts.append(attempt)
        return mqtt.backoff(attempt, most=0.5)

    def until(self, beginning: str) -> list[str]:
        """Return the changes up to one that begins so."""
        changes = [self.changes.get(timeout=LIMIT_S)]
        while not changes[-1].startswith(beginning):
            changes.append(self.changes.get(timeout=LIMIT_S))
        return changes


def test_waits_grow_until_a_connection_was_stable_and_begin_anew_then(world: World) -> None:
    relay = Relay(world.mqtt_port)
    connection = Connection(relay.port, world, world.thing("unstable"), "unstable")

    def lost_after(seconds: float) -> list[int]:
        """Cut a connection that is so old, and return the numbers of the waits until there is another one."""
        connection.until("connected")
        connection.attempts.clear()
        connection.clock += seconds
        relay.cut()
        relay.start()
        until(lambda: connection.attempts)
        return connection.attempts

    with closing(connection.channel):
        last = lost_after(0)[-1]
        assert lost_after(60)[0] > last, "a minute is no proof: another board of this name waits that long"
        assert lost_after(mqtt.STABLE_S + 1)[0] == 0
    relay.cut()


def test_two_boards_with_one_certificate_take_turns_and_say_so(world: World) -> None:
    """The newcomer evicts the other one, as at AWS; each waits longer every time."""
    shown = world.thing("twin")
    boards = [Connection(world.mqtt_port, world, shown, "twin") for _ in range(2)]
    with closing(boards[0].channel), closing(boards[1].channel):
        for board in boards:
            changes = board.until("the broker closed the connection 3 times soon after it was opened")
            assert "another client is connected as 'twin'" in changes[-1]
    assert all(board.attempts[:4] == [0, 0, 1, 2] for board in boards)


def test_the_agent_asks_for_the_protocol_of_port_443(world: World, tmp_path: Path) -> None:
    found = read_config(provisioned(world, tmp_path, "mqtts://127.0.0.1:443"), tmp_path)
    context = tls.context(found.cafile, found.certificate, found.key, alpn=found.alpn)
    with (
        socket.create_connection(("127.0.0.1", world.mqtt_port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
    ):
        assert wrapped.selected_alpn_protocol() == "x-amzn-mqtt-ca"


def test_a_server_of_another_name_is_not_trusted(world: World, tmp_path: Path) -> None:
    config = provisioned(world, tmp_path, f"mqtts://127.0.0.2:{world.mqtt_port}")
    with socket.create_server(("127.0.0.2", world.mqtt_port)) as listener:
        threading.Thread(target=relay, args=(listener, world.mqtt_port), daemon=True).start()
        with agent(tmp_path, config) as events:
            why = next(event["reason"] for event in events if event["event"] == "disconnected")
    assert "its certificate is not trusted (IP address mismatch, certificate is not valid for '127.0.0.2'.)" in why


def relay(listener: socket.socket, port: int) -> None:
    """Pass one TLS greeting on, and the answer back: enough for a client to see the server's certificate."""
    near, _ = listener.accept()
    with near, socket.create_connection(("127.0.0.1", port)) as far:
        far.sendall(near.recv(65536))
        near.sendall(far.recv(65536))
        near.recv(1)
