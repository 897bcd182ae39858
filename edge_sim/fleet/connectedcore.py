"""A core while a process runs it: its session, its work in a greenlet, and what Locust hears of its phases."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event

from edge_sim.agent.config import ASK_EVERY_S
from edge_sim.agent.mqtt import OfflineError, backoff
from edge_sim.agent.update.task import StoppingError
from edge_sim.errors import EdgeSimError
from edge_sim.fleet.core import FleetCore
from edge_sim.fleet.lines import ModelDisk
from edge_sim.fleet.model import CoreModel
from edge_sim.fleet.session import BrokerAddress, MqttSession
from edge_sim.jobs.requests import FINAL
from edge_sim.jobs.update import Phase

RETRY_MOST_S = 64.0
"""The agent's own longest wait until it asks again."""

Send = Callable[[object], None]
Measure = Callable[[str, float, str | None], None]
"""Hears of a phase that is over: its name, how many seconds it took, and why it ended badly."""


class ConnectedCore:
    """One core, connected until ``close``. ``send`` takes its lines."""

    def __init__(
        self,
        model: CoreModel,
        disk: ModelDisk,
        broker: BrokerAddress,
        *,
        stop: threading.Event,
        send: Send,
        measure: Measure,
        context: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self.number = model.number
        self.disk = disk
        self._send = send
        self._measure = measure
        self._wake = Event()
        self._phase = ""
        self._since = 0.0
        self._trouble = ""
        self._core = FleetCore(model, disk, sleep=gevent.sleep, stop=stop, tell=self._tell)
        self.session = MqttSession(
            model.thing,
            broker,
            self._core.filters,
            on_message=self._take,
            on_up=self._up,
            on_down=self._down,
            context=context,
        )
        self._core.attach(self.session)

    def run(self) -> None:
        """Do what the cloud has for this core, until this greenlet is ended."""
        gevent.spawn(self.session.open)
        failures = 0
        while True:
            self._wake.wait(backoff(failures, most=RETRY_MOST_S) if failures else ASK_EVERY_S)
            self._wake.clear()
            try:
                self._core.work()
                failures = 0
            except StoppingError:
                return
            except (EdgeSimError, OSError) as error:
                failures += 1
                self._say(error)

    def close(self) -> None:
        """Leave the broker."""
        self.session.close()

    def _say(self, error: EdgeSimError | OSError) -> None:
        """Report an error, the same one once; that the cloud cannot be asked is reported of the connection."""
        text = error.brief if isinstance(error, EdgeSimError) else str(error)
        if text != self._trouble and not isinstance(error, OfflineError):
            self._tell("error", text=text)
        self._trouble = text

    def _take(self, topic: str, payload: bytes) -> None:
        if self._core.take(topic, payload):
            self._wake.set()

    def _up(self) -> None:
        self._tell("up")
        self._wake.set()

    def _down(self, reason: str, final: bool) -> None:
        self._tell("down", text=reason, final=final)

    def _tell(self, kind: str, /, **members: Any) -> None:
        now = time.time()
        self._send([self.number, now, kind, members])
        if kind == "journal" and members["record"] is not None:
            record = members["record"]
            report = record["report"]
            self._enter(report["status"] if report else record["phase"], now, record["reason"])
        elif kind == "canceled":
            self._enter("CANCELED", now, members["text"])

    def _enter(self, phase: str, now: float, reason: str | None) -> None:
        """Tell Locust of the phase that is over now: an update that fails does so once, in one phase."""
        back = Phase.ROLL_BACK.name
        if phase == self._phase:
            return
        if self._phase:
            bad = phase == back or (phase in FINAL and phase != Phase.SUCCEEDED.name and self._phase != back)
            self._measure(self._phase, now - self._since, (reason or phase) if bad else None)
        self._phase, self._since = ("" if phase in FINAL else phase), now
