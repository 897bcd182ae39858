"""Who the agent is: a V1 core's config.json, its files, a proxy, a clock at 1970, a core that is the same thing."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import threading
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge_sim.agent import tls
from edge_sim.agent.config import AgentConfig
from edge_sim.agent.configfile import read_config
from edge_sim.agent.proxy import Proxy
from edge_sim.agent.v1core import refuse_running
from edge_sim.cloud.ca import CertificateAuthority
from edge_sim.errors import UnsupportedEnvironmentError, UsageError

CORE: dict[str, Any] = {
    "caPath": "root.ca.pem",
    "certPath": "hash.cert.pem",
    "keyPath": "hash.private.key",
    "thingArn": "arn:aws:iot:us-east-1:123456789012:thing/core-1",
    "iotHost": "bench.local",
    "ggHost": "bench.local",
    "keepAlive": 600,
}
LIMIT_S = 60.0


def write(root: Path, core: dict[str, Any], **more: Any) -> Path:
    path = root / "greengrass" / "config" / "config.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"coreThing": {**CORE, **core}, "runtime": {"cgroup": {"useSystemd": "yes"}}, **more}))
    return path


def test_a_cores_own_configuration_is_read(tmp_path: Path) -> None:
    certs = tmp_path / "greengrass" / "certs"
    assert read_config(write(tmp_path, {}), tmp_path) == AgentConfig(
        thing="core-1",
        client_id="core-1",
        broker="mqtts://bench.local:8883",
        cafile=str(certs / "root.ca.pem"),
        certificate=str(certs / "hash.cert.pem"),
        key=str(certs / "hash.private.key"),
        greengrass_root="/greengrass",
    )


def test_crypto_ports_and_proxy_of_a_core_are_read(tmp_path: Path) -> None:
    proxy = {
        "noProxyAddresses": "10.0.0.1, .lan",
        "proxy": {"url": "http://proxy:3128", "username": "u", "password": "p"},
    }
    more = {"iotMqttPort": 443, "keepAlive": 30, "coreClientId": "other", "networkProxy": proxy}
    iot = {"privateKeyPath": "file:///keys/k", "certificatePath": "file:///keys/c"}
    crypto = {"caPath": "file:///keys/ca", "principals": {"IoTCertificate": iot}}
    path = write(
        tmp_path,
        {**more, "iotHost": "x-ats.iot.us-east-1.amazonaws.com"},
        crypto=crypto,
        mqttMaxConnectionRetryInterval=9,
    )
    found = read_config(path, tmp_path)
    assert (found.broker, found.alpn) == ("mqtts://x-ats.iot.us-east-1.amazonaws.com:443", "x-amzn-mqtt-ca")
    assert (found.keep_alive_s, found.client_id, found.retry_most_s, found.deployments) == (30, "other", 9, False)
    assert (found.cafile, found.certificate, found.key) == tuple(
        str(tmp_path / "keys" / name) for name in ("ca", "c", "k")
    )
    assert found.proxy == Proxy(host="proxy", port=3128, username="u", password="p", direct=("10.0.0.1", ".lan"))
    assert [found.proxy.serves(host) for host in ("10.0.0.1", "a.lan", "lan", "plan", "bench.local")] == [
        *(False, False, False),
        *(True, True),
    ]


@pytest.mark.parametrize(
    ("core", "more", "message"),
    [
        ({"thingArn": "[THING_ARN_HERE]"}, {}, "coreThing.thingArn: not filled in"),
        ({"thingArn": "arn:aws:iot:us-east-1:123456789012:cert/1"}, {}, "coreThing.thingArn: not the ARN of a thing"),
        ({"iotHost": None}, {}, "coreThing.iotHost: missing"),
        ({"keepAlive": 20}, {}, "coreThing.keepAlive: 20 is not a number from 30 to 1200"),
        ({"mqttOperationTimeout": 4}, {}, "coreThing.mqttOperationTimeout: 4 is not a number from 5 to"),
        ({"ggMqttPort": 80}, {}, "coreThing.ggMqttPort: 80 is not a number from 1024 to 65535"),
        ({"ggDaemonPort": 70_000}, {}, "coreThing.ggDaemonPort: 70000 is not a number from 1024 to 65535"),
        ({"systemComponentAuthTimeout": 100}, {}, "coreThing.systemComponentAuthTimeout: 100 is not a number from 500"),
        ({"coreClientId": "c" * 129}, {}, "coreThing.coreClientId: longer than 128 bytes"),
        ({"coreClientId": "é" * 65}, {}, "coreThing.coreClientId: longer than 128 bytes"),
        ({"iotHost": "bench.local:8883"}, {}, "coreThing.iotHost: 'bench.local:8883' is not a host name; the port is"),
        ({"iotHost": "https://bench.local"}, {}, "coreThing.iotHost: 'https://bench.local' is not a host name"),
        ({"iotHost": "x.iot.[AWS_REGION_HERE].amazonaws.com"}, {}, r"coreThing.iotHost: .* is not a host name"),
        ({"caPath": "ca\0pem"}, {}, r"coreThing.caPath: 'ca.x00pem' is not plain text"),
        ({}, {"crypto": {"caPath": "file:///ca\0"}}, "crypto.caPath: .* is not a file:/// URI"),
        ({"iotHttpPort": "8443"}, {}, "coreThing.iotHttpPort: '8443' is not a number"),
        ({"networkProxy": {"noProxyAddresses": ["a"]}}, {}, "networkProxy.noProxyAddresses: not plain text"),
        ({"networkProxy": {"proxy": {"username": 5}}}, {}, "networkProxy.proxy.username: not plain text"),
        ({"iotMqttPort": "8883"}, {}, "coreThing.iotMqttPort: '8883' is not a number"),
        ({}, {"crypto": {"caPath": "pkcs11:object=ca"}}, r"crypto.caPath: 'pkcs11:object=ca' is not a file:/// URI"),
        ({}, {"crypto": {"principals": []}}, "crypto.principals: not an object"),
        ({"networkProxy": {"proxy": {"url": "https://p:1"}}}, {}, "networkProxy.proxy.url: 'https://p:1' does not"),
    ],
)
def test_a_wrong_key_of_a_core_is_named(
    tmp_path: Path, core: dict[str, Any], more: dict[str, Any], message: str
) -> None:
    path = write(tmp_path, core, **more)
    with pytest.raises(UsageError, match=message) as caught:
        read_config(path, tmp_path)
    assert caught.value.brief.startswith(f"{path}: ")


def test_certificate_and_key_of_the_agents_own_file_go_together(tmp_path: Path) -> None:
    path = tmp_path / "agent.json"
    files = {"cafile": "/ca", "certificate": "/c", "key": "/k"}
    path.write_text(json.dumps({"thing": "b", "broker": "mqtts://h:443", **files}))
    found = read_config(path)
    assert (found.certificate, found.key, found.alpn) == ("/c", "/k", "x-amzn-mqtt-ca")
    path.write_text(json.dumps({"thing": "b", "broker": "mqtts://h", "key": "/k"}))
    with pytest.raises(UsageError, match="certificate and key go together"):
        read_config(path)


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ca.pem, and one.pem, one.key, two.key of its CA."""
    folder = tmp_path_factory.mktemp("issued")
    authority = CertificateAuthority(folder / "ca")
    for name in ("one", "two"):
        made, keys = authority.issue_pair()
        (folder / f"{name}.pem").write_text(made.pem)
        (folder / f"{name}.key").write_text(keys.private)
        (folder / f"{name}.key").chmod(0o400)
    return folder


