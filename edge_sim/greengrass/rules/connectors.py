"""Rules about a group's connectors: which there were, the parameters each one takes, and what it needs of the group.

The facts are ``edge_sim.greengrass.connectors``; how V1 refused is not known, so that each text is this project's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edge_sim.facts import near_miss
from edge_sim.greengrass.connectors import CONNECTORS, DISPUTED_NAMES, Connector, connector_arn
from edge_sim.greengrass.model import is_open, text
from edge_sim.greengrass.rules.case import Case
from edge_sim.greengrass.rules.rule import Fault, Rule, rule
from edge_sim.greengrass.rules.sections import entries
from edge_sim.greengrass.rules.system import STREAM_MANAGER

_PAGES = "connectors-list.md and the page of each connector"
_RESOURCE = "-ResourceId"
DOCKER = "DockerApplicationDeployment"


@dataclass(frozen=True, kw_only=True)
class Instance:
    """A connector of the group that the list has, in a version that the list has."""

    path: str
    id: str
    name: str
    version: int
    connector: Connector
    parameters: Mapping[str, object]


def instances(case: Case) -> Iterator[Instance]:
    """Yield the group's connectors, but for those that ``connector-arn`` or ``connector-unknown`` refuse."""
    for path, entry in entries(case, "Connectors"):
        name, version = connector_arn(text(entry.get("ConnectorArn")) or "") or ("", 0)
        connector = CONNECTORS.get(DISPUTED_NAMES.get(name, name))
        if connector is None or not 1 <= version <= connector.latest:
            continue
        parameters = entry.get("Parameters")
        yield Instance(
            path=path,
            id=str(entry.get("Id")),
            name=name,
            version=version,
            connector=connector,
            parameters=parameters if isinstance(parameters, Mapping) else {},
        )


@rule(
    "connector-unknown",
    condition="inferred",
    timing="inferred",
    source=f"{_PAGES} (June 2023); the refusal is inferred",
)
def unknown(case: Case) -> Iterator[Fault]:
    """A connector is one that AWS provided, in a version that it had."""
    for path, entry in entries(case, "Connectors"):
        arn = connector_arn(text(entry.get("ConnectorArn")) or "")
        if arn is None or is_open(arn[0]):
            continue
        name, version = arn
        connector = CONNECTORS.get(DISPUTED_NAMES.get(name, name))
        if connector is None:
            near = near_miss(name, CONNECTORS)
            hint = f"Did you mean {near}?" if near else f"V1 had {', '.join(CONNECTORS)}."
            message = f"connector {entry.get('Id')}: AWS provided no connector {name}"
            yield Fault(path=f"{path}.ConnectorArn", message=message, hint=hint)
        elif not 1 <= version <= connector.latest:
            message = f"connector {entry.get('Id')}: {name} had versions 1 to {connector.latest}, not {version}"
            yield Fault(path=f"{path}.ConnectorArn", message=message)


@rule(
    "connector-name-disputed",
    condition="sourced",
    timing="inferred",
    severity="note",
    source="modbus-tcp-connector.md: ModbusTCPConnector in its table of versions, ModbusTCP in its example",
)
def disputed_names(case: Case) -> Iterator[Fault]:
    """The guide names the Modbus-TCP connector in two ways; which one V1 took is not known."""
    for instance in instances(case):
        other = DISPUTED_NAMES.get(instance.name)
        if other:
            message = f"connector {instance.id}: the guide's table of versions calls {instance.name} {other}"
            yield Fault(path=f"{instance.path}.ConnectorArn", message=message)


@rule(
    "connector-once",
    condition="sourced",
    timing="inferred",
    source="connectors.md: a group holds one configured instance of a connector",
)
def once(case: Case) -> Iterator[Fault]:
    """A group holds each connector once."""
    first: dict[str, str] = {}
    for instance in instances(case):
        before = first.setdefault(instance.name, instance.id)
        if before != instance.id:
            message = f"connector {instance.id}: {instance.name} is already in the group, as {before}"
            yield Fault(path=f"{instance.path}.ConnectorArn", message=message)


@rule(
    "connector-parameter-missing",
    condition="sourced",
    timing="inferred",
    source=f"{_PAGES} (Required: true); the refusal is inferred",
)
def missing_parameters(case: Case) -> Iterator[Fault]:
    """A connector has every parameter that its version requires."""
    for instance in instances(case):
        missing = [name for name in instance.connector.needed(instance.version) if name not in instance.parameters]
        if missing:
            message = f"connector {instance.id}: {instance.name} requires {', '.join(missing)}"
            yield Fault(
                path=f"{instance.path}.Parameters", message=message, hint=f"{instance.connector.page} explains each."
            )


