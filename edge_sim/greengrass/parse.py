"""API JSON to values: the ``…DefinitionVersion`` objects of botocore's ``greengrass`` model.

What cannot be read becomes a finding with its JSON path; all faults come in one go. Numbers and booleans are taken
as AWS's own samples write them (``GroupOwner: 999``, ``"true"``). Unknown keys are somebody else's business: the
API refuses them by the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from edge_sim.greengrass.families import FAMILIES
from edge_sim.greengrass.functions import (
    DEFAULT_TIMEOUT_S,
    ISOLATION_MODES,
    DefaultConfig,
    Function,
    IsolationMode,
    ResourceAccessPolicy,
    RunAs,
)
from edge_sim.greengrass.group import Core, Group
from edge_sim.greengrass.model import text
from edge_sim.greengrass.objectreader import ABSENT, ObjectReader, Substitute
from edge_sim.greengrass.resources import Resource, permission
from edge_sim.greengrass.subscriptions import Subscription
from edge_sim.report import Finding

_T = TypeVar("_T")
_Object = Mapping[str, object]


def group(sections: Mapping[str, _Object], substitute: Substitute = ABSENT) -> tuple[Group, dict[str, list[Finding]]]:
    """Read a group's definition versions, named as in ``FAMILIES``, and return the findings of each that was read.

    What cannot be read is left out and reported; what a template leaves open is read as ``substitute``. Devices,
    loggers and connectors are no part of a ``Group``.
    """
    cores, core_faults = _items(sections, "core", _core, substitute)
    resources, resource_faults = _items(sections, "resources", Resource.read, substitute)
    functions, function_faults = _items(sections, "functions", _function, substitute)
    table, table_faults = _items(sections, "subscriptions", _subscription, substitute)
    default, default_faults = _default_config(sections.get("functions", {}), substitute)
    if len(cores) > 1:  # a matter of the deployment, not of the create call
        core_faults.append(_one_core(len(cores)))
    read = Group(
        core=cores[0] if cores else None,
        resources=resources,
        functions=functions,
        subscriptions=table,
        default_config=default,
    )
    return read, {
        "core": core_faults,
        "resources": resource_faults,
        "functions": [*default_faults, *function_faults],
        "subscriptions": table_faults,
    }


def _items(
    sections: Mapping[str, _Object], word: str, read: Callable[[ObjectReader], _T | None], substitute: Substitute
) -> tuple[tuple[_T, ...], list[Finding]]:
    top = ObjectReader(sections.get(word, {}), "$", substitute=substitute)
    values: list[_T | None] = []
    for item in top.objects(FAMILIES[word].member):
        start = len(top.findings)
        values.append(read(item))
        top.findings[start:] = [_naming(finding, word, text(item.value.get("Id"))) for finding in top.findings[start:]]
    return tuple(v for v in values if v is not None), top.findings


def _naming(finding: Finding, word: str, id_: str | None) -> Finding:
    """Return a finding that names the resource or function it is about."""
    if word == "resources":
        return replace(finding, resource=id_)
    return replace(finding, function=id_) if word == "functions" else finding


def _default_config(version: _Object, substitute: Substitute) -> tuple[DefaultConfig, list[Finding]]:
    reader = ObjectReader(version, "$", substitute=substitute)
    execution = reader.child("DefaultConfig").child("Execution")
    return DefaultConfig(isolation_mode=_isolation(execution, None), run_as=_run_as(execution)), reader.findings


def _one_core(count: int) -> Finding:
    return Finding(
        id="one-core",
        severity="error",
        phase="deploy",
        path="$.Cores",
        message=f"a group has exactly one core, the core definition has {count}",
        source="gg-core.md",
    )


def _isolation(execution: ObjectReader, arn: str | None) -> IsolationMode | None:
    is_open, word = execution.open_word("IsolationMode", ISOLATION_MODES)
    if is_open:  # what AWS says of it is not known before the stack is
        return word
    value = execution.text("IsolationMode")
    if value is None:
        return None
    for known in ISOLATION_MODES:
        if value == known:
            return known
    whose = "the group" if arn is None else f"function with arn {arn}"
    execution.fault(
        f"must be one of {', '.join(ISOLATION_MODES)}, not {value!r}",
        key="IsolationMode",
        rule="isolation-mode",
        phase="deploy",
        aws_text=f"Your 'IsolationMode' configuration for {whose} is invalid.",
    )
    return None


def _run_as(execution: ObjectReader) -> RunAs:
    run_as = execution.child("RunAs")
    return RunAs(uid=run_as.number("Uid"), gid=run_as.number("Gid"))


def _variable(variables: ObjectReader, name: str) -> str:
    if variables.value[name] is None:
        variables.fault("must be a string, not null", key=name)
    return variables.text(name) or ""


def _function(reader: ObjectReader) -> Function | None:
    arn = reader.required_text("FunctionArn")
    config = reader.child("FunctionConfiguration")
    environment = config.child("Environment")
    execution = environment.child("Execution")
    variables = environment.child("Variables")
    timeout_s = config.number("Timeout")
    return Function(
        id=reader.required_text("Id"),
        arn=arn,
        executable=config.text("Executable"),
        exec_args=config.text("ExecArgs"),
        encoding_type=config.text("EncodingType") or "json",
        memory_size_kb=config.number("MemorySize"),
        pinned=config.flag("Pinned") or False,
        timeout_s=DEFAULT_TIMEOUT_S if timeout_s is None else timeout_s,
        access_sysfs=environment.flag("AccessSysfs"),
        isolation_mode=_isolation(execution, arn),
        run_as=_run_as(execution),
        policies=tuple(
            ResourceAccessPolicy(resource_id=p.required_text("ResourceId"), permission=permission(p, "Permission"))
            for p in environment.objects("ResourceAccessPolicies")
        ),
        variables={name: _variable(variables, name) for name in variables.value},
        runtime_override=config.text("FunctionRuntimeOverride"),
        path=reader.path,
    )


def _subscription(reader: ObjectReader) -> Subscription:
    names = ("Id", "Source", "Subject", "Target")
    id_, source, subject, target = (reader.required_text(name) for name in names)
    return Subscription(id=id_, source=source, subject=subject, target=target)


def _core(reader: ObjectReader) -> Core:
    reader.flag("SyncShadow")  # shadows are not simulated: only its form is looked at
    return Core(
        id=reader.required_text("Id"),
        thing_arn=reader.required_text("ThingArn"),
        certificate_arn=reader.required_text("CertificateArn"),
    )
