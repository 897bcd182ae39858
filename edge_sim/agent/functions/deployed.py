"""The functions of the group that is deployed, kept running by the agent: restarted after each deployment and core
update.

Nothing of what runs functions is imported before a group has some: an idle agent stays small. Where the daemon is, and
the token for it, is written to a file of root's, so that ``edge-sim agent invoke`` finds it.
"""

from __future__ import annotations

import json
import os
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edge_sim.agent import durable
from edge_sim.agent.events import LogFile
from edge_sim.agent.mqtt import Channel
from edge_sim.agent.rooted import inside
from edge_sim.agent.update.releases import Releases
from edge_sim.agent.update.software import CORE
from edge_sim.errors import EdgeSimError, InvalidDefinitionError
from edge_sim.facts import HostFacts
from edge_sim.greengrass.tree import BELOW, Tree

if TYPE_CHECKING:
    from edge_sim.agent.functions.daemon import Daemon
    from edge_sim.greengrass.group import Group

START_LIMIT_S = 10.0
"""How long a deployment waits for its pinned functions to be ready, or to fail."""
MAX_WAITING = 1024
"""How many messages from the cloud may wait to be routed; more are dropped, and said to be."""

Facts = Callable[[Sequence[str]], HostFacts]
"""Looks at the board, at these paths too."""


class Functions(Protocol):
    """What the agent's life asks for."""

    def attach(self, channel: Channel) -> None:
        """Send and take the group's messages on this connection."""

    def refresh(self) -> None:
        """Start what is deployed, unless that runs already."""

    def close(self) -> None:
        """End everything."""


class DeployedFunctions:
    """The functions deployed on the board below ``root``."""

    def __init__(self, root: Path, greengrass_root: str, facts: Facts, log: LogFile) -> None:
        self._root, self._greengrass_root, self._facts, self._log = root, greengrass_root, facts, log
        self._gg = inside(root, greengrass_root)
        self._releases = Releases(root, self._gg, CORE)
        self._daemon: Daemon | None = None
        self._running: tuple[bytes, str | None] | None = None
        self._channel: Channel | None = None
        self._filters: set[str] = set()
        self._lock = threading.Lock()
        self._messages: queue.Queue[tuple[str, bytes]] = queue.Queue(MAX_WAITING)
        self._closed = False

    def attach(self, channel: Channel) -> None:
        self._channel = channel
        if self._daemon is not None:
            self._subscribe(self._daemon.group)

    def refresh(self) -> None:
        try:
            self.start()
        except (EdgeSimError, OSError) as error:
            brief = error.brief if isinstance(error, EdgeSimError) else str(error)
            self._log.write("ERROR", "The functions could not be started.", errorString=brief)

    def start(self) -> Sequence[str]:
        """Start what is deployed, unless that runs already; return a sentence for each function that is not proven.

        Raises InvalidDefinitionError when a pinned function cannot be initialized, with V1's sentence, and what
        ``Daemon`` raises.
        """
        with self._lock:
            self._make_whole()
            deployed = self._deployed()
            if self._closed or deployed == self._running:
                return self._not_proven()
            self._stop()
            document = json.loads(deployed[0])
            failed = None
            if any(entry.get("ArtifactArn") for entry in _lambdas(document)):
                failed = self._start(document)
            self._running = deployed  # what could not be started for another reason is tried again
            if failed is not None:
                self._log.write("ERROR", "A pinned function could not be initialized.", errorString=failed.brief)
                raise failed
            return self._not_proven()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._stop()

    def _start(self, document: dict[str, Any]) -> InvalidDefinitionError | None:
        """Start everything; return V1's sentence when a pinned function cannot be initialized."""
        from edge_sim.agent.functions.daemon import Daemon
        from edge_sim.greengrass import groupfile
        from edge_sim.greengrass.plan import paths_of_interest

        group = groupfile.decode(document)
        facts = self._facts(paths_of_interest(group, self._greengrass_root))
        daemon = Daemon(group, self._root, facts, to_cloud=self._to_cloud).open()
        self._daemon = daemon
        address = {"pid": os.getpid(), "port": daemon.port, "token": daemon.token}
        (self._gg / BELOW.daemon_address).parent.mkdir(parents=True, exist_ok=True)
        durable.write(self._gg / BELOW.daemon_address, json.dumps(address).encode())
        self._subscribe(group)
        return daemon.start_pinned(START_LIMIT_S)

    def _not_proven(self) -> Sequence[str]:
        return self._daemon.not_proven() if self._daemon else ()

    def _make_whole(self) -> None:
        """Finish or take back a deployment that was killed: nothing that is half changed over is to be started."""
        if os.path.lexists(self._gg / BELOW.staging):
            from edge_sim.agent.deployment import changeover

            changeover.recover_alone(self._gg)

    def _stop(self) -> None:
        daemon, self._daemon, self._running = self._daemon, None, None
        if daemon is not None:
            (self._gg / BELOW.daemon_address).unlink(missing_ok=True)
            daemon.close()

    def _deployed(self) -> tuple[bytes, str | None]:
        """Return the key that decides whether the functions must be restarted: group.json and the core's version."""
        path = self._gg / BELOW.group_file
        return path.read_bytes() if path.is_file() else b"{}", self._releases.current()

    def _to_cloud(self, topic: str, payload: bytes) -> None:
        if self._channel is None:
            raise EdgeSimError("the core is not connected yet")
        self._channel.publish(topic, payload)

    def _subscribe(self, group: Group) -> None:
        """Have the cloud's messages routed; a filter that the group no longer has finds no target any more."""
        from edge_sim.greengrass.subscriptions import CLOUD

        missing = {s.subject for s in group.subscriptions if s.source == CLOUD} - self._filters
        if self._channel is None or not missing:
            return
        if not self._filters:
            threading.Thread(target=self._route, name="from the cloud", daemon=True).start()
        for topic_filter in sorted(missing):
            self._filters.add(topic_filter)
            self._channel.subscribe(topic_filter, self._take)

    def _take(self, topic: str, payload: bytes) -> None:
        """The network thread's: a message is only put down here."""
        from edge_sim.greengrass.subscriptions import CLOUD

        try:
            self._messages.put_nowait((topic, payload))
        except queue.Full:
            self._log.write(
                "WARN",
                "A message was not delivered.",
                source=CLOUD,
                topic=topic,
                reason="too many messages are waiting",
            )

    def _route(self) -> None:
        while not self._closed:
            topic, payload = self._messages.get()
            daemon = self._daemon
            if daemon is not None:
                daemon.from_cloud(topic, payload)


def _lambdas(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the functions' entries of a group.json; reading the whole costs imports that an idle agent spares."""
    entries = document.get("GroupDefinitions", {}).get("Lambdas", {}).get("Content", [])
    return entries if isinstance(entries, list) else []


def address(root: Path, greengrass_root: str) -> dict[str, Any] | None:
    """Return ``{"pid", "port", "token"}`` of the daemon that an agent keeps on this board, None when none runs."""
    path = inside(root, Tree(greengrass_root).daemon_address)
    try:
        document = json.loads(path.read_bytes())
        os.kill(int(document["pid"]), 0)
        return {"pid": int(document["pid"]), "port": int(document["port"]), "token": str(document["token"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None