@rule(
    "connector-parameter-unknown",
    condition="sourced",
    timing="ours",
    severity="warning",
    source=f"{_PAGES}; what V1 did with a parameter that they do not name is not known",
)
def unknown_parameters(case: Case) -> Iterator[Fault]:
    """A connector has only parameters that its page names for its version."""
    for instance in instances(case):
        names = instance.connector.takes(instance.version)
        for name in instance.parameters:
            if name not in names and not is_open(name):
                near = near_miss(name, names)
                message = f"connector {instance.id}: {instance.name} version {instance.version} has no parameter {name}"
                yield Fault(
                    path=f"{instance.path}.Parameters.{name}",
                    message=message,
                    hint=f"Did you mean {near}?" if near else f"It takes {', '.join(names) or 'none'}.",
                )


@rule(
    "connector-resource",
    condition="sourced",
    timing="inferred",
    source=f"{_PAGES} (…-ResourceId: the Id of a resource); the refusal is inferred",
)
def resources(case: Case) -> Iterator[Fault]:
    """The resource that a connector's parameter names is in the group."""
    for instance in () if case.partial else instances(case):
        for name, value in instance.parameters.items():
            id_ = text(value) or ""
            refers = name.endswith(_RESOURCE) or name == "MLModelResourceId"
            if refers and id_ and case.group.resource(id_) is None and not is_open(id_):
                message = f"connector {instance.id}: {name} names resource {id_!r}, which is not in the group"
                yield Fault(path=f"{instance.path}.Parameters.{name}", message=message)


@rule(
    "connector-core-version",
    condition="sourced",
    timing="inferred",
    source=f"{_PAGES} (requirements); the refusal is inferred",
    since="1.7",
    unsupported=True,
)
def core_versions(case: Case) -> Iterator[Fault]:
    """A connector's version runs on the core: most need GGC 1.7 or 1.9.3, some 1.10 or 1.10.2."""
    for instance in instances(case):
        floor = instance.connector.core(instance.version)
        if case.version < floor:
            message = (
                f"connector {instance.id}: {instance.name} version {instance.version} needs GGC {_text(floor)}; "
                f"this core is {_text(case.version[:2])}"
            )
            yield Fault(path=f"{instance.path}.ConnectorArn", message=message)


@rule(
    "connector-no-container",
    condition="sourced",
    timing="inferred",
    source="connectors.md (requirements), connectors-list.md; how V1 refused is not known",
    hint="Connectors do not inherit the group's default isolation mode; where it is NoContainer, each must be "
    "configured to run without a container.",
)
def no_container(case: Case) -> Iterator[Fault]:
    """In a group whose default is NoContainer, every connector must run without a container."""
    if case.group.default_config.isolation_mode != "NoContainer":
        return
    for instance in instances(case):
        isolation = instance.connector.isolation
        if instance.connector.native:
            continue
        if isolation is None:
            message = f"connector {instance.id}: {instance.name} runs only in a Greengrass container"
        elif instance.version < isolation:
            message = f"connector {instance.id}: {instance.name} runs without a container from version {isolation}"
        elif instance.parameters.get("IsolationMode") != "NoContainer":
            message = f"connector {instance.id}: {instance.name} needs the parameter IsolationMode NoContainer"
        else:
            continue
        yield Fault(path=instance.path, message=message)


@rule(
    "connector-stream-manager",
    condition="sourced",
    timing="inferred",
    source=f"{_PAGES} (requirements); the refusal is inferred",
)
def stream_manager(case: Case) -> Iterator[Fault]:
    """A connector that exports through stream manager has it in its group."""
    if any(STREAM_MANAGER.fullmatch(function.arn) for function in case.group.functions) or not case.group.functions:
        return
    for instance in instances(case):
        streams = instance.connector.streams
        if streams and instance.version >= streams:
            message = (
                f"connector {instance.id}: {instance.name} version {instance.version} needs GGStreamManager in the "
                "group's functions"
            )
            yield Fault(path=f"{instance.path}.ConnectorArn", message=message)


@rule(
    "connector-not-judged",
    condition="ours",
    timing="ours",
    severity="note",
    phase="run",
    source="ours: connectors are AWS's code, which is not run here",
)
def not_judged(case: Case) -> Iterator[Fault]:
    """Not checked: what else a connector needs (form of its parameters, software on the board, group role)."""
    for instance in instances(case):
        message = (
            f"connector {instance.id}: the simulator does not run it, and does not check its parameters' "
            "values, the software that it needs on the board or the permissions of the group role "
            f"({instance.connector.page})"
        )
        yield Fault(path=instance.path, message=message)


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version[:2] if version[2:] == (0,) else version))


RULES: tuple[Rule, ...] = (
    unknown,
    disputed_names,
    once,
    missing_parameters,
    unknown_parameters,
    resources,
    core_versions,
    no_container,
    stream_manager,
    not_judged,
)
