"""The stand-in for a V2 core: frames against botocore, the IPC against awsiotsdk's client, recipes by nucleus."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.eventstream import EventStreamBuffer

from edge_sim.errors import InvalidDefinitionError, UsageError
from edge_sim.offline.nucleus import client, eventstream
from edge_sim.offline.nucleus.core import read_folder
from edge_sim.offline.nucleus.eventstream import Frame
from edge_sim.offline.nucleus.ipc import Hub, IpcClient, allowed, serving
from edge_sim.offline.nucleus.recipes import ordered, read_component, resolved
from edge_sim.offline.nucleus.scripts import Script
from edge_sim.v2.nucleus import CLASSIC, LITE
from tests.processes import is_alive
from tests.waiting import until

HEADERS: dict[str, int | str] = {":message-type": 0, ":stream-id": 7, "operation": "aws.greengrass#PublishToTopic"}


def test_frames_are_what_botocore_reads_and_damage_is_seen() -> None:
    data = eventstream.encode(Frame(headers=HEADERS, payload=b'{"a": 1}'))
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    message = next(iter(buffer))
    assert (dict(message.headers), message.payload) == (HEADERS, b'{"a": 1}')
    stream = io.BytesIO(data + data)
    assert [eventstream.read(stream.read) for _ in range(3)] == [Frame(headers=HEADERS, payload=b'{"a": 1}')] * 2 + [
        None
    ]
    for at in (0, 5, 9, 20, len(data) - 1):
        broken = bytearray(data)
        broken[at] ^= 1
        with pytest.raises(ValueError, match="frame"):
            eventstream.read(io.BytesIO(bytes(broken)).read)
    with pytest.raises(ValueError, match="frame"):
        eventstream.read(io.BytesIO(data[:-3]).read)


def control(service: str, operation: str, *resources: str) -> dict[str, Any]:
    policy = {"operations": [f"aws.greengrass#{operation}"], "resources": [*resources]}
    return {f"aws.greengrass.{service}": {"mine:1": policy}}


@pytest.mark.parametrize(
    ("resources", "asked", "may"),
    [
        (["a/b"], "a/b", True),
        (["a/*"], "a/b/c", True),
        (["*"], "x", True),
        (["a/+"], "a/b", False),
        (["a/b"], "a/c", False),
        (["a[b]"], "ab", False),
    ],
)
def test_a_policy_lets_exactly_what_it_names(resources: list[str], asked: str, may: bool) -> None:
    component_client = IpcClient(
        name="c", configuration={"accessControl": control("ipc.pubsub", "PublishToTopic", *resources)}
    )
    assert allowed(component_client, "aws.greengrass.ipc.pubsub", "PublishToTopic", asked) is may
    assert not allowed(component_client, "aws.greengrass.ipc.pubsub", "SubscribeToTopic", asked)


def test_mqtts_wildcards_are_the_clouds() -> None:
    component_client = IpcClient(
        name="c", configuration={"accessControl": control("ipc.mqttproxy", "PublishToIoTCore", "up/+/#")}
    )
    assert allowed(component_client, "aws.greengrass.ipc.mqttproxy", "PublishToIoTCore", "up/a/b")
    assert not allowed(component_client, "aws.greengrass.ipc.mqttproxy", "PublishToIoTCore", "down/a")


def awss_client() -> Any:
    from awsiot.greengrasscoreipc.clientv2 import GreengrassCoreIPCClientV2

    return GreengrassCoreIPCClientV2()


@contextmanager
def connected(
    folder: Path, hub: Hub, configuration: dict[str, Any], make: Callable[[], Any] = awss_client
) -> Iterator[Any]:
    """A client, connected to the stand-in as component ``mine``; awsiotsdk's own unless ``make`` makes another."""
    hub.clients["token"] = IpcClient(name="mine", configuration=configuration)
    path = folder / "ipc.socket"
    before = dict(os.environ)
    with serving(path, hub):
        os.environ |= {"AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(path), "SVCUID": "token"}
        made = make()
        try:
            yield made
        finally:
            made.close()
            os.environ.clear()
            os.environ.update(before)


@pytest.mark.network
def test_awss_client_publishes_subscribes_and_reads_as_access_control_lets_it(tmp_path: Path) -> None:
    from awsiot.greengrasscoreipc.model import BinaryMessage, PublishMessage, UnauthorizedError

    policies = {
        **control("ipc.pubsub", "PublishToTopic", "local/*"),
        **control("ipc.mqttproxy", "SubscribeToIoTCore", "down/#"),
        **control("SecretManager", "GetSecretValue", "arn:aws:secretsmanager:r:a:secret:key-Ab3dEf"),
    }
    hub = Hub(secrets={"arn:aws:secretsmanager:r:a:secret:key-Ab3dEf": "hush"})
    heard: list[tuple[str, bytes]] = []
    with connected(tmp_path, hub, {"accessControl": policies, "mode": {"speed": 3}}) as ipc:
        message = PublishMessage(binary_message=BinaryMessage(message=b"x"))
        ipc.publish_to_topic(topic="local/a", publish_message=message)
        with pytest.raises(UnauthorizedError):
            ipc.publish_to_topic(topic="elsewhere", publish_message=message)

        def hear(event: Any) -> None:
            heard.append((event.message.topic_name, event.message.payload))
            hub.tell()

        ipc.subscribe_to_iot_core(topic_name="down/+", qos="1", on_stream_event=hear)
        assert hub.wait(lambda one: one.subscribed("down/a", cloud=True), 30)
        hub.deliver("down/a", b"\x00y", cloud=True)
        hub.deliver("up/a", b"z", cloud=True)
        assert hub.wait(lambda _: bool(heard), 30)
        assert ipc.get_secret_value(secret_id="key").secret_value.secret_string == "hush"
        assert ipc.get_configuration(key_path=["mode"]).value == {"speed": 3}
    assert [(one.component, one.topic, one.payload) for one in hub.sent] == [("mine", "local/a", b"x")]
    assert heard == [("down/a", b"\x00y")]
    assert len(hub.refused) == 1


@pytest.mark.network
def test_our_client_has_awss_names_and_gives_a_listener_what_awss_client_gives(tmp_path: Path) -> None:
    """On boards that awsiotsdk has no wheel for; a listener may ask in turn."""
    from awsiot.greengrasscoreipc import model

    policies = {
        **control("ipc.pubsub", "PublishToTopic", "local/*"),
        "aws.greengrass.ipc.mqttproxy": {
            "m": {"operations": ["*"], "resources": ["down/#", "up/#"]},
        },
        **control("SecretManager", "GetSecretValue", "arn:aws:secretsmanager:r:a:secret:key-Ab3dEf"),
    }
    policies["aws.greengrass.ipc.pubsub"]["own"] = {"operations": ["*"], "resources": ["own/*"]}
    outcomes = []
    for number, (make, shapes) in enumerate(((awss_client, model), (client.GreengrassCoreIPCClientV2, client))):
        folder = tmp_path / str(number)
        folder.mkdir()
        hub = Hub(secrets={"arn:aws:secretsmanager:r:a:secret:key-Ab3dEf": "hush"})
        with connected(folder, hub, {"accessControl": policies}, make) as ipc:
            outcomes.append([*_walk(ipc, shapes, hub), hub.refused])
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][1:3] == [("down/a", b"\x00y"), b"n"]


