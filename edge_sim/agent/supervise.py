"""Starts the OTA agent that is installed, and goes back where a new one fails: ``python3 -I -S supervise.py …``.

    supervise.py GREENGRASS-ROOT TRIAL-SECONDS ROOT CONFIGURATION

The agent is a release below ``ota/``, or the one that this file came with where there is no link. Before an update of
the agent moves the link it writes down ``ota/trial.json``, and the new agent removes that once it has proven itself:
it was connected, and ran for its stable window. Until then one that ends, or does not prove itself in time, is given
up: the link is moved back, the reason is written down, and the old agent is started, which reports it. No update
replaces this file, so that the way back is never what was broken.

Standard library only, nothing of edge_sim. How AWS's agent replaced itself is not known; all of this is ours.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from typing import Any, NoReturn

SUPERVISED = "EDGE_SIM_FACTORY_AGENT"
"""In an agent's environment: it has a supervisor, which starts another one when it ends with HAND_OVER, and which came
with the version that this names."""
SUPERVISOR = "EDGE_SIM_SUPERVISOR"
"""In an agent's environment: the process id of its supervisor, which it ends with."""
HAND_OVER = 75
MAX_STARTS = 3
LINK, RELEASES, PROGRAM, TRIAL = "ota/ota_agent", "ota/ota_agent_v", "ggc-ota", "ota/trial.json"
END_LIMIT_S = 5.0
LOOK_EVERY_S = 0.2
PAUSE_S = 0.05


def become(version: str, gg: str, trial_s: float, root: str, config: str) -> NoReturn:
    """Have this process's place, of an agent ``version``, taken by a supervisor; one that has one leaves it to that."""
    with suppress(OSError):  # that it cannot be printed is no reason to stay
        sys.stdout.flush()
    if SUPERVISED in os.environ:
        os._exit(HAND_OVER)
    words = [__file__, gg, str(trial_s), root, config]
    environment = {**os.environ, SUPERVISED: version}
    os.execve(sys.executable, [sys.executable, "-I", "-S", *words], environment)  # noqa: S606 - no shell is wanted


def read_trial(gg: str) -> dict[str, Any] | None:
    """Return the trial that was written down; ``failed`` is set where it was given up."""
    try:
        with Path(gg, TRIAL).open(encoding="utf-8") as file:
            members = json.load(file)
        names = ("old", "new", "token", *(["failed"] if "failed" in members else []))
        texts = {name: str(members[name]) for name in names}
        return {**texts, "starts": int(members["starts"])}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def new_trial(old: str, new: str) -> dict[str, Any]:
    """Return the trial of ``new``, which takes the place of ``old``; a second one of the same is another one."""
    return {"old": old, "new": new, "token": os.urandom(8).hex(), "starts": 0}


