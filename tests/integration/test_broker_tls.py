"""A named broker with TLS: who is trusted, and a whole run over it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_sim.cloud.brokers.broker import start_broker
from edge_sim.cloud.server import Cloud
from edge_sim.errors import UnsupportedEnvironmentError, UsageError
from tests import needs
from tests.integration.tls_broker import TlsBroker, needs_tls_broker, tls_broker

pytestmark = [pytest.mark.network, needs_tls_broker]
EDGE_SIM = [sys.executable, "-m", "edge_sim.cli.main"]


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsBroker]:
    with tls_broker(tmp_path_factory.mktemp("tls")) as found:
        yield found


def test_a_broker_is_checked_with_the_ca_that_is_named(named: TlsBroker) -> None:
    with start_broker(named.url, cafile=named.ca) as broker:
        assert (broker.kind, broker.url) == ("external", named.url)
    with Cloud(broker=named.url, broker_cafile=named.ca) as cloud:
        assert cloud.mqtt_url == named.url


@pytest.mark.parametrize("other", [False, True])
def test_a_broker_of_another_ca_is_not_trusted(named: TlsBroker, other: bool) -> None:
    cafile = named.other_ca if other else None
    with pytest.raises(UnsupportedEnvironmentError, match="TLS failed: self-signed certificate in") as failed:
        start_broker(named.url, cafile=cafile)
    assert "--broker-cafile" in str(failed.value.hint)


def test_a_name_that_the_certificate_does_not_have_is_not_trusted(named: TlsBroker) -> None:
    url = named.url.replace("127.0.0.1", "localhost")
    with pytest.raises(UnsupportedEnvironmentError, match=r"TLS failed: .*localhost"):
        start_broker(url, cafile=named.ca)


@pytest.mark.parametrize(
    ("url", "content", "message"),
    [
        ("mqtts://127.0.0.1:1", None, "cannot be read as CA certificates: .*No such file"),
        ("mqtts://127.0.0.1:1", b"not PEM", "cannot be read as CA certificates"),
        ("mqtt://127.0.0.1:1", b"", "has no TLS, so there is no certificate to verify"),
        (None, b"", "only together with --broker"),
    ],
)
def test_a_cafile_that_cannot_be_used_is_a_usage_error(
    tmp_path: Path, url: str | None, content: bytes | None, message: str
) -> None:
    cafile = tmp_path / "ca.pem"
    if content is not None:
        cafile.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        start_broker(url, cafile=cafile)


@pytest.mark.slow
@pytest.mark.root
@needs.mounts
def test_a_whole_run_over_a_broker_with_tls(named: TlsBroker) -> None:
    argv = [*EDGE_SIM, "run", "examples/no-container-ml", "--profile", "generic-x86_64", "--format", "json"]
    argv += ["--broker", named.url, "--broker-cafile", os.path.relpath(named.ca)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    parts = json.loads(done.stdout)["parts"]
    assert (parts["broker"], parts["mqtt"]) == ("external", named.url)


def test_the_agent_does_not_trust_a_broker_of_another_ca(named: TlsBroker, tmp_path: Path) -> None:
    config = tmp_path / "agent.json"
    argv = [*EDGE_SIM, "agent", "run", "--root", str(tmp_path), "--config", str(config)]
    config.write_text(json.dumps({"thing": "board", "broker": named.url, "cafile": f"{uuid.uuid4()}.pem"}))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "cannot be read as CA" in done.stderr) == (2, True)
    config.write_text(json.dumps({"thing": "board", "broker": named.url, "cafile": str(named.other_ca)}))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as agent:  # it keeps trying
        assert agent.stdout is not None
        told = next(line for line in agent.stdout if "disconnected" in line)
        agent.terminate()
        assert agent.wait(60) == 0
    assert "its certificate is not trusted (self-signed certificate in" in told