class _Eager(Hub):
    """Sends a message at the very moment at which somebody hears it."""

    def subscribe(self, one: Any) -> None:
        super().subscribe(one)
        self.deliver("down/a", b"at once", cloud=True)


@pytest.mark.network
@pytest.mark.parametrize("make", [awss_client, client.GreengrassCoreIPCClientV2], ids=["awsiotsdk", "ours"])
def test_no_message_comes_before_the_answer_to_its_subscription(tmp_path: Path, make: Callable[[], Any]) -> None:
    hub, heard = _Eager(secrets=None), []
    configuration = {"accessControl": control("ipc.mqttproxy", "SubscribeToIoTCore", "down/#")}

    def hear(event: Any) -> None:
        heard.append(event.message.payload)
        hub.tell()

    with connected(tmp_path, hub, configuration, make) as ipc:
        ipc.subscribe_to_iot_core(topic_name="down/#", qos="1", on_stream_event=hear)
        assert hub.wait(lambda _: bool(heard), 30)
    assert heard == [b"at once"]


def _walk(ipc: Any, shapes: Any, hub: Hub) -> Iterator[Any]:
    """Use all that an entry point uses."""
    from awsiot.greengrasscoreipc.model import UnauthorizedError

    events: list[Any] = []
    message = shapes.PublishMessage(binary_message=shapes.BinaryMessage(message=b"n"))

    def from_cloud(event: Any) -> None:
        ipc.publish_to_iot_core(topic_name="up/echo", qos="1", payload=event.message.payload)
        events.append((event.message.topic_name, event.message.payload))
        hub.tell()

    def local(event: Any) -> None:
        events.append(event.binary_message.message)
        hub.tell()

    with pytest.raises((UnauthorizedError, client.IpcError)):
        ipc.publish_to_topic(topic="elsewhere", publish_message=message)
    yield ipc.get_secret_value(secret_id="key", version_stage="AWSCURRENT").secret_value.secret_string
    ipc.subscribe_to_iot_core(topic_name="down/+", qos="1", on_stream_event=from_cloud)
    assert hub.wait(lambda one: one.subscribed("down/a", cloud=True), 30)
    hub.deliver("down/a", b"\x00y", cloud=True)
    assert hub.wait(lambda _: len(events) == 1, 30)
    ipc.subscribe_to_topic(topic="own/#", on_stream_event=local)
    ipc.publish_to_topic(topic="own/x", publish_message=message)
    assert hub.wait(lambda _: len(events) == 2, 30)
    yield from events
    yield [(one.topic, one.payload, one.cloud) for one in hub.sent]


