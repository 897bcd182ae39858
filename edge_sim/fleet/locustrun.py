"""Locust in a process of the fleet: alone, as the master, or as a worker. Imported behind gevent's changes alone."""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
from collections.abc import Mapping
from typing import Any, ClassVar

import gevent
from gevent.fileobject import FileObjectThread
from gevent.queue import Queue
from locust import User, argument_parser, task
from locust.env import Environment
from locust.runners import MasterRunner

from edge_sim import strictjson
from edge_sim.fleet import lines
from edge_sim.fleet.connectedcore import ConnectedCore, Send
from edge_sim.fleet.livepage import LivePage
from edge_sim.fleet.model import CoreModel
from edge_sim.fleet.session import BrokerAddress

TEND_EVERY_S = 5.0
TEND_AT_ONCE = 200
MESSAGE = "edge-sim"
"""The type of Locust's messages that carry lines of a fleet."""


class Pool:
    """The cores of this process: asked for one by one as Locust starts its users."""

    def __init__(self, environment: Environment, send: Send) -> None:
        self._environment = environment
        self._send = send
        self._waiting: Queue[Mapping[str, Any]] = Queue()
        self._stop = threading.Event()
        self.cores: dict[int, ConnectedCore] = {}

    def live(self) -> None:
        """Run one core in this greenlet until it is ended."""
        self._send({"say": "want"})
        core = self._core(self._waiting.get())  # by no name: the line is larger than what is made of it
        self.cores[core.number] = core
        try:
            core.run()
        finally:
            del self.cores[core.number]
            core.close()
            if not self._stop.is_set():
                self._send({"say": "left", "number": core.number, "disk": core.disk.as_json()})

    def obey(self, line: Mapping[str, Any]) -> None:
        """Do what a line says."""
        if line["do"] == "take":
            self._waiting.put(line)
        elif line["do"] == "drop":
            self._drop(line["down_s"], line["spread_s"])
        elif line["do"] == "settle":
            gc.collect()
            gc.freeze()  # what thousands of cores consist of stays: a collection need not look at it again

    def tend(self) -> None:
        """Look after the connections, for ever."""
        while True:
            gevent.sleep(TEND_EVERY_S)
            for number, core in enumerate(list(self.cores.values())):
                core.session.tend()
                if number % TEND_AT_ONCE == 0:
                    gevent.sleep(0)

    def end(self) -> None:
        """End all waits: the fleet is stopping."""
        self._stop.set()

    def _core(self, seat: Mapping[str, Any]) -> ConnectedCore:
        tls = seat.get("tls")
        return ConnectedCore(
            CoreModel(**seat["model"]),
            lines.disk(seat["disk"]),
            BrokerAddress(**seat["broker"]),
            stop=self._stop,
            send=self._send,
            measure=self._measure,
            context=(lambda: _context(tls)) if tls else None,
        )

    def _drop(self, down_s: float, spread_s: float) -> None:
        """Have every session lost, and back after ``down_s``, spread evenly over ``spread_s``."""
        cores = list(self.cores.values())
        for number, core in enumerate(cores):
            core.session.drop(down_s + spread_s * number / len(cores))

    def _measure(self, phase: str, seconds: float, trouble: str | None) -> None:
        self._environment.events.request.fire(
            request_type="update",
            name=phase,
            response_time=seconds * 1000,
            response_length=0,
            exception=trouble,  # as text: of an exception the page would show its constructor
            context={},
        )


class SimulatedCore(User):
    """A core as Locust's user."""

    pool: ClassVar[Pool]

    @task
    def live(self) -> None:
        self.pool.live()


def run(setup: Mapping[str, Any], output: int) -> None:
    """Run the part that ``setup`` says until standard input ends."""
    logging.basicConfig(level=logging.ERROR)
    environment = Environment(user_classes=[SimulatedCore])

    def write(line: object) -> None:
        os.write(output, lines.encode(line))

    if setup["role"] == "master":
        _master(environment, setup, write)
    else:
        _cores(environment, setup, write)
    os._exit(0)  # thousands of sessions need no goodbye, and no collection


def _cores(environment: Environment, setup: Mapping[str, Any], write: Send) -> None:
    remote = setup["role"] == "worker" and setup["remote"]
    runner = (
        environment.create_worker_runner(setup["host"], setup["port"])
        if setup["role"] == "worker"
        else environment.create_local_runner()
    )

    def send(line: object) -> None:
        if remote:
            runner.send_message(MESSAGE, {"line": line})
        else:
            write(line)

    pool = SimulatedCore.pool = Pool(environment, send)
    if remote:
        runner.register_message(MESSAGE, lambda msg, **_: pool.obey(msg.data))
    gevent.spawn(pool.tend)
    if setup["role"] == "worker":
        gevent.spawn(_end_with, runner)
    page = _page(environment, setup, write)
    write({"say": "ready"})
    for line in _input():
        if line["do"] == "spawn":
            runner.start(line["count"], line["rate"])
        elif line["do"] == "show" and page is not None:
            page.show(line["broker"], line["cores"])
        else:
            pool.obey(line)
    pool.end()


def _master(environment: Environment, setup: Mapping[str, Any], write: Send) -> None:
    environment.parsed_options = _parsed("--enable-rebalancing")  # else a lost worker's cores wait for a minute
    runner = environment.create_master_runner(setup["host"], setup["port"])
    runner.register_message(MESSAGE, lambda msg, **_: write({"from": msg.node_id, "line": msg.data["line"]}))
    environment.events.worker_connect.add_listener(lambda client_id: write({"say": "joined", "worker": client_id}))
    gevent.spawn(_watch, runner, write)
    page = _page(environment, setup, write)
    write({"say": "ready"})
    for line in _input():
        if line["do"] == "spawn":
            runner.start(line["count"], line["rate"])
        elif line["do"] == "show" and page is not None:
            page.show(line["broker"], line["cores"])
        elif line["do"] == "pass on":
            runner.send_message(MESSAGE, line["line"], line["to"])
    runner.quit()


def _page(environment: Environment, setup: Mapping[str, Any], write: Send) -> LivePage | None:
    port = setup.get("web_port")
    return LivePage(environment, port, lambda: write({"say": "stop"})) if port else None


def _end_with(runner: Any) -> None:
    """End this process when Locust's master has ended its part."""
    runner.greenlet.join()
    os._exit(0)


def _watch(runner: MasterRunner, write: Send) -> None:
    """Tell of workers that are not heard of any more."""
    known: set[str] = set()
    while True:
        gevent.sleep(0.5)
        there = {node.id for node in runner.clients.all if node.state != "missing"}
        for worker in known - there:
            write({"say": "missing", "worker": worker})
        known = there


def _parsed(*words: str) -> Any:
    """Return Locust's own options as its command line has them."""
    parser = argument_parser.get_empty_argument_parser()
    argument_parser.setup_parser_arguments(parser)
    return parser.parse(args=list(words))


def _input() -> Any:
    """Yield the lines of standard input."""
    for text in FileObjectThread(sys.stdin.buffer, "rb"):
        yield strictjson.loads(text)


def _context(tls: Mapping[str, str]) -> Any:
    from edge_sim.agent.tls import context

    return context(tls["cafile"], tls["certificate"], tls["key"])
