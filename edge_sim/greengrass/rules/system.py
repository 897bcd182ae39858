"""Rules about V1's system functions, parts of the core that a group configures like functions of its own.

Pages: gg-core.md (spooler, IP detection), configure-stream-manager.md, health-check.md (their names).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from edge_sim.arns import NOWHERE, pattern
from edge_sim.facts import near_miss
from edge_sim.greengrass.functions import Function, RunAs
from edge_sim.greengrass.model import is_open, whole_number
from edge_sim.greengrass.rules.case import Case, environment_path
from edge_sim.greengrass.rules.rule import Fault, Rule, rule


def _own(name: str) -> re.Pattern[str]:
    """Return the pattern of the ARNs of one of the core's own functions."""
    return re.compile(pattern("lambda", rf"function:{name}(:[\w$-]+)?", NOWHERE))


TROUBLE = "gg-troubleshooting.md"
LISTED = f"{TROUBLE} (among the issues with creating a group or a function)"
SYSTEM = _own(r"(?P<name>GG\w+)")
STREAM_MANAGER = _own("GGStreamManager")
_SPOOLER = _own("GGCloudSpooler")
_NAMES = (
    *("GGCloudSpooler", "GGConnManager", "GGDeviceCertificateManager", "GGIPDetector", "GGSecretManager"),
    *("GGShadowService", "GGShadowSyncManager", "GGStreamManager", "GGTES"),
)
_MIN_SPOOL_BYTES = 262144
_SIZE, _STORAGE, _QUALITY = "GG_CONFIG_MAX_SIZE_BYTES", "GG_CONFIG_STORAGE_TYPE", "GG_CONFIG_SUBSCRIPTION_QUALITY"
_VALUES: Mapping[str, tuple[str, str]] = {
    _STORAGE: ("FileSystem", "Memory"),
    _QUALITY: ("AtMostOnce", "AtLeastOncePersistent"),
}
_SINCE: Mapping[str, tuple[int, int]] = {_SIZE: (1, 6), _STORAGE: (1, 6), _QUALITY: (1, 10)}
"""The release that brought each setting of the spooler (gg-core.md)."""
SETTINGS = frozenset(_SINCE)
"""Variables that are settings of the core's own functions, and no secrets: rules say their values."""


def is_system(function: Function) -> bool:
    """Return whether a function is one of the core's own."""
    return SYSTEM.fullmatch(function.arn) is not None


@rule(
    "system-function-unknown",
    condition="inferred",
    timing="ours",
    severity="warning",
    source="health-check.md lists V1's system functions; that there were no others is inferred",
)
def unknown(case: Case) -> Iterator[Fault]:
    """Every system function is one that V1 had."""
    for function in case.group.functions:
        match = SYSTEM.fullmatch(function.arn)
        if match and match["name"] not in _NAMES:
            near = near_miss(match["name"], _NAMES)
            message = f"function {function.id}: V1's guide names no system function {match['name']}"
            hint = f"Did you mean {near}?" if near else None
            yield Fault(path=f"{function.path}.FunctionArn", message=message, function=function.id, hint=hint)


@rule(
    "system-function-execution",
    condition="sourced",
    timing="inferred",
    aws_text="Execution configuration for function with arn <function-arn> is not allowed.",
    source=f"{LISTED}; refused with the deployment here, as the sibling about resource types was",
    hint="Leave Execution out; the group's DefaultConfig applies to system functions.",
)
def execution(case: Case) -> Iterator[Fault]:
    """A system function, such as GGIPDetector, has no Execution configuration of its own."""
    for function in case.group.functions:
        if (function.isolation_mode or function.run_as != RunAs()) and is_system(function):
            message = f"function {function.id} is a system function and has no Execution of its own"
            yield _environment(function, "Execution", message)