def recipe(**changes: Any) -> dict[str, Any]:
    manifest = {"Platform": {"os": "linux", "runtime": "*"}, "Lifecycle": {"run": "x"}, "Artifacts": []}
    return {"ComponentName": "c", "ComponentVersion": "1.0.0", "Manifests": [{**manifest, **changes}]}


def artifact(**changes: str) -> dict[str, Any]:
    return recipe(Artifacts=[{"Uri": "s3://b/k.zip", "Unarchive": "ZIP", **changes}])


@pytest.mark.parametrize(
    ("made", "lite", "classic"),
    [
        (recipe(Platform={"os": "linux"}), "no manifest fits", None),
        (recipe(Platform={"os": "/linux|x/", "runtime": "*"}), "no manifest fits", None),
        (
            recipe(Platform={"os": "linux", "runtime": "*", "architecture": "amd64"}),
            "no manifest fits",
            "no manifest fits",
        ),
        (artifact(Unarchive="TAR"), "unpacks ZIP only", "unpacks ZIP only"),
        (artifact(Uri="https://b/k.zip"), "fetches s3://", "fetches s3://"),
        ({**recipe(), "ComponentType": "aws.greengrass.lambda"}, "only generic components", None),
    ],
)
def test_what_a_nucleus_refuses_is_refused_with_its_reason(
    made: dict[str, Any], lite: str, classic: str | None
) -> None:
    for nucleus, words in ((LITE, lite), (CLASSIC, classic)):
        if words is None:
            read_component(made, nucleus, "armv7l")
        else:
            with pytest.raises(InvalidDefinitionError, match=words):
                read_component(made, nucleus, "armv7l")


def test_keys_have_a_case_on_lite_and_none_on_classic() -> None:
    odd = recipe(Lifecycle={"Run": {"script": "x"}, "Shutdown": "y"})
    assert read_component(odd, CLASSIC, "x86_64").steps == {"run": "x", "shutdown": "y"}
    assert read_component(odd, LITE, "x86_64").steps == {}
    assert read_component(recipe(Lifecycle={"run": "x", "shutdown": "y"}), LITE, "x86_64").ignored == ("shutdown",)


