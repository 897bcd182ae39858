"""A cluster of RabbitMQ nodes with its MQTT plugin, out of Debian's packages: unpacked, not installed.

apt fetches them into the user's cache without root, and no system service is made. Every process is a child with a
handle of its own: the nodes, and one epmd on a free port, for Erlang would else leave a daemon behind.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
import random
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from edge_sim.arch import ARCHITECTURES
from edge_sim.emulation.bundle.packages import packages
from edge_sim.errors import UnsupportedEnvironmentError
from tests.waiting import until

_ERLANG = (
    "asn1 base crypto eldap ftp inets mnesia os-mon parsetools public-key runtime-tools snmp ssl syntax-tools tftp "
    "tools xmerl"
)
PACKAGES = ("rabbitmq-server", *(f"erlang-{name}" for name in _ERLANG.split()))
START_LIMIT_S = 900.0
"""A node starts in some 5 s of processor time, and waits for others: 300 s were not enough at ten times the load."""
HOST = "127.{}.{}.{}".format(*(os.getpid() + (1 << 16)).to_bytes(3, "big"))
"""This process's own address of loopback: nobody takes a port of it while a node starts, or is away."""
_COOKIE = "edge-sim"
_WHOLE = "unpacked"
_SUBSCRIBING = b"\x10\x11\0\4MQTT\4\2\0\x3c\0\5probe" + b"\x82\x0f\0\1\0\x0a$aws/probe\1"
"""CONNECT in a clean session and SUBSCRIBE at QoS 1."""
_SUBACK = b"\x90"


def unpacked(folder: Path) -> Path:
    """Return ``folder`` with Debian's RabbitMQ and Erlang in it. Skips the test, saying why, where they are not."""
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        pytest.skip(f"needs Debian's rabbitmq-server, which is not looked for on {machine}")
    try:
        fetched = packages(machine, PACKAGES, print, newest=False)
    except UnsupportedEnvironmentError as error:
        pytest.skip(f"needs Debian's package rabbitmq-server, fetched by apt: {error}")
    if not (folder / _WHOLE).exists():
        for package in fetched:
            subprocess.run(["dpkg-deb", "--extract", package.file, folder], check=True)
        (folder / _WHOLE).touch()
    return folder


