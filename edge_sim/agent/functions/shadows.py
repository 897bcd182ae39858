"""Local shadows: one file a thing, below ``<gg>/ggc/var/state/shadows``; the rules are ``greengrass.shadow``'s.

They are not synchronised with the cloud. Every change goes to ``publish`` as the shadow service's messages, so that
subscriptions with the source ``GGShadowService`` get them.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge_sim.agent import durable
from edge_sim.agent.rooted import inside
from edge_sim.errors import EdgeSimError, UnsupportedEnvironmentError
from edge_sim.greengrass import shadow
from edge_sim.greengrass.tree import Tree
from edge_sim.jobs.topics import is_thing_name

_TOPIC = re.compile(r"\$aws/things/([^/]+)/shadow/(get|update|delete)")

Publish = Callable[[str, bytes], None]


class Shadows:
    """The shadow service of the core below ``root``."""

    def __init__(
        self, root: Path, greengrass_root: str, publish: Publish, now: Callable[[], float] = time.time
    ) -> None:
        self._directory = inside(root, Tree(greengrass_root).shadows)
        self._publish = publish
        self._now = now
        self._lock = threading.Lock()

    def request(self, topic: str, payload: bytes) -> bytes:
        """Carry out what was asked on ``$aws/things/<thing>/shadow/<get|update|delete>``; return the answer's JSON.

        A rejection is an answer too, with ``code`` and ``message``.
        """
        match = _TOPIC.fullmatch(topic)
        if match is None or not is_thing_name(match[1]):
            return _encode({"code": 400, "message": f"{topic!r} is not the topic of a shadow request"})
        thing, what = match.groups()
        head = f"$aws/things/{thing}/shadow"
        try:
            with self._lock:
                answer, messages = self._carry_out(thing, what, payload)
        except shadow.ShadowError as error:
            answer, messages = error.body, {f"{what}/rejected": error.body}
        for end, message in messages.items():
            self._publish(f"{head}/{end}", _encode(message))
        return _encode(answer)

    def _carry_out(self, thing: str, what: str, payload: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
        document, now = self._read(thing), int(self._now())
        if what == "get":
            answer = shadow.get(thing, document)
            return answer, {"get/accepted": answer}
        outcome = shadow.update(document, payload, now) if what == "update" else shadow.delete(thing, document, now)
        self._write(thing, outcome.document)
        return outcome.answer, dict(outcome.messages)

    def _path(self, thing: str) -> Path:
        return self._directory / f"{thing}.json"  # a thing's name has no slash

    def _read(self, thing: str) -> dict[str, Any] | None:
        try:
            document = json.loads(self._path(thing).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise EdgeSimError(f"{self._path(thing)}: the local shadow cannot be read") from error
        return document if isinstance(document, dict) else None

    def _write(self, thing: str, document: dict[str, Any]) -> None:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            durable.write(self._path(thing), _encode(document))
        except OSError as error:
            text = f"{self._path(thing)}: the local shadow cannot be written: {error.strerror}"
            raise UnsupportedEnvironmentError(text) from error


def _encode(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