def test_files_that_cannot_be_shown_are_named(issued: Path, tmp_path: Path) -> None:
    ca, certificate, key = (str(issued / name) for name in ("ca/ca.pem", "one.pem", "one.key"))
    tls.context(ca, certificate, key)
    open_key = tmp_path / "open.key"
    open_key.write_bytes(Path(key).read_bytes())
    open_key.chmod(0o644)
    sealed = tmp_path / "sealed.key"
    plain = serialization.load_pem_private_key(Path(key).read_bytes(), None)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    sealed.write_bytes(plain.private_bytes(*form, serialization.BestAvailableEncryption(b"secret")))
    sealed.chmod(0o400)
    pipe, empty = tmp_path / "pipe", tmp_path / "empty"
    os.mkfifo(pipe)
    empty.touch()
    cases = {
        (ca, certificate, str(sealed)): "is encrypted, and the agent cannot ask for its passphrase",
        (ca, certificate, str(pipe)): "pipe: cannot be read: not a regular file",
        (ca, str(pipe), key): "pipe: cannot be read: not a regular file",
        (str(pipe), certificate, key): r"pipe: cannot be read as CA certificates \(not a regular file\)",
        (str(empty), certificate, key): r"empty: cannot be read as CA certificates \([a-z ]+\)",
        (ca, certificate, str(issued / "two.key")): "is not the certificate's key",
        (ca, key, key): "cannot be read as PEM",
        (ca, certificate, str(tmp_path / "none")): "cannot be read: No such file",
        (ca, certificate, str(open_key)): "mode 0644 lets others read the private key",
        (str(tmp_path / "none"), certificate, key): "cannot be read as CA certificates",
    }
    for files, message in cases.items():
        with pytest.raises(UsageError, match=message):
            tls.context(*files)