def test_variables_of_others_are_direct_dependencies_and_only_on_classic() -> None:
    needs = {**recipe(), "ComponentDependencies": {"m": {"VersionRequirement": "1.0.0"}}}
    one = read_component(needs, CLASSIC, "x86_64")
    values = {"m:artifacts:path": "/m", "c:work:path": "/w"}
    assert resolved("{m:artifacts:path} {work:path} {unknown} ${x}", values, one, CLASSIC) == "/m /w {unknown} ${x}"
    for text, nucleus, words in (
        ("{m:artifacts:path}", LITE, "no variable of another"),
        ("{n:artifacts:path}", CLASSIC, "does not belong to a direct dependency"),
    ):
        with pytest.raises(InvalidDefinitionError, match=words):
            resolved(text, values, one, nucleus)
    model = read_component({**recipe(), "ComponentName": "m"}, CLASSIC, "x86_64")
    assert [found.name for found in ordered([one, model], frozenset())] == ["m", "c"]
    with pytest.raises(InvalidDefinitionError, match="not deployed"):
        ordered([one], frozenset())


@pytest.mark.parametrize(
    ("deployment", "recipe", "words"),
    [
        (None, "", "deployment.json: cannot be read: No such file or directory"),
        ("[]", "", "the deployment must be an object"),
        ("{}", "", "the deployment has no components"),
        ('{"components": {"a": 1}}', "", "component a is not an object"),
        ('{"components": {"a": {}}}', "a: [", "recipe.yaml: not YAML"),
    ],
)
def test_a_folder_that_cannot_be_read_is_one_sentence(
    deployment: str | None, recipe: str, words: str, tmp_path: Path
) -> None:
    if deployment is not None:
        (tmp_path / "deployment.json").write_text(deployment)
    (tmp_path / "components/a").mkdir(parents=True)
    (tmp_path / "components/a/recipe.yaml").write_text(recipe)
    with pytest.raises(UsageError) as error:
        read_folder(tmp_path, CLASSIC, "x86_64")
    assert words in error.value.brief
    assert "\n" not in error.value.brief


STUBBORN = "setsid sh -c 'trap \"\" TERM; sleep 1000; sleep 1000' & sleep 1000 & wait"
"""A script with a child in a session of its own that ignores SIGTERM, and one in the script's."""
STAND_IN = f"""
import sys, time
from pathlib import Path
from edge_sim.offline.nucleus import scripts

scripts.STOP_LIMIT_S = 0.5
with open("log", "ab") as log:
    environment = dict(PATH={os.environ["PATH"]!r})
    script = scripts.Script({STUBBORN!r}, environment=environment, folder=Path(), log=log, owner=None)
sys.stdin.read()
script.end()
"""


@pytest.mark.process
@pytest.mark.parametrize("killed", [True, False])
def test_nothing_that_a_script_started_outlives_the_stand_in(killed: bool, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STAND_IN],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdin=subprocess.PIPE,
    ) as stand_in:
        below = psutil.Process(stand_in.pid)
        started: list[psutil.Process] = []

        def sleeps() -> int:
            started[:] = below.children(recursive=True)
            return [process.name() for process in started].count("sleep")

        try:
            until(lambda: sleeps() == 2)
            if killed:
                stand_in.kill()
            else:
                stand_in.communicate(timeout=60)
                assert stand_in.returncode == 0
            until(lambda: not any(map(is_alive, started)), lambda: f"{[*filter(is_alive, started)]} run on")
        finally:
            for process in filter(is_alive, started):
                process.kill()


@pytest.mark.process
def test_a_script_has_its_environment_and_status_and_its_keeper_none_of_it(tmp_path: Path) -> None:
    """The keeper may be root, and the environment is the component's to say."""
    text = (
        'echo "$GREETING"; tr "\\0" "\\n" </proc/$PPID/environ | grep -c GREETING; ls /proc/$$/fd; sleep 1000 & exit 7'
    )
    with (tmp_path / "log").open("ab") as log:
        environment = {"PATH": os.environ["PATH"], "GREETING": "grüß\ngott"}
        script = Script(text, environment=environment, folder=tmp_path, log=log, owner=None)
    try:
        assert script.wait(60) == 7
    finally:
        script.end()
    assert script.poll() == 7
    assert (tmp_path / "log").read_text().split() == ["grüß", "gott", "0", "0", "1", "2"]


@pytest.mark.process
def test_a_script_that_cannot_be_run_ends_with_127_and_says_why(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as log:
        script = Script("true", environment={"PATH": ""}, folder=tmp_path, log=log, owner=None)
    try:
        assert script.wait(60) == 127
    finally:
        script.end()
    assert (tmp_path / "log").read_text() == "cannot be run: No such file or directory\n"
