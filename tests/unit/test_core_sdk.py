"""AWS's own Greengrass Core SDK 1.6.1, unmodified, over our stand-ins for V1's modules, against the real endpoint."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import greengrasssdk
import pytest

from edge_sim.agent.functions import launch
from tests.fakes_core import TOKEN, FakeCore, serving

pytestmark = pytest.mark.process

SDK = Path(launch.__file__).with_name("sdk")
SITE = Path(greengrasssdk.__file__).parents[1]
ROUTER, SHADOW, SECRETS = (
    f"arn:aws:lambda:::function:{n}" for n in ("GGRouter", "GGShadowService", "GGSecretManager:1")
)
OWN = "arn:aws:lambda:eu-west-1:123456789012:function:me:1"
OTHER = "arn:aws:lambda:eu-west-1:123456789012:function:other"
SECRET = {
    "ARN": "arn:aws:secretsmanager:…",
    "Name": "greengrass-db",
    "VersionId": "v",
    "VersionStages": ["AWSCURRENT"],
    "CreatedDate": 1_600_000_000_000,
    "SecretString": "open sesame",
}


def use(tmp_path: Path, core: FakeCore, code: str, *, token: str | None = TOKEN) -> Any:
    """Run ``code``, which prints one JSON value, as a function's process would."""
    with serving(core, tmp_path) as endpoint:
        environment = {
            "PYTHONPATH": f"{SDK}:{SITE}",
            "MY_FUNCTION_ARN": OWN,
            "ROUTER_FUNCTION_ARN": ROUTER,
            "SHADOW_FUNCTION_ARN": SHADOW,
            "SECRETS_MANAGER_FUNCTION_ARN": SECRETS,
            "GG_DAEMON_PORT": str(endpoint.port),
            **({"AWS_CONTAINER_AUTHORIZATION_TOKEN": token} if token else {}),
        }
        head = "import base64, json, greengrasssdk\ndef say(value): print(json.dumps(value, default=str))\n"
        done = subprocess.run(
            [sys.executable, "-B", "-c", head + code], env=environment, capture_output=True, timeout=60, check=False
        )
    if done.returncode:
        return done.stderr.decode().strip().splitlines()[-1]
    return json.loads(done.stdout)


@pytest.fixture
def core() -> FakeCore:
    return FakeCore()


def test_publish_is_an_event_for_the_router(tmp_path: Path, core: FakeCore) -> None:
    core.answers[ROUTER] = b"", ""
    code = (
        "data = greengrasssdk.client('iot-data')\n"
        "data.publish(topic='a/b', payload='text')\n"
        "data.publish(topic='a/c', payload=b'bytes', queueFullPolicy='AllOrException')\n"
        "say(1)\n"
    )
    assert use(tmp_path, core, code) == 1
    (_, first, context, kind), (_, second, other, _) = core.calls
    assert (first, second, kind) == (b"text", b"bytes", "Event")
    custom = json.loads(base64.b64decode(context))["custom"]
    assert custom == {"source": OWN, "subject": "a/b", "queueFullPolicy": ""}
    assert json.loads(base64.b64decode(other))["custom"]["queueFullPolicy"] == "AllOrError"


def test_shadows(tmp_path: Path, core: FakeCore) -> None:
    core.answers[SHADOW] = b'{"state": {}}', ""
    code = (
        "data = greengrasssdk.client('iot-data')\n"
        "got = data.get_thing_shadow(thingName='core')['payload'].decode()\n"
        "data.update_thing_shadow(thingName='core', payload='{}')\n"
        "data.delete_thing_shadow(thingName='core')\n"
        "say(got)\n"
    )
    assert use(tmp_path, core, code) == '{"state": {}}'
    subjects = [json.loads(base64.b64decode(context))["custom"]["subject"] for _, _, context, _ in core.calls]
    assert subjects == [f"$aws/things/core/shadow/{what}" for what in ("get", "update", "delete")]
    core.answers[SHADOW] = b'{"code": 404, "message": "No shadow exists with name: \'core\'"}', ""
    error = use(tmp_path, core, "greengrasssdk.client('iot-data').get_thing_shadow(thingName='core')\n")
    assert "ShadowError: Request for shadow state returned error code 404" in error


def test_secrets(tmp_path: Path, core: FakeCore) -> None:
    core.answers[SECRETS] = json.dumps(SECRET).encode(), ""
    code = "say(greengrasssdk.client('secretsmanager').get_secret_value(SecretId='greengrass-db', VersionStage='X'))\n"
    got = use(tmp_path, core, code)
    assert (got["SecretString"], got["CreatedDate"][:4]) == ("open sesame", "2020")
    assert json.loads(core.calls[0][1]) == {"SecretId": "greengrass-db", "VersionStage": "X"}
    core.answers[SECRETS] = b'{"Status": 404, "Message": "no such thing"}', ""
    assert "SecretsManagerError: Request for secret value returned error code 404" in use(tmp_path, core, code)


@pytest.mark.parametrize(
    ("error", "read"), [("", ".read().decode()"), ("Handled", ".decode()"), ("Unhandled", ".decode()")]
)
def test_another_function(tmp_path: Path, core: FakeCore, error: str, read: str) -> None:
    core.answers[f"{OTHER}:7"] = b'{"x": 1}', error
    code = (
        "context = base64.b64encode(b'{\"custom\": {}}')\n"
        f"got = greengrasssdk.client('lambda').invoke(FunctionName='{OTHER}', Qualifier='7', ClientContext=context,\n"
        "    Payload=b'[1]')\n"
        f"say([got['Payload']{read}, got['FunctionError']])\n"
    )
    assert use(tmp_path, core, code) == ['{"x": 1}', error]
    assert core.calls == [(f"{OTHER}:7", b"[1]", base64.b64encode(b'{"custom": {}}').decode(), "RequestResponse")]


def test_what_the_core_refuses_is_an_invocation_exception(tmp_path: Path, core: FakeCore) -> None:
    code = f"greengrasssdk.client('lambda').invoke(FunctionName='{OTHER}:7', Payload=b'')\n"
    assert "InvocationException: Failed to invoke function due to HTTP 404" in use(tmp_path, core, code)
    assert "InvocationException: Failed to invoke function due to HTTP 403" in use(tmp_path, core, code, token="x")
    assert "TypeError" in use(tmp_path, core, code, token=None), "as V1's own client has it"
