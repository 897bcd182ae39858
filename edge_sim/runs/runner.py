"""The main job: what goes in through the API comes out as a layout, running functions and finished updates.

The cloud is started once, the definitions are made once, then each board has its part (``boardrun``), one after the
other or, where the driver says so, several at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent import futures
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from edge_sim import interrupts
from edge_sim.definitions.definition import Definition
from edge_sim.definitions.writer import versions
from edge_sim.deviceprofile import DeviceProfile
from edge_sim.emulation import drivers
from edge_sim.emulation.board import ThingCredentials
from edge_sim.emulation.drivers import Driver, DriverName, Progress
from edge_sim.errors import InvalidDefinitionError, UsageError
from edge_sim.runs import aws
from edge_sim.runs.aws import Aws
from edge_sim.runs.boardrun import BoardRun, steps
from edge_sim.runs.boardspec import board_spec, thing_name
from edge_sim.runs.cloudprocess import TLS, CloudProcess, NamedBroker
from edge_sim.runs.liveboard import LiveBoard
from edge_sim.runs.results import BoardReport, RunReport
from edge_sim.runs.steps import OnStep
from edge_sim.scenario import Code, Scenario, Source, redaction
from edge_sim.validation.verdict import judge


@dataclass(frozen=True, kw_only=True)
class RealBoard:
    """A real board: its profile as it was seen, the driver that leads to it, what is to be said of it."""

    profile: DeviceProfile
    driver: Driver
    notes: Sequence[str] = ()


def run(
    scenario: Scenario,
    profiles: Sequence[DeviceProfile],
    *,
    real: Sequence[RealBoard] = (),
    driver: DriverName = "local",
    broker: NamedBroker | None = None,
    tls: bool = False,
    binds: Mapping[str, Path] | None = None,
    keep: Path | None = None,
    progress: Progress,
    on_step: OnStep | None = None,
) -> RunReport:
    """Run ``scenario`` on a board of each profile, and on real ones.

    ``binds`` are host paths that appear at board paths; ``keep`` is a directory in which the roots of local boards
    stay behind. ``tls``: the cloud asks for certificates, and each real board gets one of its own; no simulated board
    has one. ``on_step`` hears of each board's steps; without it ``progress`` gets them as text.

    Raises EdgeSimError for what ends the whole run: a definition that cannot be read, a cloud that does not start or
    dies, a driver that this machine does not have.
    """
    warnings = check_definition(scenario.definition)
    on_step = on_step or (lambda step: progress(str(step)))
    report = RunReport(scenario=scenario.name)
    with (
        _driver(driver, profiles, broker, keep, progress) as opened,
        _cloud(broker, opened.bind, progress, tls=tls) as cloud,
    ):
        report.parts = {key: str(cloud.about[key]) for key in ("http", "mqtt", "broker", "region", "account")}
        client = Aws(cloud.http, cloud.region, cloud.explain, secret=cloud.secret, cafile=cloud.cafile)
        definitions = provide(scenario, cloud, client, progress)
        cafile = broker.cafile if broker else cloud.cafile
        specs = [
            board_spec(scenario, profile, mqtt=cloud.mqtt, cafile=cafile, binds=binds or {}) for profile in profiles
        ]
        pairs = [(spec, opened) for spec in specs]
        for board in real:
            spec = board_spec(
                scenario,
                board.profile,
                mqtt=cloud.mqtt,
                cafile=cafile,
                identity=_identity(cloud, client, thing_name(scenario, board.profile)),
                binds={},
                ports=ports(cloud),
            )
            pairs.append((spec, board.driver))
        parts = []
        for spec, its_driver in pairs:
            live = LiveBoard(spec, its_driver, cloud, client, steps(scenario, spec.profile.name, on_step))
            parts.append(BoardRun(scenario, live, definitions))
        for part, board in zip(parts[len(specs) :], real, strict=True):
            part.report.notes += board.notes
        for part in parts:
            part.report.notes += warnings
        report.boards += _all(parts, opened.at_once + len(real))
    return redaction(scenario).value(report)


def _driver(
    name: DriverName,
    profiles: Sequence[DeviceProfile],
    broker: NamedBroker | None,
    keep: Path | None,
    progress: Progress,
) -> AbstractContextManager[Driver]:
    if name == "local":
        return drivers.local(keep=keep)
    if keep:
        raise UsageError("--keep keeps the root directories of local boards", hint="See: edge-sim board up")
    return drivers.docker(profiles, broker=broker.url if broker else None, progress=progress)


def _cloud(broker: NamedBroker | None, bind: str | None, progress: Progress, *, tls: bool) -> CloudProcess:
    progress("starting the local cloud")
    return CloudProcess(broker=broker, bind=bind, more=TLS if tls else ())


def _identity(cloud: CloudProcess, client: Aws, thing: str) -> ThingCredentials | None:
    """Return a new certificate of a thing's, in files that go with the cloud; None where the cloud asks for none."""
    if cloud.cafile is None:
        return None
    from edge_sim.cloud.provisioning import Endpoints, provision

    endpoints = Endpoints(http=cloud.http, mqtt=cloud.mqtt, cafile=cloud.cafile)
    files = provision(client.iot, thing, endpoints, cloud.place / "things" / thing)
    return ThingCredentials(certificate=files.certificate, key=files.key)


