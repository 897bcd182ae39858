"""A simulated core: the agent's own updater and Jobs client on a model of a board.

Nothing of the Jobs protocol and of an update's phases is written here a second time; ``work`` blocks as the agent's
work thread does, and is to be called from one thread (or greenlet) of the core's own.
"""

from __future__ import annotations

import threading
from functools import partial

from edge_sim.agent.events import RecentLines
from edge_sim.agent.mqtt import Publisher
from edge_sim.agent.update.installation import UpdateSettings
from edge_sim.agent.update.jobclient import JobClient
from edge_sim.agent.update.preflight import BoardIdentity
from edge_sim.agent.update.software import CORE
from edge_sim.agent.update.task import UpdateTarget
from edge_sim.agent.update.updater import Updater
from edge_sim.fleet import lines
from edge_sim.fleet.board import ModelBoard, Sleep, Tell
from edge_sim.fleet.lines import ModelDisk
from edge_sim.fleet.model import CoreModel
from edge_sim.jobs import messages, topics, wire

QUIET = 10.0
"""How often a board that is watched for no time is looked at: once."""


class FleetCore:
    """One core of a fleet. ``tell`` hears what it does; ``stop`` ends its waits."""

    def __init__(self, model: CoreModel, disk: ModelDisk, *, sleep: Sleep, stop: threading.Event, tell: Tell) -> None:
        self.model = model
        self._tell = tell
        interval = 1.0 if model.stable_s else QUIET
        settings = UpdateSettings(stable_s=model.stable_s, health_interval_s=interval)
        board = ModelBoard(model, disk, settings, sleep, tell)
        self._jobs = JobClient(model.thing, stop=stop)
        self._updater = Updater(
            {CORE.name: UpdateTarget(installation=board, watch=board)},
            self._jobs,
            board,
            BoardIdentity(architecture=model.architecture, operating_system=model.operating_system),
            guard=board,
            emit=partial(_emit, tell),
            log=RecentLines(),
            stop=stop,
        )
        self.resolve = self._updater.resolve
        self.work = self._updater.work
        self._notices = (topics.notify(model.thing), topics.notify_next(model.thing))
        self.filters = (*self._jobs.reply_filters, *self._notices)

    def attach(self, publisher: Publisher) -> None:
        """Ask over ``publisher`` from now on."""
        self._jobs.attach(publisher)

    def take(self, topic: str, payload: bytes) -> bool:
        """Take a message of ``filters``; return whether it says that there may be work."""
        if topic in self._notices:
            return True
        if topic.endswith("/rejected"):
            self._look_at(payload)
        self._jobs.deliver(topic, payload)
        return False

    def _look_at(self, payload: bytes) -> None:
        """Tell of a refusal that is the cloud's own trouble: the agent asks again later and says nothing of it."""
        try:
            rejected = messages.decode_rejected(payload)
        except wire.JobsError:
            return
        if rejected.code == "InternalError":
            self._tell("trouble", text=rejected.message)


def _emit(tell: Tell, event: str, /, **fields: object) -> None:
    """Pass on what the agent says of a job's end; its phases are known by the journal."""
    line = lines.of_event(event, fields)
    if line is not None:
        kind, members = line
        tell(kind, **members)