@pytest.mark.network
@pytest.mark.parametrize(
    ("begin_days", "end_days", "why"),
    [
        (
            1,
            2,
            r"this board's clock says \d{4}-\d\d-\d\d, which is before the certificate becomes valid; set the clock",
        ),
        (-2, -1, "certificate has expired"),
    ],
)
def test_a_clock_before_the_certificate_is_the_reason_that_is_named(
    tmp_path: Path, begin_days: int, end_days: int, why: str
) -> None:
    pem = tmp_path / "server.pem"
    pem.write_bytes(self_signed(begin_days, end_days))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                server.wrap_socket(listener.accept()[0], server_side=True)

        threading.Thread(target=serve, daemon=True).start()
        with (
            socket.create_connection(listener.getsockname(), timeout=LIMIT_S) as plain,
            pytest.raises(ssl.SSLCertVerificationError) as failed,
        ):
            tls.context(str(pem)).wrap_socket(plain, server_hostname="127.0.0.1")
    assert re.fullmatch(why, tls.distrust(failed.value))


def self_signed(begin_days: int, end_days: int) -> bytes:
    """Return a key and a certificate for 127.0.0.1, good between two days from now, as PEM."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(timezone.utc)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
    begin, end = now + timedelta(begin_days), now + timedelta(end_days)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, begin, end)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*form) + made.public_bytes(serialization.Encoding.PEM)


@pytest.mark.network
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n", None),
        (b"HTTP/1.1 407 No\r\n\r\n", "answers 407 to CONNECT far:8883"),
        (b"\0" * 70_000, "its response is not HTTP"),
    ],
)
def test_a_proxy_is_asked_for_a_tunnel(answer: bytes, error: str | None) -> None:
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            near, _ = listener.accept()
            with near:
                asked.append(near.recv(4096))
                near.sendall(answer + (b"tls" if error is None else b""))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        proxy = Proxy(host="127.0.0.1", port=listener.getsockname()[1], username="u", password="p")
        if error is None:
            with closing(proxy.connect("far", 8883)) as connection:
                assert connection.recv(3) == b"tls"
        else:
            with pytest.raises(OSError, match=error):
                proxy.connect("far", 8883)
        thread.join(LIMIT_S)
    assert asked[0].startswith(b"CONNECT far:8883 HTTP/1.1\r\nHost: far:8883\r\nProxy-Authorization: Basic dTpw\r\n")


def test_the_identity_of_a_core_that_runs_is_refused(tmp_path: Path) -> None:
    mine = tmp_path / "mine.pem"
    mine.write_text("certificate")
    config = AgentConfig(thing="core-1", broker="mqtts://h", certificate=str(mine), key="/k")
    root = write(tmp_path, {}).parent.parent
    running = ["77", f"{root}/ggc/packages/1.11.6/bin/daemon", "-core-dir", f"{root}/ggc/packages/1.11.6"]
    with pytest.raises(UnsupportedEnvironmentError, match=f"the V1 core at {root} runs as the thing core-1") as caught:
        refuse_running(config, Path("/"), [["1", "/sbin/init"], running])
    assert "greengrassd stop" in str(caught.value.hint)
    other = AgentConfig(thing="agent-1", broker="mqtts://h", certificate=str(mine), key="/k")
    refuse_running(other, Path("/"), [running])
    (root / "certs").mkdir()
    (root / "certs" / "hash.cert.pem").write_text("certificate")  # the core's file is the agent's
    with pytest.raises(UnsupportedEnvironmentError, match="runs as the thing"):
        refuse_running(other, Path("/"), [running])
    (root / "ggc" / "var" / "state").mkdir(parents=True)
    (root / "ggc" / "var" / "state" / "core.json").write_text('{"version": "1.11.6", "pid": 77}')
    refuse_running(config, Path("/"), [running])  # a simulated core: the agent's own
    refuse_running(config, Path("/"))  # and what runs here is none
    refuse_running(replace(config, certificate=str(tmp_path / "missing")), Path("/"), [running])  # told elsewhere
