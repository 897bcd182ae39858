"""What an update of a software does to the board: one function a phase, to be done again after it was cut off.

Nothing here knows of jobs or of the journal (``updater`` does); whatever goes wrong is raised as an EdgeSimError or
OSError whose text becomes the reason in the report.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edge_sim.agent.config import STABLE_WINDOW_S, STEP_TIMEOUT_MINUTES
from edge_sim.agent.crashpoints import point
from edge_sim.agent.update import hooks
from edge_sim.agent.update.logtail import LogTail
from edge_sim.agent.update.preflight import FREE_BYTES_NEEDED, BoardIdentity, check_board, managed_respawn
from edge_sim.agent.update.releases import Releases
from edge_sim.agent.update.runner import HEALTH_CHECKS, HEALTH_INTERVAL_S, Runner
from edge_sim.digests import sha256
from edge_sim.errors import UpdateError
from edge_sim.greengrass.tree import BELOW
from edge_sim.jobs.update import UpdateDocument

if TYPE_CHECKING:
    from edge_sim.agent.http import HttpClient

BUILD_ENTRIES, BUILD_BYTES = 50_000, 1 << 30
"""How much a build may hold."""


Saw = Callable[[str | None], None]
"""Hears of the new version that it runs (None), or what is wrong with it."""
BringUp = Callable[[Callable[[str], str | None]], str]
"""Starts an older version and returns it; calls what it is given to hear what is wrong with one that it started."""


class ExpiredError(UpdateError):
    """The URL is not valid any more (403); a freshly presigned one may be."""


class FetchBuild(Protocol):
    """Brings ``size`` bytes from ``url`` into the new file ``target``; calls ``on_progress`` with the bytes so far.

    Raises ExpiredError when a fresh URL may help, another EdgeSimError when nothing does.
    """

    def __call__(
        self, url: str, target: Path, *, size: int, sha256: str, on_progress: Callable[[int], None]
    ) -> None: ...


def http_fetch(http: Callable[[], HttpClient]) -> FetchBuild:
    """Return a FetchBuild over HTTP(S), by a client made for each build."""

    def fetch(url: str, target: Path, *, size: int, sha256: str, on_progress: Callable[[int], None]) -> None:
        from edge_sim.agent.download import FORBIDDEN, download
        from edge_sim.agent.http_error import HttpError

        try:
            download(http(), url, target, sha256=sha256, size=size, progress=on_progress)
        except HttpError as error:
            if error.status == FORBIDDEN:
                raise ExpiredError(error.brief) from error
            raise

    return fetch


@dataclass(frozen=True, kw_only=True)
class UpdateSettings:
    """What a test or a slow board may want to change."""

    free_bytes_needed: int = FREE_BYTES_NEEDED
    health_checks: int = HEALTH_CHECKS
    health_interval_s: float = HEALTH_INTERVAL_S
    stable_s: float = STABLE_WINDOW_S
    """How long a new version must run before it is confirmed: its stable window."""
    step_minutes: int = STEP_TIMEOUT_MINUTES
    """How long the cloud may hear nothing of a running update before it counts as TIMED_OUT."""
    hook_limit_s: float = hooks.LIMIT_S
    respawn_limit_s: float = hooks.RESPAWN_LIMIT_S

    @property
    def stable_checks(self) -> int:
        """The health checks that fill the stable window."""
        return 1 + math.ceil(self.stable_s / self.health_interval_s)


class Installation:
    """The steps of an update on one board."""

    def __init__(
        self,
        runner: Runner,
        fetch: FetchBuild,
        settings: UpdateSettings,
    ) -> None:
        self._runner = runner
        self._fetch = fetch
        self.settings = settings
        self.gg = runner.gg
        self.software = runner.software
        self.releases = Releases(runner.root, runner.gg, runner.software)
        self._log: LogTail | None = None
        """What the new version logs, from its start on."""
        self._needed_by: float | None = None
        """When the build must be there, where the owner's script has stopped the old version for it; monotonic."""

    def respawns(self) -> bool:
        """Tell whether the owner's scripts stop and start the software, as far as config.json can be read."""
        try:
            return managed_respawn(self.gg)
        except UpdateError:
            return False

    def stage(self, update: UpdateDocument, on_progress: Callable[[int], None]) -> None:
        """Download the build. A part that is already there may be continued by ``fetch``."""

        def look(received: int) -> None:
            self._look_at_deadline()
            on_progress(received)

        point("P07 download-open")
        self._fetch(update.url, self._build, size=update.size, sha256=update.sha256, on_progress=look)
        point("P09 download-fsync")

    def prepare(self) -> None:
        """Look whether the board can take an update now and make room for the download.

        With ``managedRespawn`` the owner's script before an update is run, which stops the old core. What an earlier
        attempt at the same job has downloaded stays. Raises UpdateError.
        """
        from edge_sim.agent.download import leftovers

        check_board(self.gg, needed=self.settings.free_bytes_needed)
        self._needed_by = None
        if managed_respawn(self.gg):
            hooks.check(self._runner.root, self._runner.board_path)
            self._run_hook(self.software.hooks[0])
            if not self._runner.hands_over:
                self._check_stopped()
                self._needed_by = time.monotonic() + self.settings.respawn_limit_s
        self.releases.clear_staging(keep=leftovers(self._build))

    def verify(self, update: UpdateDocument, board: BoardIdentity) -> None:
        """Check size and digest of what lies on the disk, unpack it, check it, and put it beside the others."""
        from edge_sim.agent.update import platform

        _check_digest(self._build, update)
        point("P10 hash-ok")
        tree = self.releases.staging / "tree"
        tree.mkdir(mode=0o700)
        point("P13 unpack-start")
        _unpack(self._build, tree)
        point("P15 unpack-fsync")
        platform.check(tree, board)
        self.releases.adopt(tree, update.version)
        self.releases.sweep()

    def activate(self, old: str, version: str, saw: Saw) -> None:
        """Stop the ``old`` version, move the link, start the new one; nothing of it when ``version`` runs already.

        With ``managedRespawn`` the old core has been stopped before, and the owner's script starts the new one; the
        one after an update of the agent is run by the new agent.
        """
        self._log = None
        own, hooked = self._runner.hands_over, managed_respawn(self.gg)
        if self.releases.current() == version and self._runner.trouble(version) is None:
            if own and hooked:
                self._run_hook(self.software.hooks[1])
            saw(None)
            return  # it was cut off after that, or handed over
        if hooked and not own:
            self._check_stopped()
        else:
            self._runner.stop()
        point("P17 old-stopped")
        self._runner.expect(old, version)
        self.releases.switch(version)
        self._log = LogTail(self.gg / name for name in self.software.logs)
        try:
            self._start(version, hooked=hooked and not own)
        except UpdateError as error:
            reason = self._with_log(error.brief)  # before the guard writes into the same log
            saw(error.brief)
            raise UpdateError(reason) from error
        saw(None)
        point("P21 new-started")

    def _start(self, version: str, *, hooked: bool) -> None:
        if not hooked:
            self._runner.start(version)
            return
        self._run_hook(self.software.hooks[1])
        wrong = self._runner.trouble(version)
        if wrong is not None:
            raise UpdateError(f"{self.software.hooks[1]} ended, and {wrong}")

    def confirm(self, version: str, on_pass: Callable[[], None], saw: Saw) -> None:
        """Watch the new version for its stable window. Raises UpdateError when it is not well.

        Afterwards the link to it is on the disk, whoever has moved it.
        """
        self._log = self._log or LogTail(self.gg / name for name in self.software.logs)
        wrong = self._runner.not_ready() or self._watch(version, self.settings.stable_checks, on_pass)
        if wrong is not None:
            reason = self._with_log(wrong)
            saw(wrong)
            raise UpdateError(reason)
        self.releases.sync()

    def _with_log(self, wrong: str) -> str:
        """Return what is wrong, with the last lines that the new version logged where they are not in it."""
        words = self._log.last_words() if self._log else ""
        return wrong if not words or words in wrong else f"{wrong}; its log: {words}"

    def roll_back(self, version: str | None, bring_up: BringUp) -> str:
        """Have an older version running again, ``version`` if it can be, and return which one does.

        A disk that cannot be written keeps no version from running. Raises UpdateError or OSError when none runs well,
        or when the link could not be moved back.
        """
        with suppress(OSError):
            self.releases.sweep()
        if version is not None and self.releases.current() == version and self.unhealthy(version) is None:
            return version
        self._runner.stop()
        point("R03 new-stopped")
        trouble: Exception | None = None
        try:
            if version is not None:
                self.releases.switch(version)
        except (UpdateError, OSError) as error:
            trouble = error
        point("R04 link-back")
        try:
            running = bring_up(self._unhealthy_old)
        except UpdateError as error:
            raise trouble or error from error
        if trouble is not None and self.releases.current() != running:
            raise trouble
        point("R07 old-healthy")
        return running

    def unhealthy(self, version: str) -> str | None:
        """Return what is wrong with the version that should be running, or None."""
        return self._watch(version, self.settings.health_checks, lambda: None)

    def took_over(self, version: str) -> bool:
        """Tell whether this process is ``version``, at its first start."""
        return self._runner.took_over(version)

    def given_up(self, version: str) -> str | None:
        """Return why another process gave ``version`` up, or None."""
        return self._runner.given_up(version)

    def settle(self) -> None:
        """Forget what only an update under way needs. Raises OSError."""
        self._runner.settle()

    def _run_hook(self, name: str) -> None:
        self._runner.run_script(f"{BELOW.respawn_scripts}/{name}", self.settings.hook_limit_s)

    def _check_stopped(self) -> None:
        if self._runner.running() is not None:
            raise UpdateError(f"{self.software.hooks[0]} ended, but the {self.software.name} is still running")

    def _look_at_deadline(self) -> None:
        if self._needed_by is not None and time.monotonic() > self._needed_by:
            limit, hook = self.settings.respawn_limit_s, self.software.hooks[0]
            raise UpdateError(
                f"the build was still missing {limit:g} s after {hook} had stopped the {self.software.name}"
            )

    def _unhealthy_old(self, version: str) -> str | None:
        point("R06 old-started")
        return self.unhealthy(version)

    @property
    def _build(self) -> Path:
        return self.releases.staging / "build.tar.gz"

    def _watch(self, version: str, checks: int, on_pass: Callable[[], None]) -> str | None:
        return self._runner.unhealthy(
            version,
            checks=checks,
            interval_s=self.settings.health_interval_s,
            on_pass=on_pass,
        )


def _unpack(build: Path, tree: Path) -> None:
    """Unpack with rights of ours; the archive decides about the executable bit only, the owner is the agent."""
    # Not at the agent's start: under QEMU these imports would delay its connection by a third of a second.
    from edge_sim.agent.archives import Limits, unpack
    from edge_sim.greengrass.plan import Modes

    limits = Limits(entries=BUILD_ENTRIES, total_bytes=BUILD_BYTES)
    modes = Modes(uid=-1, gid=-1, file=0o644, executable=0o755, directory=0o755)
    unpack(build, tree, file_name="build.tar.gz", limits=limits, modes=modes)


def _check_digest(path: Path, update: UpdateDocument) -> None:
    with path.open("rb") as file:
        digest, size = sha256(file), file.tell()
    if size != update.size:
        raise UpdateError(f"the download has {size:,} bytes, but the job says {update.size:,}")
    if digest != update.sha256:
        raise UpdateError("the download's SHA-256 is not the one in the job")
