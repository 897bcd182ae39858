"""One session of the stand-in: a migration's folder deployed below a root, messages sent, what components answered.

``edge-sim nucleus`` holds one on this machine, ``program`` one on a simulated board.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edge_sim.jsonobject import JsonObject
from edge_sim.offline.nucleus.core import RunningNucleus, read_folder, running
from edge_sim.v2.nucleus import BY_NAME, NUCLEI

LOG_LINES, LOG_BYTES = 20, 16 * 1024
"""How much of the end of a component's log is handed back."""


@dataclass(frozen=True, kw_only=True)
class NucleusSession:
    """What is asked. ``messages`` come from IoT Core, ``local`` on local topics, each ``TOPIC=TEXT``.

    The session ends once components have sent ``answers`` messages, or after ``seconds``. ``secrets`` are values by
    ARN, ``packages`` a folder of Python packages that components find.
    """

    folder: Path
    root: Path
    target: str
    architecture: str
    messages: tuple[str, ...] = ()
    local: tuple[str, ...] = ()
    answers: int = 0
    seconds: float = 30.0
    secrets: Mapping[str, str] = field(default_factory=dict)
    packages: Path | None = None

    def as_json(self) -> dict[str, Any]:
        members = asdict(self)
        return members | {key: str(value) for key, value in members.items() if isinstance(value, Path | float)}

    @classmethod
    def from_json(cls, document: JsonObject) -> NucleusSession:
        """Raises ValueError for anything else."""
        packages = document.text_or_none("packages")
        return cls(
            folder=Path(document.text("folder")),
            root=Path(document.text("root")),
            target=document.text("target"),
            architecture=document.text("architecture"),
            messages=tuple(document.texts("messages")),
            local=tuple(document.texts("local")),
            answers=document.number("answers"),
            seconds=float(document.text("seconds")),
            secrets={arn: str(value) for arn, value in document.mapping("secrets").items()},
            packages=Path(packages) if packages else None,
        )


@dataclass(frozen=True, kw_only=True)
class SessionOutcome:
    """The outcome of a session. ``sent`` are messages as JSON has them; ``unheard`` topics that nobody heard."""

    sent: tuple[Mapping[str, str], ...]
    refused: tuple[str, ...]
    broken: tuple[str, ...]
    unheard: tuple[str, ...]
    enough: bool
    """So many messages were sent as were asked for."""
    logs: Mapping[str, tuple[str, ...]]
    """The last lines that each component wrote."""
    notes: tuple[str, ...]

    @property
    def well(self) -> bool:
        return self.enough and not self.unheard and not self.broken

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: JsonObject) -> SessionOutcome:
        """Raises ValueError for anything else."""
        return cls(
            sent=document.children("sent", lambda message: {key: message.text(key) for key in message}),
            refused=document.texts("refused"),
            broken=document.texts("broken"),
            unheard=document.texts("unheard"),
            enough=document.flag("enough"),
            logs={name: document.child("logs").texts(name) for name in document.mapping("logs")},
            notes=document.texts("notes"),
        )


def hold(session: NucleusSession) -> SessionOutcome:
    """Deploy, send and listen. Raises what ``core.read_folder`` and ``core.running`` raise."""
    nucleus = BY_NAME[next(name for name in NUCLEI if name == session.target)]
    plan = read_folder(session.folder, nucleus, session.architecture)
    with running(
        plan, session.folder, session.root, nucleus, secrets=session.secrets, packages=session.packages
    ) as core:
        unheard = [
            *_send(core, session.messages, session.seconds, cloud=True),
            *_send(core, session.local, session.seconds, cloud=False),
        ]
        enough = core.hub.wait(lambda hub: len(hub.sent) >= session.answers or bool(core.broken()), session.seconds)
        return SessionOutcome(
            sent=tuple(
                {
                    "component": message.component,
                    "to": "IoT Core" if message.cloud else "local",
                    "topic": message.topic,
                    "payload": message.payload.decode(errors="replace"),
                }
                for message in core.hub.sent
            ),
            refused=tuple(core.hub.refused),
            broken=tuple(core.broken()),
            unheard=tuple(unheard),
            enough=enough,
            logs={name: tuple(_last_lines(file)) for name, file in core.logs.items() if file.is_file()},
            notes=tuple(core.notes),
        )


def _last_lines(log: Path) -> list[str]:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LOG_BYTES))
        return file.read().decode(errors="replace").splitlines()[-LOG_LINES:]


def _send(core: RunningNucleus, messages: tuple[str, ...], seconds: float, *, cloud: bool) -> list[str]:
    """Send messages once somebody hears their topics, and return the topics of those that nobody heard."""
    unheard = []
    for text in messages:
        topic, _, payload = text.partition("=")
        heard = core.hub.wait(
            lambda hub, topic=topic: hub.subscribed(topic, cloud=cloud) or bool(core.broken()),  # type: ignore[misc]
            seconds,
        )
        if not heard or not core.hub.subscribed(topic, cloud=cloud):
            unheard.append(topic)
            continue
        core.hub.deliver(topic, payload.encode(), cloud=cloud)
    return unheard
