"""The agent's life: start the core, connect, take in messages, do the work in order, stop cleanly.

    network thread   puts messages and connection changes into the inbox, nothing else
    main thread      reads the inbox: hands replies to whoever waits for them, turns the rest into tasks; signals too
    work thread      starts the core, then does one task after the other: deployments, updates, asking

Core and functions wait for no broker: the connection is made when there is one, however long that takes. At every
(re)connect both questions are asked again, ``$next`` and the deployment shadow, so that nothing that was missed stays
missed.
"""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from edge_sim.agent import mqtt
from edge_sim.agent.config import AgentConfig
from edge_sim.agent.destinations import is_loopback
from edge_sim.agent.events import Emit, LogFile, emit
from edge_sim.agent.failures import Failures
from edge_sim.agent.functions.deployed import Functions
from edge_sim.agent.inbox import Connected, Disconnected, Entry, Message, Stopped, Task, Work, signals
from edge_sim.agent.lock import only_one
from edge_sim.agent.rooted import inside
from edge_sim.agent.tls import context
from edge_sim.agent.update.candidates import candidates
from edge_sim.agent.update.guard import Guard
from edge_sim.agent.update.installation import Installation, UpdateSettings, http_fetch
from edge_sim.agent.update.jobclient import JobClient
from edge_sim.agent.update.journal import Journal, Record
from edge_sim.agent.update.ownprogram import OwnProgram
from edge_sim.agent.update.preflight import BoardIdentity
from edge_sim.agent.update.software import CORE
from edge_sim.agent.update.supervisor import CoreError, Supervisor
from edge_sim.agent.update.task import StoppingError, UpdateTarget
from edge_sim.agent.update.updater import Updater
from edge_sim.agent.version import VERSION
from edge_sim.errors import EdgeSimError
from edge_sim.greengrass import tree
from edge_sim.greengrass.tree import BELOW
from edge_sim.interrupts import awaited
from edge_sim.jobs import shadow, topics, wire
from edge_sim.mqttclient import address

if TYPE_CHECKING:
    from edge_sim.agent.deployment.deployments import Deploy, Deployments
    from edge_sim.agent.http import HttpClient

RETRY_MOST_S = 64.0
HandOver = Callable[[], NoReturn]
WORK_STOP_S = 2.0
CORE_STOP_S = 1.0
"""Both leave room within the 5 s in which the agent must be gone after SIGTERM."""


def run(
    config: AgentConfig,
    root: Path,
    deploy: Deploy,
    board: BoardIdentity,
    *,
    functions: Functions | None = None,
    settings: UpdateSettings = UpdateSettings(),  # noqa: B008 - a frozen value
    hand_over: HandOver | None = None,
) -> None:
    """Run the agent of the board below ``root`` until SIGTERM or SIGINT.

    ``deploy`` carries out deployment documents, ``functions`` are what is deployed, ``hand_over`` ends this process in
    favour of another version of the agent; without it the agent cannot be updated. Raises UsageError for an address or
    CA certificates that cannot be read, and UnsupportedEnvironmentError when another agent is running on this board.
    """
    address(config.broker)
    supervisor = Supervisor(root, config.greengrass_root)
    with only_one(supervisor.gg):
        agent = _Agent(config, root, deploy, board, supervisor, emit, settings, functions, hand_over)
        with signals(agent.inbox):
            agent.run()


