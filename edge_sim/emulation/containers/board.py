"""``--driver docker``: a board that is a container of the profile's own architecture, run by QEMU where needed.

    volume and container made ─► started ─► tree laid into it: ``init`` makes /dev, says so, lets the agent begin

The tree is made while the engine starts the container, and the agent imports its modules while the tree is laid. The
agent is the board's service: it starts with the container, also after ``docker restart``. What the board is (its
processor, its C library) is what its first process found there, not what the profile promises.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import PurePosixPath
from types import TracebackType
from typing import IO, Any

from edge_sim import interrupts
from edge_sim.emulation import boardplan
from edge_sim.emulation.board import BoardSpec, standing_in
from edge_sim.emulation.capabilities import Proves
from edge_sim.emulation.containers import boards, options, storage, tree
from edge_sim.emulation.containers.engine import sets_firewall
from edge_sim.emulation.containers.program import ContainerProgram, completed, started
from edge_sim.errors import EdgeSimError, UnsupportedEnvironmentError
from edge_sim.facts import HostFacts

START_LIMIT_S = 60.0
"""Until the board's first process answers: QEMU can hang on an instruction that it does not know."""


class DockerBoard:
    """A board in a container, made from a spec; a context manager. Leaving it removes the container and its volume.

    ``engine`` is a client of the docker SDK, ``image`` holds the agent for the profile's architecture, ``network`` is
    the name of an existing one, ``name`` the board's, unique at the engine. ``lasting``: the board stays when the block
    ends without an error; otherwise it ends with this process, however that ends.

    After ``with``: ``facts``, ``notes`` and ``proves`` as for ``LocalBoard``, ``machine`` the board's own ``uname -m``,
    ``program`` its first process.
    """

    root = PurePosixPath("/")
    left: tuple[str, ...] = ()
    agent_command = boards.AGENT
    agent_config = tree.AGENT_CONFIG
    program: ContainerProgram
    machine: str
    notes: tuple[str, ...]
    proves = Proves(owners=True, identities=True, mounts=True)
    """The board's root is root of its container; without ``contained`` no function of its group needs a mount."""

    def __init__(
        self, spec: BoardSpec, *, engine: Any, image: str, network: str, name: str, lasting: bool = False
    ) -> None:
        self._files = spec.agent.files if spec.agent else {}
        self.profile = spec.profile
        self._engine = engine
        self._plan = boardplan.plan(spec)
        files = {name: tree.FILES[name] for name in self._files}
        self._agent = {**spec.agent_config(None), "operatingSystem": spec.profile.operating_system, **files}
        self._lasting = lasting
        self._container: Any = None
        self._closing = threading.Lock()
        self._libc = "glibc"
        self._spec = options.ContainerSpec(
            name=boards.container_name(name),
            image=image,
            network=network,
            volume=boards.container_name(name),
            labels=boards.labels(name, spec=spec, lasting=lasting),
            contained=spec.contained,
            life=not lasting,
            agent=("edge_sim.agent.program", str(self.root), tree.AGENT_CONFIG) if spec.agent else (),
            cpus=os.cpu_count() or 1,
            apparmor=any("apparmor" in option for option in engine.info().get("SecurityOptions") or ()),
            firewall=sets_firewall(),
        )

    @property
    def container(self) -> str:
        """The container's name, which is also its volume's."""
        return self._spec.name

    @property
    def standing_in(self) -> str | None:
        """What stands in for the profile's processor and C library, None where they are the profile's."""
        return standing_in(self.profile, self.machine, self._libc)

    @property
    def facts(self) -> HostFacts:
        """The board as rules see it."""
        return boardplan.facts(self.profile, self._plan)

    def __enter__(self) -> DockerBoard:
        import docker

        try:
            with interrupts.hold():  # what the engine is asked for while we are interrupted is made all the same
                self._make()
            self._start()
        except BaseException as error:
            with contextlib.suppress(EdgeSimError):
                self.close()
            if isinstance(error, docker.errors.APIError):
                raise UnsupportedEnvironmentError(
                    f"{self.profile.name}: Docker refused to create the container: {error.explanation or error}"
                ) from error
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None or not self._lasting:
            self.close()
            return
        try:
            self.program.close()
        except BaseException:  # interrupted at the last moment
            self.close()
            raise

    def start_agent(self) -> ContainerProgram:
        """Return the board's first process, whose output is the agent's; it runs since the board does."""
        return self.program

    def popen(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: str = "/") -> ContainerProgram:
        """Start a program on the board as its root, with both outputs piped. It ends with the board at the latest."""
        if self._container is None:
            raise UnsupportedEnvironmentError(f"{argv[0]}: the board is not running")
        return started(self._engine, self._container.id, argv, umask=self.profile.umask, env=env, cwd=cwd)

    def exec(
        self, argv: Sequence[str], timeout: float = 60.0, *, env: Mapping[str, str] | None = None, cwd: str = "/"
    ) -> subprocess.CompletedProcess[str]:
        """Run a program on the board to its end and return its status and output.

        Raises UnsupportedEnvironmentError when it takes longer than ``timeout`` seconds, or the board has ended.
        """
        return completed(self.popen(argv, env=env, cwd=cwd), timeout)

    def close(self) -> None:
        """End the board: its processes, its container, its volume. Safe to call again, and from another thread."""
        with interrupts.hold(), self._closing:
            container, self._container = self._container, None
            try:
                if container is not None:
                    storage.remove_container(container)
                if hasattr(self, "program"):
                    self.program.close()
            finally:
                storage.remove(self._engine, self._spec.volume)

    def _make(self) -> None:
        profile = self.profile
        volume = storage.make(
            self._engine,
            self._spec.volume,
            profile.greengrass.root,
            profile.storage_kib,
            self._spec.labels,
        )
        with self._loops() as spec:
            self._container = self._engine.containers.create(**options.for_create(profile, self._plan, spec))
        self.notes = (*options.notes(profile, self._plan, spec), *tree.notes(self._plan), volume.note)

    def _tree(self) -> IO[bytes]:
        """Return all that is laid into the container, as an open archive."""
        init = options.for_init(self.profile, self._plan, self._spec)
        own = (*tree.own_files(init, self._agent, self._files), *tree.frames(self._plan))
        return tree.archive((*tree.items(boardplan.with_key(self._plan)), *own))

    @contextlib.contextmanager
    def _loops(self) -> Iterator[options.ContainerSpec]:
        """Make the board's block devices for a container that is made inside the with block, and then owns them."""
        loops: dict[str, str] = {}
        try:
            for device in self._plan.devices:
                if device.backing == "loop":
                    loops[device.path] = storage.block_device(self.container, device.path, device.size_kib)
            labels = {**self._spec.labels, storage.LOOP_LABEL: " ".join(loops.values())}
            yield replace(self._spec, loops=loops, labels=labels)
        except BaseException:
            for loop in loops.values():
                storage.detach(loop, self.container)
            raise

    def _start(self) -> None:
        container, api = self._container, self._engine.api
        streams = {"stdin": int(self._spec.life), "stdout": 1, "stderr": 1, "stream": 1}
        connection = api.attach_socket(container.id, params=streams)
        api._disable_socket_timeout(connection)
        self.program = ContainerProgram(
            connection, argv=[self._spec.name], status=self._status, send=lambda number: self._signal(number)
        )
        with ThreadPoolExecutor(1) as aside:
            pending = aside.submit(self._tree)
            container.start()
            with pending.result() as archive:
                container.put_archive("/", archive)
        about = self._first_words()
        self.machine, self._libc = about["machine"], about["libc"]
        self.notes = (*self.notes, *about["notes"])

    def _first_words(self) -> dict[str, Any]:
        """Return what the board's first process says once its devices exist."""
        ready, _, _ = select.select([self.program.stdout], [], [], START_LIMIT_S)
        line = self.program.stdout.readline() if ready else ""
        try:
            about: dict[str, Any] = json.loads(line)
        except ValueError as error:
            text = line.strip() if ready else f"no output within {START_LIMIT_S:g} s"
            if ready and self.program.poll() is not None:
                text = f"{text}\n{self.program.stderr.read()}".strip()
            raise UnsupportedEnvironmentError(
                f"{self.profile.name}: the board's first process does not start from {self._spec.image}",
                details=text[-2000:] or None,
                hint="Is QEMU registered for its architecture? See: edge-sim doctor",
            ) from error
        return about

    def _status(self) -> int | None:
        import docker

        try:
            state = self._engine.api.inspect_container(self._spec.name)["State"]
        except docker.errors.NotFound:
            return 137
        return None if state["Running"] else int(state["ExitCode"])

    def _signal(self, number: int) -> None:
        import docker

        with contextlib.suppress(docker.errors.APIError):  # it has ended
            self._engine.api.kill(self._spec.name, number)
