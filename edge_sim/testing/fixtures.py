"""What the fixtures give: the session's cloud, and for each test its boards, deployments, updates and assertions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, cast

from edge_sim.certificate import CertificateRow
from edge_sim.errors import InvalidDefinitionError, UnknownFactError, UsageError
from edge_sim.jobs.requests import FINAL, Status
from edge_sim.jobs.update import SOFTWARE, Software
from edge_sim.offline.target import boards as judged_boards
from edge_sim.printing import printable
from edge_sim.profiles import load_profiles
from edge_sim.runs.rows import UpdateRow
from edge_sim.scenario import SCENARIO, ExpectedUpdate, Scenario, is_scenario, load, read, redaction
from edge_sim.testing.bench import Bench
from edge_sim.testing.deployment import Deployment, Right
from edge_sim.testing.environment import Environment
from edge_sim.validation import text
from edge_sim.validation.verdict import LocatedFinding, Verdict, judge

Group = Scenario | Path | str
_COMMAND_S = 30.0


@dataclass(frozen=True, kw_only=True)
class EdgeCloud:
    """The local cloud: where its API and its broker are, and the environment that leads boto3 there."""

    http: str
    mqtt: str
    region: str
    environment: Mapping[str, str]

    def client(self, service: str) -> Any:
        """Return a boto3 client for ``greengrass``, ``iot`` and the like, with nothing of what the user has set."""
        from edge_sim.cloud.clients import make_client

        url = self.environment.get(f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}", self.http)
        return make_client(service, endpoint_url=url, region=self.region)


class Session:
    """What the tests of one process share."""

    def __init__(self, *, driver: str, require: bool) -> None:
        self.require = require
        self.bench = Bench(driver)
        self._environment: Environment | None = None

    @contextmanager
    def lasting(self) -> Iterator[None]:
        """End cloud and boards with the block."""
        try:
            yield
        finally:
            self.bench.close()

    @contextmanager
    def boto3(self) -> Iterator[None]:
        """Have boto3 find the cloud; ``lead_boto3`` changes that from test to test."""
        cloud = self.bench.cloud
        self._environment = Environment(cloud.exports, cloud.http.partition("://")[2].partition(":")[0])
        self._environment.enter()
        try:
            yield
        finally:
            self._environment.leave()
            self._environment = None

    def lead_boto3(self, here: bool) -> None:
        """Have boto3 find the cloud, or whatever it found before."""
        if self._environment:
            (self._environment.enter if here else self._environment.leave)()

    def cloud(self) -> EdgeCloud:
        """Return the cloud as tests see it."""
        cloud = self.bench.cloud
        return EdgeCloud(http=cloud.http, mqtt=cloud.mqtt, region=cloud.region, environment=cloud.exports)

    @contextmanager
    def trial(self, folder: Path, profile: str | None) -> Iterator[Trial]:
        """Yield one test's part; ``folder`` is what its paths are relative to, ``profile`` its board's."""
        try:
            yield Trial(self, folder, profile)
        finally:
            self.bench.end_test()


class EdgeBoard:
    """A board of a profile, kept from test to test; made when something is first asked of it."""

    def __init__(self, bench: Bench, profile: str, stable_window_s: int | None) -> None:
        self._bench = bench
        self.profile = profile
        self.stable_window_s = stable_window_s

    @property
    def certificate(self) -> Sequence[CertificateRow]:
        """What about the board is true, emulated or not faithful."""
        return self._bench.plain(self.profile, self.stable_window_s).live.certificate

    @property
    def notes(self) -> Sequence[str]:
        """What differs from a real board, one sentence each."""
        return self._bench.plain(self.profile, self.stable_window_s).live.board.notes

    def run(self, *argv: str, timeout: float = _COMMAND_S) -> CompletedProcess[str]:
        """Run a program on the board as its root, to its end; the next test has a new board."""
        return self._bench.execute(self.profile, argv, timeout)


class Trial:
    """One test's part."""

    def __init__(self, session: Session, folder: Path, profile: str | None) -> None:
        self._session = session
        self._bench = session.bench
        self._folder = folder
        self._profile = profile
        self._deployments: dict[str, Deployment] = {}

    def group(self, path: str | Path) -> Scenario:
        """Read a group: a scenario's folder or file, or a definition in any form."""
        return read(self._path(path))

    def board(self, profile: str | None = None, *, stable_window: int | None = None) -> EdgeBoard:
        """Return a board; ``stable_window``: the seconds that a new core must run (agent's default: 60)."""
        name = profile or self._profile or self._bench.only
        if name is None:
            raise UsageError("the test names no profile", hint='Call edge_board("NAME"), or add --edge-profile NAME.')
        self._bench.kind.name(name)  # raises for a profile that is not known
        return EdgeBoard(self._bench, name, stable_window)

    def deploy(self, group: Group, board: EdgeBoard | str | None = None) -> Deployment:
        """Deploy a group to a board: by default that of --edge-profile, else the scenario's first."""
        scenario = self._scenario(group)
        deployment = self._bench.deploy(scenario, self._name(board, scenario))
        self._deployments[deployment.board] = deployment
        return deployment

    def update(
        self,
        version: str,
        board: EdgeBoard | str | None = None,
        *,
        starts: bool = True,
        software: Software = "core",
        expect: Status = "SUCCEEDED",
        running: str | None = None,
    ) -> UpdateRow:
        """Offer a build of ``version`` to a board, by default that of the test's last deployment.

        ``starts`` False: the build dies when it is started. The job must end as ``expect`` with ``running`` in use: by
        default the new version after SUCCEEDED, otherwise the one before.
        """
        if software not in SOFTWARE:
            raise UsageError(f"software {software!r} is not known", hint=f"Use one of {', '.join(SOFTWARE)}.")
        if expect not in FINAL:
            raise UsageError(f"no update ends with {expect!r}", hint=f"Use one of {', '.join(FINAL)}.")
        last = next(reversed(self._deployments), None)
        name = self._name(board or last, None)

        def update(before: str) -> ExpectedUpdate:
            after = running or (version if expect == "SUCCEEDED" else before)
            return ExpectedUpdate(version=version, starts=starts, software=software, status=expect, running=after)

        window = board.stable_window_s if isinstance(board, EdgeBoard) else None
        return self._bench.update(name, update, window)

    def assert_access(self, function: str, resource: str, right: Right) -> None:
        """Raise AccessError unless a function has just this access on every board that the test has deployed to."""
        if not self._deployments:
            raise UsageError("the test has deployed nothing", hint="Call edge_deploy(group) first.")
        for deployment in self._deployments.values():
            deployment.assert_access(function, resource, right)

    def assert_valid(self, group: Group, *profiles: str) -> None:
        """Raise InvalidDefinitionError for a group that V1 would have refused.

        It is judged for each of ``profiles``, by default that of --edge-profile; without one the definition alone.
        Raises UnknownFactError for what a profile does not decide.
        """
        scenario = group if isinstance(group, Scenario) else self.group(group)
        names = profiles or ((self._profile,) if self._profile else ())
        facts, faults = judged_boards(scenario, load_profiles(names))
        verdict = redaction(scenario).value(judge(scenario.definition, facts, faults=faults))
        details = "\n".join(_lines(verdict, verdict.errors or verdict.unknowns))
        name = ", ".join(map(str, scenario.definition.files)) or scenario.name
        if verdict.errors:
            raise InvalidDefinitionError(f"{name}: V1 would have refused it", details=details)
        if verdict.unknowns:
            hint = "Add the facts to the profile (edge-sim profiles show NAME), or declare its lists whole."
            raise UnknownFactError(f"{name}: the profile leaves facts open", details=details, hint=hint)

    def _scenario(self, group: Group) -> Scenario:
        if isinstance(group, Scenario) and group.file is not None:
            return group
        if isinstance(group, Scenario) or not is_scenario(self._path(group)):
            name = group.name if isinstance(group, Scenario) else str(group)
            raise UsageError(
                f"{name}: a deployment needs the models and code of the definition, which {SCENARIO} names",
                hint="edge-sim init writes a first one.",
            )
        return load(self._path(group))

    def _name(self, board: EdgeBoard | str | None, scenario: Scenario | None) -> str:
        if isinstance(board, EdgeBoard):
            return board.profile
        first = next(iter(scenario.boards), None) if scenario else None
        name = board or self._profile or first or self._bench.only
        if name is None:
            raise UsageError("no board is named", hint="Name its profile, or add --edge-profile NAME.")
        return name if "/" in name else self._bench.kind.name(name)

    def _path(self, path: str | Path) -> Path:
        return self._folder / Path(cast(str, path)).expanduser()


def _lines(verdict: Verdict, findings: Sequence[LocatedFinding]) -> Iterator[str]:
    return (printable(line) for finding in findings for line in text.finding_lines(finding, verdict))