class _Agent:
    """One run of the agent."""

    def __init__(
        self,
        config: AgentConfig,
        root: Path,
        deploy: Deploy,
        board: BoardIdentity,
        supervisor: Supervisor,
        emit: Emit,
        settings: UpdateSettings,
        functions: Functions | None = None,
        hand_over: HandOver | None = None,
    ) -> None:
        self.inbox: queue.SimpleQueue[Entry] = queue.SimpleQueue()
        self._config = config
        self._emit = emit
        self._supervisor = supervisor
        self._functions = functions
        self._online = False
        """Whether the cloud can be asked, as far as was said."""
        self._channel: mqtt.Channel | None = None
        self._work = Work()
        self._stop = supervisor.stopping
        self._log = LogFile(supervisor.gg / BELOW.runtime_log)
        self._failures = Failures(emit, self._log)
        checked = config.cafile is not None or config.certificate is not None
        self._tls = context(config.cafile, config.certificate, config.key, alpn=config.alpn) if checked else None
        self._https = context(config.cafile, config.certificate, config.key) if checked else None
        self._jobs = JobClient(config.thing, stop=self._stop, on_message=self._tell_message)
        ota_log = LogFile(inside(root, tree.ota_log(config.greengrass_root)))
        installation = Installation(supervisor, http_fetch(self._http), settings)
        releases = installation.releases
        trouble = partial(ota_log.write, "ERROR")
        journal = Journal(supervisor.gg / BELOW.state, on_trouble=trouble, on_write=self._tell_record)
        self._guard = Guard(
            supervisor,
            releases,
            partial(candidates, releases, journal),
            emit=emit,
            log=self._log,
            stable_s=settings.stable_s,
        )
        self._updater = Updater(
            self._targets(installation, settings, hand_over),
            self._jobs,
            journal,
            board,
            guard=self._guard,
            emit=emit,
            log=ota_log,
            stop=self._stop,
        )
        self._deploy = deploy

    @cached_property
    def _deployments(self) -> Deployments:
        """Made with the first one: until then a board spares the memory."""
        from edge_sim.agent.deployment.deployments import Deployments

        return Deployments(self._deploy, self._http(), emit=self._emit, log=self._log, stop=self._stop)

    def _http(self) -> HttpClient:
        """Return what fetches documents and builds."""
        from edge_sim.agent.http import HttpClient

        loopback = self._config.allow_loopback or is_loopback(address(self._config.broker)[0])
        return HttpClient(tls=self._https, proxy=self._config.proxy, loopback=loopback, stop=self._stop)

    def _targets(
        self, core: Installation, settings: UpdateSettings, hand_over: HandOver | None
    ) -> Mapping[str, UpdateTarget]:
        """Return what can be updated: the core, and this program where it can hand over."""
        targets = {CORE.name: UpdateTarget(installation=core, watch=self._guard)}
        if hand_over is not None:
            own = OwnProgram(
                self._supervisor,
                connect_limit_s=self._config.connect_limit_s,
                online=lambda: self._online,
                hand_over=partial(self._hand_over, hand_over),
                sleep=self._stop.wait,
            )
            targets[own.software.name] = UpdateTarget(
                installation=Installation(own, http_fetch(self._http), settings), watch=own
            )
        return targets

    # ---- main thread

    def run(self) -> None:
        worker = threading.Thread(target=self._work_thread, name="work", daemon=True)
        worker.start()
        error: BaseException | None = None
        try:
            error = self._take_messages()
        finally:
            self._end(worker)
        if error is not None:
            raise error

    def _take_messages(self) -> BaseException | None:
        while True:
            entry = awaited(self.inbox)
            if isinstance(entry, Stopped):
                return entry.error
            if isinstance(entry, Connected):
                if not self._online:
                    self._emit("connected")
                    self._log.write("INFO", "Connected.", clientId=self._config.thing)
                self._online = True
                self._work.ask("deployment")
                self._work.ask("jobs")
            elif isinstance(entry, Disconnected):
                self._online = False
                self._emit("disconnected", reason=entry.reason, **({"lasting": True} if entry.lasting else {}))
                self._log.write("WARN", "Disconnected.", reason=entry.reason)
            else:
                self._sort(entry)

    def _sort(self, message: Message) -> None:
        thing = self._config.thing
        try:
            if message.topic in (topics.notify(thing), topics.notify_next(thing)):
                # Only a hint: what is pending is asked for, so order and copies do not matter. An update behind
                # another's job changes what is pending, not what is next.
                self._tell_message("received", message.topic, None)
                self._work.ask("jobs")
            elif message.topic == topics.deployment_delta(thing):
                self._take(shadow.decode_delta(message.payload))
            elif message.topic == topics.deployment_get_accepted(thing):
                self._take(shadow.decode_accepted(message.payload))
            else:
                self._jobs.deliver(message.topic, message.payload)
        except wire.JobsError as error:
            self._log.write("WARN", "A message could not be read.", topic=message.topic, error=error.brief)

    def _take(self, deployment: Mapping[str, Any] | None) -> None:
        if deployment is not None:
            self._work.tasks.put(deployment)

    def _end(self, worker: threading.Thread) -> None:
        self._stop.set()
        self._jobs.interrupt()
        self._work.tasks.put(None)
        worker.join(WORK_STOP_S)
        if self._functions is not None:
            self._functions.close()
        with suppress(CoreError):
            self._supervisor.stop(limit_s=CORE_STOP_S)
        if self._channel is not None:
            self._channel.close()
        self._emit("stopped")

    # ---- work thread

    def _work_thread(self) -> None:
        try:
            if self._updater.switching():
                self._connect()  # a stable window may take minutes, and a cancellation is heard in it
                self._resolve()
                self._guard.start()
            else:  # the core first, from whatever the disk still says
                self._guard.start()
                self._connect()  # what it brings waits in the queue until the core runs
                self._resolve()
            self._guard.wait()
            self._refresh()
            self._do_tasks()
        except StoppingError:
            pass
        except BaseException as error:  # raised again in the main thread
            self.inbox.put(Stopped(error=error))

    def _hand_over(self, become: HandOver) -> NoReturn:
        """End in favour of another version of this program; the core runs on."""
        if self._functions is not None:
            self._functions.close()
        if self._channel is not None:
            self._channel.close()
        self._emit("handed over", version=VERSION)
        become()

    def _resolve(self) -> None:
        """Finish what a restart cut off; what the disk does not let be written now is tried again with every task."""
        try:
            self._updater.resolve()
        except (EdgeSimError, OSError) as error:
            self._failures.say("jobs", error)

    def _connect(self) -> None:
        thing = self._config.thing
        filters = [*self._jobs.reply_filters, topics.notify(thing), topics.notify_next(thing)]
        if self._config.deployments:
            filters += [topics.deployment_delta(thing), topics.deployment_get_accepted(thing)]
        self._channel = channel = mqtt.connect(
            self._config.broker,
            self._config.client_id or thing,
            self._config.keep_alive_s,
            tls=self._tls,
            proxy=self._config.proxy,
            wait=partial(mqtt.backoff, most=self._config.retry_most_s),
            subscriptions=dict.fromkeys(filters, self._take_message),
            on_connect=lambda: self.inbox.put(Connected()),
            on_disconnect=lambda reason, lasting: self.inbox.put(Disconnected(reason=reason, lasting=lasting)),
        )
        self._jobs.attach(channel)
        if self._functions is not None:
            self._functions.attach(channel)

    def _take_message(self, topic: str, payload: bytes) -> None:
        self.inbox.put(Message(topic=topic, payload=payload))

    def _do_tasks(self) -> None:
        while not self._stop.is_set():
            most = self._failures.most()
            wait = mqtt.backoff(most, most=RETRY_MOST_S) if most else self._idle_s()
            try:
                task = self._work.tasks.get(timeout=wait)
            except queue.Empty:
                if not self._online:
                    self._resolve()
                    continue  # the next connection asks
                task = "jobs"
                self._work.ask("deployment")
            try:
                self._do(task)
                self._failures.over(_kind(task))
            except (EdgeSimError, OSError) as error:
                self._failures.count(_kind(task), error)

    def _do(self, task: Task | None) -> None:
        if task == "jobs":
            self._work.questions.discard("jobs")
            self._updater.work()
            self._refresh()  # another core version starts the functions anew
        elif task == "deployment":
            self._work.questions.discard("deployment")
            if self._channel is not None and self._config.deployments:
                self._channel.publish(topics.deployment_get(self._config.thing), b"{}")
        elif task is not None and not isinstance(task, str):
            self._deployments.carry_out(task)

    def _idle_s(self) -> float:
        """Return how long a quiet agent waits until it asks anyway, in case a notification was lost.

        A quarter of it is left to chance: a fleet that was switched on together does not ask together.
        """
        return self._config.ask_every_s * (0.75 + random.random() / 2)  # noqa: S311 - no secret

    def _refresh(self) -> None:
        if self._functions is not None:
            self._functions.refresh()

    def _tell_message(self, way: Literal["sent", "received"], topic: str, status: str | None) -> None:
        self._emit("message", way=way, topic=topic, **({"status": status} if status else {}))

    def _tell_record(self, record: Record) -> None:
        ended = {"report": record.report.status} if record.report else {}
        self._emit("journal", job=record.job, phase=record.phase.name, confirmed=record.confirmed, **ended)


def _kind(task: Task | None) -> str:
    return task if isinstance(task, str) else "deployment"