def write_trial(gg: str, trial: dict[str, Any]) -> None:
    """Write a trial down so that it outlives a power cut. Raises OSError."""
    path = Path(gg, TRIAL)
    beside = path.with_name(".trial.json.new")
    with beside.open("w", encoding="utf-8") as file:
        json.dump(trial, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync(path.parent)


def sync(directory: Path) -> None:
    """Bring the names in a directory to the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def say(text: str) -> None:
    """Print a line on standard error, which may lie on the disk that is full."""
    with suppress(OSError):
        if sys.stderr is not None:
            os.write(sys.stderr.fileno(), f"{text}\n".encode())  # nothing is left for the interpreter's last flush


def wait(child: subprocess.Popen[bytes], limit_s: float | None) -> int | None:
    """Wait for ``child``, at most ``limit_s``, and return its status, None when it has not ended.

    What the agent before this supervisor has started is collected too: it is this process's now.
    """
    deadline = time.monotonic() + (limit_s or 0)
    while True:
        pid, status = os.waitpid(-1, 0 if limit_s is None else os.WNOHANG)
        if pid == child.pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return child.returncode
        if limit_s is not None and pid == 0:
            if time.monotonic() > deadline:
                return None
            time.sleep(PAUSE_S)


class AgentSupervisor:
    """The agent of one board, one process after the other."""

    def __init__(self, gg: str, trial_s: float, root: str, config: str) -> None:
        self.gg, self.trial_s, self.arguments = gg, trial_s, [root, config]
        self.stopping = False
        self.given_up: dict[str, Any] | None = None
        """The trial that was given up last, also where that could not be written down."""
        self.child: subprocess.Popen[bytes] | None = None

    def stop(self, *_: object) -> None:
        self.stopping = True
        if self.child is not None and self.child.returncode is None:
            os.kill(self.child.pid, signal.SIGTERM)

    def run(self) -> int:
        """Run agents until one ends for good; return its status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        while True:
            trial = self.begun()
            status, wrong = self.watch(trial)
            if self.stopping:
                return status
            unproven = None if self.proven() else trial
            if status == HAND_OVER:
                if unproven is None or self.version() != unproven["new"]:
                    continue
                wrong = "should be rolled back, but the link still points to it"
            if unproven is None:
                return status
            self.give_up(unproven, wrong or f"ended with status {status}")

    def begun(self) -> dict[str, Any] | None:
        """Return the trial that the next agent has to pass, its start counted; None without one."""
        trial = read_trial(self.gg)
        if trial is not None and "failed" in trial:
            self.given_up = trial
        elif trial is not None and self.given_up and trial["token"] != self.given_up["token"]:
            self.given_up = None  # another update brings that version again
        if trial is None or self.version() != trial["new"]:
            return None
        trial["starts"] += 1
        if trial["starts"] > MAX_STARTS:
            self.give_up(trial, f"was interrupted {MAX_STARTS} times")
            return None
        self.say_if_it_fails(lambda: write_trial(self.gg, trial))
        return trial

    def proven(self) -> bool:
        return read_trial(self.gg) is None

    def watch(self, trial: dict[str, Any] | None) -> tuple[int, str | None]:
        """Run one agent to its end; return its status, and what was wrong with it where it was ended."""
        import subprocess  # here, for an agent has this module as well, and does without

        environment = {**os.environ, "EDGE_SIM_PYTHON": sys.executable, SUPERVISOR: str(os.getpid())}
        try:
            child = self.child = subprocess.Popen(self.command(), env=environment)
        except OSError as error:
            return 127, f"cannot be run: {error.strerror}"
        if self.stopping:
            self.stop()
        if trial is None:
            return wait(child, None) or 0, None
        deadline = time.monotonic() + self.trial_s
        while time.monotonic() < deadline or self.proven():
            status = wait(child, None if self.proven() else LOOK_EVERY_S)
            if status is not None:
                return status, None
        os.kill(child.pid, signal.SIGTERM)
        status = wait(child, END_LIMIT_S)
        if status is None:
            os.kill(child.pid, signal.SIGKILL)
            status = wait(child, None) or 0
        return status, f"did not prove itself within {self.trial_s:g} s"

    def command(self) -> list[str]:
        """Return how the installed agent is started: the link's, else the one that this file came with."""
        program = Path(self.gg, f"{RELEASES}{self.version()}", PROGRAM)
        if os.access(program, os.X_OK):
            return [str(program), *self.arguments]
        place = str(Path(__file__).resolve().parents[2])
        start = f"import sys; sys.path.insert(0, {place!r}); from edge_sim.agent.program import main; main()"
        return [sys.executable, "-c", start, *self.arguments]

    def version(self) -> str:
        """Return the version that the link names, empty without one; not one that was given up."""
        try:
            linked = Path(self.gg, LINK).readlink().name.removeprefix(Path(RELEASES).name)
        except OSError:
            return ""
        return str(self.given_up["old"]) if self.given_up and linked == self.given_up["new"] else linked

    def give_up(self, trial: dict[str, Any], reason: str) -> None:
        """Go back to the old agent; a disk that takes nothing keeps it from nothing."""
        link, old = Path(self.gg, LINK), Path(self.gg, f"{RELEASES}{trial['old']}")

        def move_back() -> None:
            beside = link.with_name(".ota_agent.new")
            beside.unlink(missing_ok=True)
            if old.is_dir():
                beside.symlink_to(old.name)
                beside.replace(link)
            else:  # the one that this file came with
                link.unlink()
            sync(link.parent)

        reason = f"the OTA agent {trial['new']} {reason}"
        say(reason)
        self.given_up = trial
        self.say_if_it_fails(lambda: write_trial(self.gg, {**trial, "failed": reason}))
        self.say_if_it_fails(move_back)

    def say_if_it_fails(self, step: Any) -> None:
        try:
            step()
        except OSError as error:
            say(f"the OTA agent's supervisor: {error}")


if __name__ == "__main__":
    sys.exit(AgentSupervisor(sys.argv[1], float(sys.argv[2]), sys.argv[3], sys.argv[4]).run())