class Node:
    """One node of a cluster: ``kill`` and ``start`` it as often as you like, its ``port`` stays."""

    def __init__(self, system: Path, place: Path, environment: Mapping[str, str], peers: Sequence[str]) -> None:
        (self._script,) = system.glob("usr/lib/rabbitmq/lib/*/sbin/rabbitmq-server")
        self._place = place
        self._process: subprocess.Popen[bytes] | None = None
        place.mkdir()
        self.port, peers_port = _free_port(), _free_port()
        settings = {
            "listeners.tcp": "none",
            "mqtt.listeners.tcp.1": f"{HOST}:{self.port}",
            "mqtt.allow_anonymous": "true",
            "load_definitions": place.parent / "definitions.json",
            "cluster_formation.peer_discovery_backend": "classic_config",
            **{f"cluster_formation.classic_config.nodes.{number}": peer for number, peer in enumerate(peers, 1)},
            "log.file": "false",
            "log.console": "true",
        }
        (place / "rabbitmq.conf").write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
        (place / "plugins").write_text("[rabbitmq_mqtt].\n")
        self._environment = {
            **environment,
            "ERL_CRASH_DUMP": str(place / "erl_crash.dump"),
            "detached": "yes",  # the script becomes the node, so that this handle is the node's
            "RABBITMQ_NODENAME": f"{place.name}@{HOST}",
            "RABBITMQ_USE_LONGNAME": "true",
            "RABBITMQ_DIST_PORT": str(peers_port),
            "RABBITMQ_CONFIG_FILE": str(place / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(place / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(place / "environment"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(place / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(place),
            "RABBITMQ_LOG_BASE": str(place),
            "RABBITMQ_PID_FILE": str(place / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"-setcookie {_COOKIE} -start_epmd false "
            f"-kernel inet_dist_use_interface {{{HOST.replace('.', ',')}}}",
        }

    @property
    def url(self) -> str:
        return f"mqtt://{HOST}:{self.port}"

    def start(self) -> None:
        """Start the node with what its disk has; returns when it takes connections."""
        with (self._place / "log").open("ab") as log:
            process = self._process = subprocess.Popen(
                [self._script],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._place,  # a database that cannot start leaves its dump there
            )
        until(lambda: self.serves() or process.poll() is not None, self.log, limit_s=START_LIMIT_S)
        assert process.poll() is None, self.log()

    def kill(self) -> None:
        """End it as its machine's power does, as far as others can see."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def log(self) -> str:
        return (self._place / "log").read_text(errors="replace")[-3000:]

    def serves(self) -> bool:
        """Tell whether a subscription is answered: a node that has just joined takes a while for the first."""
        with suppress(OSError), socket.create_connection((HOST, self.port), timeout=60) as connection:
            connection.sendall(_SUBSCRIBING)
            received = b""
            while chunk := connection.recv(64):
                received += chunk
                if received[4:5] == _SUBACK:
                    return True
        return False


def _definitions(*, mirrored: bool) -> str:
    """Return what the cluster is to have from its start; the user is the one that a client without a name is."""
    salt = b"salt"
    digest = base64.b64encode(salt + hashlib.sha256(salt + b"guest").digest()).decode()
    policy = {"vhost": "/", "name": "mqtt", "pattern": "^mqtt-subscription-", "apply-to": "queues", "priority": 0}
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    return json.dumps(
        {
            "vhosts": [{"name": "/"}],
            "users": [
                {
                    "name": "guest",
                    "password_hash": digest,
                    "hashing_algorithm": "rabbit_password_hashing_sha256",
                    "tags": "",
                }
            ],
            "permissions": [{"user": "guest", "vhost": "/", **everything}],
            "policies": [{**policy, "definition": {"ha-mode": "all", "ha-promote-on-failure": "always"}}] * mirrored,
        }
    )


def _free_port() -> int:
    """Return a port that nobody listens on, below those that the system gives to others while a node starts."""
    for port in random.sample(range(20_000, 32_000), 100):
        with suppress(OSError), socket.socket() as tried:
            tried.bind((HOST, port))
            return port
    raise AssertionError("a hundred ports below 32,000 are all taken")


@contextmanager
def cluster(system: Path, place: Path, names: Sequence[str], *, mirrored: bool = False) -> Iterator[Sequence[Node]]:
    """Yield nodes that serve and know each other, below ``place``; ``system`` is what ``unpacked`` returned.

    ``mirrored``: each node has every client's queue. Otherwise it stays on the killed node, and the other one refuses
    the client under its id until that is back ("home node … of durable queue … is down or inaccessible").
    """
    place.mkdir()
    (place / "definitions.json").write_text(_definitions(mirrored=mirrored))
    erlang = system / "usr/lib/erlang"
    (binaries,) = erlang.glob("erts-*/bin")
    start = place / "erl"  # Debian's own knows no folder but /usr/lib/erlang
    start.write_text(
        f'#!/bin/sh\nexport ROOTDIR={erlang} BINDIR={binaries} EMU=beam PROGNAME=erl\nexec {binaries}/erlexec "$@"\n'
    )
    start.chmod(0o755)
    names_port = _free_port()
    environment = {
        "PATH": f"{place}:{os.defpath}",
        "HOME": str(place),
        "LANG": "C.UTF-8",
        "ERL_EPMD_PORT": str(names_port),
    }
    with ExitStack() as stack:
        epmd = subprocess.Popen([binaries / "epmd", "-address", HOST, "-port", str(names_port)], env=environment)
        stack.callback(epmd.wait)
        stack.callback(epmd.kill)
        nodes: list[Node] = []
        for name in names:  # one after the other: those that start at once wait for each other
            peers = [f"{each}@{HOST}" for each in (names[0], name)] if nodes else []
            nodes.append(Node(system, place / name, environment, peers))
            stack.callback(nodes[-1].kill)
            nodes[-1].start()
        for node in nodes:  # one that another has just joined is busy with that
            until(node.serves, node.log, limit_s=START_LIMIT_S)
        yield nodes