def provide(scenario: Scenario, cloud: CloudProcess, client: Aws, progress: Progress) -> aws.Definitions:
    """Put what a scenario has where its definition points to, and create that; return what groups refer to."""
    progress("uploading models, secrets and code to the addresses in the definition")
    cloud.load_sources([_source(source) for source in scenario.sources])
    cloud.load_functions({code.function_arn: _code(code) for code in scenario.code})
    progress("creating the definitions with boto3")
    return aws.create_definitions(client, scenario.name, versions(scenario.definition))


def ports(cloud: CloudProcess) -> list[int]:
    """Return the ports of this machine's loopback that an agent must reach."""
    urls = [urlsplit(url) for url in (cloud.http, cloud.mqtt)]
    return [url.port for url in urls if url.port and url.hostname in ("127.0.0.1", "localhost")]


def _all(parts: Sequence[BoardRun], at_once: int) -> list[BoardReport]:
    """Have every board's part done, in threads of their own; the first error, or Ctrl-C, ends all of them."""
    with futures.ThreadPoolExecutor(min(at_once, len(parts))) as pool:
        try:
            with interrupts.hold():  # a thread whose start is interrupted is one that the pool does not wait for
                running = [pool.submit(part.run) for part in parts]
            done, _ = futures.wait(running, return_when=futures.FIRST_EXCEPTION)
            for future in done:
                future.result()
            return [future.result() for future in running]
        except BaseException:
            with interrupts.hold():  # what is left of the run goes next, and the boards stand on it
                pool.shutdown(wait=False, cancel_futures=True)
                with ExitStack() as stopping:  # one that cannot be stopped keeps no other from it
                    for part in parts:
                        stopping.callback(part.stop)
                pool.shutdown()
            raise


def check_definition(definition: Definition) -> list[str]:
    """Return the warnings about a definition; raise InvalidDefinitionError with everything that is wrong with it."""
    verdict = judge(replace(definition, variants={}), {})  # what is deployed is one of them
    definition.refuse(
        result.finding for result in (*verdict.errors, *verdict.ignored) if result.finding.severity == "error"
    )
    definition.require_values()
    if definition.group.core is None:
        problem = "a run needs the group's core and its certificate"
        raise InvalidDefinitionError(
            problem, place=definition.locate("$"), hint="Name the core's file under group: core."
        )
    return [result.finding.note for result in verdict.findings if result.finding.severity == "warning"]


def _source(source: Source) -> dict[str, Any]:
    """Return a source as the cloud's control API takes it."""
    if source.kind == "secret":
        return {"uri": source.address, "secret": {"SecretString": source.value, "Stages": dict(source.stages)}}
    form = "zip" if str(source.object_uri).endswith(".zip") else "tar.gz"
    return {"uri": source.address, "path": str(source.path), "format": form}


def _code(code: Code) -> dict[str, str]:
    return {"path": str(code.folder), "handler": code.handler, "runtime": code.runtime}
