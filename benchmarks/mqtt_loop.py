"""Requests and replies over MQTT, as a device has them: the client of benchmarks/jobs.py, and the bare responder.

``python -m benchmarks.mqtt_loop URL`` answers every request below ``bare/`` at once, as the least that a service
written with paho-mqtt can do. Both sides use QoS 1.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho

QOS = 1
LIMIT_S = 120.0


def connect(url: str, topic: str, on_message: Any) -> Any:
    """Return a client that has subscribed to ``topic``, with Nagle's algorithm off and its thread running."""
    module: Any = paho
    version = (module.CallbackAPIVersion.VERSION2,) if hasattr(module, "CallbackAPIVersion") else ()
    client = module.Client(*version)
    client.max_inflight_messages_set(0)
    client.max_queued_messages_set(0)
    ready = threading.Event()
    client.on_message = on_message
    client.on_subscribe = lambda *_: ready.set()
    where = urlsplit(url)
    client.connect(where.hostname, where.port)
    client.socket().setsockopt(6, 1, 1)  # TCP_NODELAY
    client.subscribe(topic, QOS)
    client.loop_start()
    if not ready.wait(LIMIT_S):
        raise SystemExit("the broker does not take the subscription")
    return client


def exchange(url: str, topic: str, payload: bytes, *, count: int, window: int) -> tuple[float, list[float]]:
    """Send ``count`` requests, at most ``window`` on their way; return the seconds until the last reply, and of each.

    Replies come to ``topic``/accepted, in order; ends the benchmark when one is missing.
    """
    free = threading.Semaphore(window)
    sent: list[float] = []
    took: list[float] = []
    done = threading.Event()

    def on_message(_client: Any, _userdata: Any, _message: Any) -> None:
        took.append(time.perf_counter() - sent[len(took)])
        free.release()
        if len(took) == count:
            done.set()

    client = connect(url, f"{topic}/accepted", on_message)
    start = time.perf_counter()
    for _ in range(count):
        free.acquire()
        sent.append(time.perf_counter())
        client.publish(topic, payload, qos=QOS)
    if not done.wait(LIMIT_S):
        raise SystemExit(f"{count - len(took)} of {count} requests to {topic} had no reply")
    whole = time.perf_counter() - start
    client.disconnect()
    client.loop_stop()
    return whole, took


def respond(url: str) -> None:
    """Answer until standard input ends."""

    def on_message(client: Any, _userdata: Any, message: Any) -> None:
        if not message.topic.endswith("/accepted"):
            client.publish(f"{message.topic}/accepted", b'{"timestamp":1700000000,"clientToken":"t"}', qos=QOS)

    connect(url, "bare/+", on_message)
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    respond(sys.argv[1])
