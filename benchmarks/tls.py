"""What a message costs through the cloud's TLS front, with a policy looked at each way, against mosquitto's own TLS.

One paho client hears its own messages, QoS 1 both ways, many at once; then connections, one after the other, until
their CONNACK. Both servers have the same CA, server certificate and client certificate.
"""

from __future__ import annotations

import argparse
import json
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho_client

from edge_sim.cloud.brokers import packets
from edge_sim.cloud.clients import make_client
from edge_sim.cloud.server import REGION, Cloud, Tls

paho: Any = paho_client
MESSAGE_LIMIT = 2.0
"""How many times mosquitto's time a message may take."""
CONNECT_LIMIT = 3.0
LIMIT_S = 120.0
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:*", "Resource": "*"}]}


def message_s(port: int, context: ssl.SSLContext, count: int, window: int = 50) -> float:
    """Return the seconds for one message, there and back."""
    free, done, ready = threading.Semaphore(window), threading.Event(), threading.Event()
    came = 0

    def on_message(*_: object) -> None:
        nonlocal came
        came += 1
        free.release()
        if came == count:
            done.set()

    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="bench")
    client.tls_set_context(context)
    client.max_inflight_messages_set(0)
    client.on_message = on_message
    client.on_subscribe = lambda *_: ready.set()
    client.connect("127.0.0.1", port)
    client.subscribe("bench/echo", 1)
    client.loop_start()
    if not ready.wait(LIMIT_S):
        raise SystemExit("no answer to the subscription")
    start = time.perf_counter()
    for _ in range(count):
        free.acquire()
        client.publish("bench/echo", b"x" * 200, 1)
    if not done.wait(LIMIT_S):
        raise SystemExit(f"{count - came} of {count} messages did not come back")
    took = time.perf_counter() - start
    client.disconnect()
    client.loop_stop()
    return took / count


def connect_s(port: int, context: ssl.SSLContext, count: int) -> float:
    """Return the seconds for one connection, TLS and MQTT."""
    start = time.perf_counter()
    for _ in range(count):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
        ):
            wrapped.sendall(packets.packet(packets.CONNECT << 4, b"\0\4MQTT\4\2\0\74\0\5bench"))
            if wrapped.recv(4) != b"\x20\2\0\0":
                raise SystemExit("the connection is refused")
    return (time.perf_counter() - start) / count


@contextmanager
def mosquitto(folder: Path, ca: Path) -> Iterator[int]:
    """Run mosquitto with a TLS listener of its own; yield its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    files = f"cafile {ca}/ca.pem\ncertfile {ca}/server.pem\nkeyfile {ca}/server.key\n"
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\n{files}require_certificate true\nuse_identity_as_username true\n"
        "max_inflight_messages 100\nset_tcp_nodelay true\nuser root\n"
    )
    with subprocess.Popen(["mosquitto", "-c", str(config)], stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + LIMIT_S
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.02)
        try:
            yield port
        finally:
            process.terminate()


def client_context(cloud: Cloud, folder: Path) -> ssl.SSLContext:
    """Return the context of a client that may do everything."""
    secret = cloud.exports()["AWS_SECRET_ACCESS_KEY"]
    cafile = str(cloud.cafile)
    iot = make_client("iot", endpoint_url=cloud.http_url, region=REGION, secret=secret, cafile=cafile)
    iot.create_policy(policyName="everything", policyDocument=json.dumps(POLICY))
    made = iot.create_keys_and_certificate(setAsActive=True)
    iot.attach_policy(policyName="everything", target=made["certificateArn"])
    (folder / "client.pem").write_text(made["certificatePem"] + made["keyPair"]["PrivateKey"])
    context = ssl.create_default_context(cafile=cafile)
    context.load_cert_chain(folder / "client.pem")
    return context


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--format", choices=["text", "json"], default="text")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with Cloud(folder / "cloud.sqlite", tls=Tls(), sources="http://127.0.0.1:1") as cloud:
            context = client_context(cloud, folder)
            front = int(cloud.mqtt_url.rpartition(":")[2])
            with mosquitto(folder, folder / "cloud.sqlite.d" / "ca") as own:
                ports = {"front": front, "mosquitto": own}
                messages = {name: message_s(port, context, args.messages) for name, port in ports.items()}
                connections = {name: connect_s(port, context, args.connections) for name, port in ports.items()}
    ratios = {
        "message": round(messages["front"] / messages["mosquitto"], 2),
        "connection": round(connections["front"] / connections["mosquitto"], 2),
    }
    kept = ratios["message"] <= MESSAGE_LIMIT and ratios["connection"] <= CONNECT_LIMIT
    figures = {
        "message_ms": {name: round(1e3 * each, 3) for name, each in messages.items()},
        "connection_ms": {name: round(1e3 * each, 2) for name, each in connections.items()},
    }
    if args.format == "json":
        print(
            json.dumps({**figures, "ratios": ratios, "limits": {"message": MESSAGE_LIMIT, "connection": CONNECT_LIMIT}})
        )
    else:
        for name, each in figures.items():
            print(f"{name}: " + ", ".join(f"{who} {value}" for who, value in each.items()))
        print(f"ratios: {ratios}; limits: {MESSAGE_LIMIT:g} and {CONNECT_LIMIT:g}")
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
