"""Functions with AWS's unmodified Core SDK on a real board, in both modes: secrets, messages, shadows, calls."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path

import pytest

from edge_sim.agent.functions import access
from edge_sim.agent.functions import calls as functions
from edge_sim.greengrass.tree import BELOW
from tests import needs
from tests.root.functions_board import Board
from tests.root.sdk_board import CANARY, daemon, runtime_log, with_code, with_secrets, with_table
from tests.waiting import until

pytestmark = [pytest.mark.root, needs.mounts]

BOTH = pytest.mark.parametrize("name", ["read-digits", "meter-log"], ids=["NoContainer", "GreengrassContainer"])
GET_SECRET = (
    "import hashlib\n"
    "def function_handler(event, context):\n"
    "    got = greengrasssdk.client('secretsmanager').get_secret_value(**event)\n"
    "    return hashlib.sha256(got['SecretString'].encode()).hexdigest()\n"
)


def attached(made: Board, name: str, resource: str) -> Board:
    policies = made.function(name).policies
    more = type(policies[0])(resource_id=resource, permission="ro")
    return (
        made
        if any(p.resource_id == resource for p in policies)
        else made.with_function(name, policies=(*policies, more))
    )


@BOTH
def test_a_secret_is_for_functions_that_it_is_attached_to(here: Board, name: str) -> None:
    arn = with_secrets(here)
    for function in ("sort-wine", name):
        with_code(here, function, GET_SECRET)
    made = attached(here, name, "meter-token")
    wanted = hashlib.sha256(CANARY.encode()).hexdigest()
    with daemon(made) as core:
        for secret_id in (arn, "greengrass-meter-token"):
            got = core.run(name, json.dumps({"SecretId": secret_id}).encode())
            assert (got.ok, got.result) == (True, wanted), got.error
        label = core.run(name, json.dumps({"SecretId": arn, "VersionStage": "AWSPREVIOUS"}).encode())
        assert "returned error code 404" in str(label.error)
        refused = core.run("sort-wine", json.dumps({"SecretId": arn}).encode())
        assert "SecretsManagerError: Request for secret value returned error code 404" in str(refused.error)
        assert "is not attached to this function" in str(refused.error)


def test_of_functions_with_one_arn_the_last_gets_its_calls(here: Board) -> None:
    arn = here.function("read-digits").arn
    made = here.with_function("meter-log", arn=arn)
    for name in ("read-digits", "meter-log"):
        with_code(made, name, "def function_handler(event, context):\n    return Path('/lambda').exists()\n")
    with daemon(made) as core:
        assert [core.run(name, b"{}").result for name in ("read-digits", "meter-log")] == [False, True]
        token = core.environment_of(made.function("sort-wine"))["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
        call = core.invoke(token, arn, b"{}", "", "RequestResponse")
        assert core.result(token, call).result == b"true", "in a container, as meter-log is"


def test_a_secrets_value_is_nowhere_but_in_the_functions_memory(here: Board) -> None:
    arn = with_secrets(here)
    code = (
        "def function_handler(event, context):\n"
        "    value = greengrasssdk.client('secretsmanager').get_secret_value(SecretId=event)['SecretString']\n"
        "    print('have it')\n"
        "    end = time.monotonic() + 30\n"
        "    while not Path('/tmp/seen').exists() and time.monotonic() < end:\n"
        "        time.sleep(0.02)\n"
        "    return len(value)\n"
    )
    with_code(here, "read-digits", code)
    log = here.path("/greengrass/ggc/var/log/user/us-east-1/123456789012/read-digits.log")
    with daemon(here.with_function("read-digits", timeout_s=40)) as core:
        results = []
        call = threading.Thread(target=lambda: results.append(core.run("read-digits", json.dumps(arn).encode())))
        call.start()
        until(lambda: log.exists() and "have it" in log.read_text())
        own = [here.root / name for name in ("greengrass", "etc", "srv", "tmp", "mnt", "home")]
        found = [str(p) for top in own for p in top.rglob("*") if p.is_file() and holds(p)]
        seen = [str(p) for what in ("environ", "cmdline") for p in Path("/proc").glob(f"[0-9]*/{what}") if holds(p)]
        here.path("/tmp/seen").touch()
        call.join()
    assert (found, seen) == ([], [])
    assert results[0].result == len(CANARY)
    stored = here.root / "greengrass" / BELOW.secrets
    assert stored.stat().st_mode & 0o777 == 0o600


def holds(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return CANARY.encode() in file.read(1 << 24)
    except OSError:  # a process that has ended
        return False


def test_access_to_secrets_is_probed_by_asking_for_them(here: Board) -> None:
    with_secrets(here)
    rows = {r.function: r for r in access.matrix(here.group, here.root, here.facts) if r.resource == "meter-token"}
    found = {name: (r.expected, r.read.probed, r.write.probed, r.ok) for name, r in rows.items()}
    assert found == {
        "read-digits": ("ro", True, False, True),
        "sort-wine": ("none", False, False, True),
        "meter-log": ("none", False, False, True),
    }


@BOTH
def test_a_message_goes_along_the_subscriptions(here: Board, name: str) -> None:
    code = (
        "def function_handler(event, context):\n"
        "    greengrasssdk.client('iot-data').publish(topic=event['topic'], payload=json.dumps({'from': 'me'}))\n"
    )
    with_code(here, name, code)
    heard = (
        "def function_handler(event, context):\n"
        "    topic = context.client_context.custom['subject']\n"
        "    print(f'heard {event} {topic}')\n"
    )
    with_code(here, "sort-wine", heard)
    me, other = here.function(name).arn, here.function("sort-wine").arn
    made = with_table(here, (me, "a/+", other), (me, "up/#", "cloud"), (other, "#", "cloud"))
    log = here.path("/greengrass/ggc/var/log/user/us-east-1/123456789012/sort-wine.log")
    sent: list[tuple[str, bytes]] = []
    with daemon(made, lambda topic, payload: sent.append((topic, payload))) as core:
        assert core.run(name, b'{"topic": "a/b"}').ok
        until(lambda: log.exists() and "heard {'from': 'me'} a/b" in log.read_text())
        assert not [note for note in core.run(name, b'{"topic": "up/x/y"}').notes if "message on" in note]
        assert sent == [("up/x/y", b'{"from": "me"}')]
        lost = core.run(name, b'{"topic": "b"}')
        assert lost.ok, "a real core tells nobody"
        assert f"message on b: no subscription of the group takes it from {me}" in lost.notes
        assert '"topic": "b"' in runtime_log(here)
        refused = core.run(name, b'{"topic": "a/#"}')
        assert "InvocationException: Failed to invoke function due to HTTP 400" in str(refused.error)
    with daemon(made) as core:
        offline = core.run(name, b'{"topic": "up/z"}')
        assert any("not sent to the cloud" in note for note in offline.notes)


def test_messages_from_the_cloud_and_of_the_shadow_service_call_functions(here: Board) -> None:
    with_code(
        here, "sort-wine", "def function_handler(e, c):\n    print('heard ' + c.client_context.custom['subject'])\n"
    )
    update = "def function_handler(e, c):\n    greengrasssdk.client('iot-data').update_thing_shadow(**e)\n"
    with_code(here, "meter-log", update)
    other = here.function("sort-wine").arn
    made = with_table(
        here, ("cloud", "down/#", other), ("GGShadowService", "$aws/things/core/shadow/update/delta", other)
    )
    log = here.path("/greengrass/ggc/var/log/user/us-east-1/123456789012/sort-wine.log")
    with daemon(made) as core:
        core.from_cloud("down/here", b"{}")
        until(lambda: log.exists() and "heard down/here" in log.read_text())
        event = {"thingName": "core", "payload": json.dumps({"state": {"desired": {"on": True}}})}
        done = core.run("meter-log", json.dumps(event).encode())
        assert done.ok, done.error
        until(lambda: "heard $aws/things/core/shadow/update/delta" in log.read_text())


@BOTH
def test_shadows_stay_from_one_core_to_the_next(here: Board, name: str) -> None:
    code = (
        "data = greengrasssdk.client('iot-data')\n"
        "def function_handler(event, context):\n"
        "    return data.get_thing_shadow(thingName='core')['payload'].decode()\n"
    )
    write = (
        "def function_handler(event, context):\n"
        "    data = greengrasssdk.client('iot-data')\n"
        "    data.update_thing_shadow(thingName='core', payload=json.dumps({'state': {'reported': event}}))\n"
    )
    with_code(here, name, code)
    with_code(here, "sort-wine", write)
    with daemon(here) as core:
        missing = core.run(name, b"{}")
        assert "ShadowError: Request for shadow state returned error code 404" in str(missing.error)
        assert core.run("sort-wine", b'{"t": 21}').ok
    with daemon(here) as core:
        got = json.loads(core.run(name, b"{}").result)
    assert (got["state"], got["version"]) == ({"reported": {"t": 21}}, 1)


@BOTH
def test_one_function_calls_another(here: Board, name: str) -> None:
    code = (
        "calls = greengrasssdk.client('lambda')\n"
        "def function_handler(event, context):\n"
        "    got = calls.invoke(**event)\n"
        "    read = got['Payload'] if isinstance(got['Payload'], bytes) else got['Payload'].read()\n"
        "    return [read.decode(), got['FunctionError']]\n"
    )
    with_code(here, name, code)
    with_code(here, "sort-wine", "def function_handler(e, c):\n    return {'sum': sum(e)}\n")
    arn = here.function("sort-wine").arn
    unqualified, _, qualifier = arn.rpartition(":")

    def ask(payload: str, **how: str) -> bytes:
        return json.dumps({"FunctionName": arn, "Payload": payload, **how}).encode()

    with daemon(here) as core:
        assert core.run(name, ask("[1, 2]")).result == ['{"sum": 3}', ""]
        assert core.run(name, ask("[1, 2]", FunctionName=unqualified, Qualifier=qualifier)).result[1] == ""
        assert core.run(name, ask("[1, 2]", InvocationType="Event")).result == ["", ""]
        assert core.run(name, ask('["x"]')).result[1] == "Handled"
        unknown = core.run(name, ask("[]", FunctionName=arn + "9"))
        assert f"HTTP 404 Not Found: the group has no function {arn}9" in str(unknown.error)


def test_a_call_from_the_command_line_goes_to_the_agent_that_runs(here: Board) -> None:
    """Which of the two it was shows in the process: the agent's worker stays for the next call."""
    from edge_sim.agent.events import LogFile
    from edge_sim.agent.functions.deployed import DeployedFunctions
    from edge_sim.greengrass import groupfile

    with_code(here, "read-digits", "def function_handler(e, c):\n    return os.getpid()\n")
    document = groupfile.encode(here.group, region="us-east-1")
    (here.root / "greengrass/ggc/deployment/group/group.json").write_text(json.dumps(document))
    log = LogFile(here.root / "agent.log")
    deployed = DeployedFunctions(here.root, "/greengrass", lambda _: here.facts, log)
    address = here.root / "greengrass" / BELOW.daemon_address
    try:
        deployed.start()
        assert address.stat().st_mode & 0o777 == 0o600
        first, second = (functions.invoke(here.group, "read-digits", {}, here.root, here.facts) for _ in range(2))
        assert first.ok, first.error
        assert first.result == second.result
        before = json.loads(address.read_text())
        deployed.start()
        assert json.loads(address.read_text()) == before, "nothing was deployed meanwhile"
    finally:
        deployed.close()
    assert not address.exists()
    alone = functions.invoke(here.group, "read-digits", {}, here.root, here.facts)
    assert alone.ok
    assert alone.result != first.result