@rule(
    "system-memory-size-disputed",
    condition="sourced",
    timing="inferred",
    severity="note",
    source=f"{TROUBLE}: MemorySize is required in a container and not allowed without; gg-core.md gives its spooler "
    "one whatever the group's default, and a construct of AWS's creates GGStreamManager without",
)
def memory_size(case: Case) -> Iterator[Fault]:
    """AWS's pages disagree whether the rule about MemorySize holds for system functions."""
    for function in case.group.functions:
        if is_system(function) and case.contained(function) != (function.memory_size_kb is not None):
            mode = case.group.isolation_mode(function)
            has = "has no" if function.memory_size_kb is None else "has a"
            message = f"function {function.id} is a system function and {has} MemorySize, in IsolationMode {mode}"
            yield Fault(path=f"{function.path}.FunctionConfiguration", message=message, function=function.id)


@rule(
    "stream-manager-pinned",
    condition="sourced",
    timing="inferred",
    source="configure-stream-manager.md: Pinned must be set to true; how V1 refused is not known",
)
def pinned(case: Case) -> Iterator[Fault]:
    """GGStreamManager is long-lived: Pinned is true."""
    for function in case.group.functions:
        if STREAM_MANAGER.fullmatch(function.arn) and not function.pinned:
            message = f"function {function.id}: Pinned must be true for GGStreamManager"
            yield Fault(path=f"{function.path}.FunctionConfiguration.Pinned", message=message, function=function.id)


@rule(
    "spool-size",
    condition="sourced",
    timing="sourced",
    phase="run",
    aws_text="Spool size should be at least 262144 bytes.",
    source=f"{TROUBLE}; gg-core.md",
    hint="The core does not start with it. Leave GG_CONFIG_MAX_SIZE_BYTES out to use the default of 2.5 MB.",
)
def spool_size(case: Case) -> Iterator[Fault]:
    """The queue of GGCloudSpooler (GG_CONFIG_MAX_SIZE_BYTES) has at least 262144 bytes."""
    for function in _spoolers(case):
        size = function.variables.get(_SIZE, str(_MIN_SPOOL_BYTES))
        if (whole_number(size) or 0) < _MIN_SPOOL_BYTES and not is_open(size):
            message = f"function {function.id}: a queue of {size!r} bytes is too small for the core to start"
            yield _environment(function, f"Variables.{_SIZE}", message)


@rule(
    "spool-setting",
    condition="sourced",
    timing="ours",
    phase="run",
    source="gg-core.md (valid values); what the core did with others is not known",
)
def spool_values(case: Case) -> Iterator[Fault]:
    """GGCloudSpooler stores in FileSystem or Memory, and subscribes with AtMostOnce or AtLeastOncePersistent."""
    for function in _spoolers(case):
        for name, values in _VALUES.items():
            value = function.variables.get(name)
            if value is not None and value not in values and not is_open(value):
                message = f"function {function.id}: {name} is {value!r}, not {' or '.join(values)}"
                yield _environment(function, f"Variables.{name}", message)


@rule(
    "spool-setting-version",
    condition="sourced",
    timing="inferred",
    source="gg-core.md; the refusal is inferred",
    until="1.9",
    unsupported=True,
)
def spool_versions(case: Case) -> Iterator[Fault]:
    """The spooler's size and storage can be set from GGC 1.6 on, the quality of subscriptions from 1.10."""
    for function in _spoolers(case):
        for name, floor in _SINCE.items():
            if name in function.variables and case.version[:2] < floor:
                this = ".".join(map(str, case.version[:2]))
                message = f"function {function.id}: {name} needs GGC {floor[0]}.{floor[1]}; this core is {this}"
                yield _environment(function, f"Variables.{name}", message)


def _spoolers(case: Case) -> Iterator[Function]:
    return (function for function in case.group.functions if _SPOOLER.fullmatch(function.arn))


def _environment(function: Function, key: str, message: str) -> Fault:
    path = f"{environment_path(function)}.{key}"
    return Fault(path=path, message=message, function=function.id, values={"function-arn": function.arn})


RULES: tuple[Rule, ...] = (
    unknown,
    execution,
    memory_size,
    pinned,
    spool_size,
    spool_values,
    spool_versions,
)
