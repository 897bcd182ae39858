"""A board with its agent connected to a cloud, which the steps of a run are taken on: one scenario's, or several's."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType

from edge_sim.agent import cgroups
from edge_sim.certificate import CertificateRow
from edge_sim.emulation.board import Board, BoardSpec
from edge_sim.emulation.doctor import certificate_for, real
from edge_sim.emulation.drivers import Driver
from edge_sim.errors import UnsupportedEnvironmentError
from edge_sim.runs import aws
from edge_sim.runs.agentprocess import AgentProcess, agent_running
from edge_sim.runs.aws import Aws
from edge_sim.runs.cloudprocess import CloudProcess
from edge_sim.runs.steps import StepCounter

COMMAND_S, COMMAND_OVER_SSH_S = 120.0, 600.0
"""For a command of the agent, which ends by itself: a limit for what hangs."""
CONNECT_S, CONNECT_OVER_SSH_S = 30.0, 120.0
"""A first Raspberry Pi takes its time for a Python that it has never run before."""


class LiveBoard:
    """A board that a driver makes when the block begins, and ends with it. ``spec`` has an agent.

    In the block: ``board``, its ``agent``, the ARN of its thing, its ``certificate``, or why it has none
    (``not_certified``). Entering raises EdgeSimError for a board that cannot be made or does not connect.
    """

    board: Board
    agent: AgentProcess
    thing_arn: str

    def __init__(self, spec: BoardSpec, driver: Driver, cloud: CloudProcess, client: Aws, steps: StepCounter) -> None:
        self.spec = spec
        self.driver = driver
        self.cloud = cloud
        self.aws = client
        self.steps = steps
        self.certificate: Sequence[CertificateRow] = ()
        self.not_certified: str | None = None
        self._stack = ExitStack()
        self._stopped = threading.Event()

    @property
    def thing(self) -> str:
        """The name of the core's thing."""
        assert self.spec.agent is not None  # noqa: S101 - see the class
        return self.spec.agent.thing

    @property
    def real(self) -> bool:
        """Whether the board is itself, and no simulation of one."""
        return self.driver.name == "ssh"

    def __enter__(self) -> LiveBoard:
        with ExitStack() as stack:
            stack.callback(cgroups.sweep)  # what alone outlives an agent that is killed with its board
            self.steps.begin("creating the board")
            self.board = stack.enter_context(self.driver.board(self.spec))
            self.agent = stack.enter_context(agent_running(self.board))
            connect_s = CONNECT_OVER_SSH_S if self.real else CONNECT_S
            self.agent.wait_for("connected", timeout_s=connect_s, alive=self._check)
            self._certify()
            self.thing_arn = aws.create_thing(self.aws, self.thing)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)

    def stop(self) -> None:
        """End the board from another thread; whatever waits for it raises soon after."""
        self._stopped.set()
        if hasattr(self, "board"):
            self.board.close()

    @property
    def command_s(self) -> float:
        """How long a command of the agent may take on this board."""
        return COMMAND_OVER_SSH_S if self.real else COMMAND_S

    def alive(self) -> int:
        """Raise UnsupportedEnvironmentError when the board was stopped, or its cloud or agent has ended.

        Returns how many steps of deployments and updates the agent has reported so far.
        """
        self._check()
        self.agent.check()
        return self.agent.steps

    def _check(self) -> None:
        if self._stopped.is_set():
            raise UnsupportedEnvironmentError(f"{self.spec.profile.name}: the run was stopped")
        self.cloud.check()

    def _certify(self) -> None:
        if self.real:
            self.certificate = real(self.spec.profile)
            return
        self.steps.begin("checking how faithful the board is")
        try:
            self.certificate = certificate_for(self.board, self.spec.profile)
        except UnsupportedEnvironmentError as error:
            self.not_certified = error.brief
