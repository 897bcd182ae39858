"""Rules about a function itself: its Id, its ARN, how it is run, and as whom.

Pages: lambda-group-config.md, lambda-functions.md; gg-troubleshooting.md prints its texts as headings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from edge_sim.arns import pattern
from edge_sim.greengrass.functions import DEFAULT_TIMEOUT_S, Function, RunAs
from edge_sim.greengrass.model import is_open
from edge_sim.greengrass.rules.case import EXECUTABLE, Case, environment_path
from edge_sim.greengrass.rules.resources import IDENTIFIER
from edge_sim.greengrass.rules.rule import Fault, Rule, rule
from edge_sim.greengrass.rules.system import LISTED, is_system

CONFIG = "lambda-group-config.md"
_REGION = r"(?:eusc-)?[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-[0-9]"
_QUALIFIED = re.compile(
    pattern("lambda", r"function:(?P<name>[\w.-]+):(?P<qualifier>\$LATEST|[\w-]+)", f"{_REGION}:(?P<account>[^:]+)"),
    re.ASCII,
)
_MAX_NAME, _MAX_QUALIFIER = 64, 128
_ACCOUNT = re.compile(r"[0-9]{12}")
_NO_VERSION = re.compile(r"0[0-9]*")
_DECIDED = re.compile(r"arn:.*:function:[\w-]+(:\$LATEST)?", re.ASCII)
"""An ARN that has no version or alias, whatever a template's values are."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SMALL_KB = 4 * 1024
_MAX_INTEGER = 2**31 - 1


@rule("function-identifier", condition="sourced", timing="ours", source="botocore greengrass 2017-06-07")
def identifiers(case: Case) -> Iterator[Fault]:
    """A function's Id has 1 to 128 letters, digits, colons, underscores or hyphens."""
    for function in case.group.functions:
        if not IDENTIFIER.fullmatch(function.id) and not is_open(function.id):
            yield _fault(function, f"function {function.id!r}: its Id must be 1 to 128 of [a-zA-Z0-9:_-]", ".Id")


@rule("function-id-unique", condition="sourced", timing="ours", source="botocore greengrass 2017-06-07")
def unique_ids(case: Case) -> Iterator[Fault]:
    """A function's Id is unique in the version."""
    first: dict[str, Function] = {}
    for function in case.group.functions:
        before = first.setdefault(function.id, function)
        if before is not function:
            yield _fault(function, f"function Id {function.id!r} is already used at {before.path}", ".Id")


@rule(
    "function-arn-shared",
    condition="ours",
    timing="ours",
    severity="warning",
    source="ours: what V1 did is not known; it named the directory of a function's code by its ARN",
    hint="In the simulator they share the code, and calls and messages to the ARN reach the last one. Create an alias "
    "for each.",
)
def shared_arns(case: Case) -> Iterator[Fault]:
    """A FunctionArn belongs to one function only."""
    first: dict[str, Function] = {}
    for function in case.group.functions:
        before = first.setdefault(function.arn, function)
        if before is not function and not EXECUTABLE.fullmatch(function.arn):
            message = f"function {function.id}: {function.arn} is already the ARN of function {before.id}"
            yield _fault(function, message, ".FunctionArn")


@rule("function-total", condition="sourced", timing="inferred", source="AWS General Reference, Greengrass V1 quotas")
def total(case: Case) -> Iterator[Fault]:
    """A group has at most 200 functions (setting: functions-per-group)."""
    count, allowed = len(case.group.functions), case.settings.quotas.functions_per_group
    if count > allowed:
        yield Fault(path="$.Functions", message=f"the group has {count} functions; at most {allowed} are allowed")


@rule(
    "function-version",
    condition="sourced",
    timing="inferred",
    source=f"{CONFIG} and lambda-functions.md; botocore lambda 2015-03-31 for region, account, alias and lengths; "
    "that no version is 0 is inferred; V1's text is not known",
    hint="Publish a version or create an alias, and name it: …:function:NAME:VERSION.",
)
def qualified(case: Case) -> Iterator[Fault]:
    """A FunctionArn names an account, and a version or an alias; $LATEST was not supported."""
    for function in case.group.functions:
        if (
            EXECUTABLE.fullmatch(function.arn)
            or is_system(function)
            or (is_open(function.arn) and not _DECIDED.fullmatch(function.arn))
        ):
            continue
        if what := _misqualified(function.arn):
            yield _fault(function, f"function {function.id}: {function.arn!r} {what}", ".FunctionArn")


def _misqualified(arn: str) -> str | None:
    match = _QUALIFIED.fullmatch(arn)
    if match is None:
        return "is not a function's ARN with region, version or alias"
    name, qualifier, account = match.group("name", "qualifier", "account")
    if len(name) > _MAX_NAME or len(qualifier) > _MAX_QUALIFIER:
        return (
            f"is longer than an ARN of Lambda's: a name has at most {_MAX_NAME} characters, an alias {_MAX_QUALIFIER}"
        )
    if not _ACCOUNT.fullmatch(account):
        return f"names the account {account!r}, but an account's id has 12 digits"
    if _NO_VERSION.fullmatch(qualifier):
        return f"names version {qualifier!r}, but Lambda counts versions from 1, and an alias is not a number"
    return "names $LATEST" if qualifier == "$LATEST" else None


@rule(
    "environment-key",
    condition="sourced",
    timing="sourced",
    phase="create",
    aws_text="The functions definition is invalid or corrupted. (ErrorDetails: [Invalid environment key name])",
    source="aws-greengrass-provisioner issue 637 (for a hyphen; which names pass is inferred)",
    hint="Use letters, digits and underscores, and do not begin with a digit.",
)
def environment_keys(case: Case) -> Iterator[Fault]:
    """The name of an environment variable consists of letters, digits and underscores."""
    for function in case.group.functions:
        for name in function.variables:
            if not _VARIABLE.fullmatch(name) and not is_open(name):
                message = f"function {function.id}: {name!r} is not a valid name for an environment variable"
                yield _environment(function, f"Variables.{name}", message)


@rule("encoding-type", condition="sourced", timing="inferred", source=f"botocore greengrass 2017-06-07; {CONFIG}")
def encoding_type(case: Case) -> Iterator[Fault]:
    """EncodingType is json or binary."""
    for function in case.group.functions:
        if function.encoding_type not in ("json", "binary") and not is_open(function.encoding_type):
            message = f"function {function.id}: EncodingType {function.encoding_type!r} is neither json nor binary"
            yield _fault(function, message, ".FunctionConfiguration.EncodingType")


@rule(
    "executable-arn",
    condition="sourced",
    timing="ours",
    severity="warning",
    source="lambda-functions.md: it is the Runtime that the Lambda function is created with; what V1 did is not known",
    hint="Name the Lambda function's own version or alias: …:function:NAME:VERSION.",
)
def executable_arns(case: Case) -> Iterator[Fault]:
    """The ARN of native executables is a Lambda runtime, not a function."""
    for function in case.group.functions:
        if EXECUTABLE.fullmatch(function.arn):
            message = f"function {function.id}: {function.arn} names a runtime, not a function"
            yield _fault(function, message, ".FunctionArn")


@rule(
    "executable-encoding",
    condition="sourced",
    timing="inferred",
    source=f"{CONFIG}; the form of the refusal is not known",
)
def executables(case: Case) -> Iterator[Fault]:
    """A native executable is called with binary input."""
    for function in case.group.functions:
        if case.native(function) and function.encoding_type != "binary":
            message = f"function {function.id} is a native executable and needs EncodingType binary"
            yield _fault(function, message, ".FunctionConfiguration.EncodingType")


@rule(
    "memory-size",
    condition="sourced",
    timing="inferred",
    aws_text="MemorySize configuration for function with arn <function-arn> is <required|not allowed> in "
    "IsolationMode=<isolation-mode>.",
    source=f"{LISTED}; refused with the deployment here, as the sibling about resource types was",
)
def memory_size(case: Case) -> Iterator[Fault]:
    """MemorySize is required in a container and forbidden outside; AWS's pages disagree about system functions."""
    for function in case.group.functions:
        contained = case.contained(function)
        if contained == (function.memory_size_kb is not None) or is_system(function):
            continue
        verb = "required" if contained else "not allowed"
        mode = case.group.isolation_mode(function)
        yield Fault(
            path=f"{function.path}.FunctionConfiguration.MemorySize",
            message=f"function {function.id}: MemorySize is {verb} in IsolationMode {mode}",
            function=function.id,
            values={"function-arn": function.arn, "required|not allowed": verb, "isolation-mode": mode},
        )


@rule(
    "function-numbers",
    condition="inferred",
    timing="ours",
    source="botocore greengrass 2017-06-07 (integers, of 32 bits); what is too small is ours: how V1 refused is not "
    "known",
)
def numbers(case: Case) -> Iterator[Fault]:
    """A container's MemorySize is more than 0, no Timeout is less than 0, and both are integers of 32 bits."""
    for function in case.group.functions:
        size = function.memory_size_kb
        if size is not None and size <= 0 and case.contained(function):
            message = f"function {function.id}: no process can run in a MemorySize of {size} KB"
            yield _fault(function, message, ".FunctionConfiguration.MemorySize")
        if function.timeout_s < 0:
            message = f"function {function.id}: a Timeout of {function.timeout_s} s leaves no time to run"
            yield _fault(function, message, ".FunctionConfiguration.Timeout")
        for key, value in (("MemorySize", size or 0), ("Timeout", function.timeout_s)):
            if value > _MAX_INTEGER:
                message = f"function {function.id}: {key} {value} is larger than the API's largest integer"
                yield _fault(function, message, f".FunctionConfiguration.{key}")


@rule(
    "timeout-zero",
    condition="ours",
    timing="ours",
    severity="warning",
    source="silent: botocore greengrass 2017-06-07 sets no least value; whether V1 refused 0, took its default of 3 s "
    f"({CONFIG}), or ended every call at once is not known",
    hint="Set Timeout to the seconds that one call may take, or leave it out for the default of 3.",
)
def zero_timeouts(case: Case) -> Iterator[Fault]:
    """What V1 did with a Timeout of 0 is not documented; here a call may take the default of 3 s."""
    for function in case.group.functions:
        if function.timeout_s == 0:
            message = f"function {function.id}: Timeout is 0, which counts as the default of {DEFAULT_TIMEOUT_S} s here"
            yield _fault(function, message, ".FunctionConfiguration.Timeout")


@rule(
    "memory-size-unit",
    condition="ours",
    timing="ours",
    severity="warning",
    phase="run",
    source=f"botocore greengrass 2017-06-07 (in KB); the console's default is 16 MB ({CONFIG}); the bound is ours",
    hint="MemorySize is in KB: 16 MB is 16384.",
)
def memory_unit(case: Case) -> Iterator[Fault]:
    """MemorySize is in KB; a value below 4096 is probably meant in MB."""
    for function in case.group.functions:
        size = function.memory_size_kb
        if size is not None and 0 < size < _SMALL_KB and case.contained(function):
            message = f"function {function.id}: MemorySize is {size} KB"
            yield _fault(function, message, ".FunctionConfiguration.MemorySize")


@rule(
    "access-sysfs",
    condition="sourced",
    timing="inferred",
    aws_text="Access Sysfs configuration for function with arn <function-arn> is not allowed in "
    "IsolationMode=NoContainer.",
    source=f"{LISTED}: true is refused, an explicit false is not; refused with the deployment here, as the sibling "
    "about resource types was. The console, in which ml-console.md enables it without a container, discards it "
    "(lambda-group-config.md)",
    hint="Without a container the function sees the board's /sys anyway.",
)
def access_sysfs(case: Case) -> Iterator[Fault]:
    """AccessSysfs is for containers."""
    for function in case.group.functions:
        if function.access_sysfs and not case.contained(function):
            message = f"function {function.id}: AccessSysfs is not allowed without a container"
            yield _environment(function, "AccessSysfs", message)


@rule(
    "run-as-range",
    condition="inferred",
    timing="ours",
    source="botocore greengrass 2017-06-07 (integers, of 32 bits); how V1 refused is not known",
)
def run_as_range(case: Case) -> Iterator[Fault]:
    """RunAs names a UID and a GID from 0 to the largest integer of 32 bits that the API has."""
    for path, who, run_as in _run_as(case):
        for key, value in (("Uid", run_as.uid), ("Gid", run_as.gid)):
            if value is not None and not 0 <= value <= _MAX_INTEGER:
                yield Fault(path=f"{path}.{key}", message=f"{who}: RunAs {key} {value} is not a valid Linux id")


@rule(
    "root-in-container-disputed",
    condition="sourced",
    timing="inferred",
    severity="note",
    source=f"botocore greengrass 2017-06-07: root needs NoContainer; {CONFIG} names no such condition",
    hint="NoContainer satisfies both pages.",
)
def root_in_container(case: Case) -> Iterator[Fault]:
    """According to the API reference, a function that runs as root needs NoContainer; the developer guide does not."""
    for function in case.group.functions:
        if case.asked_uid(function) == 0 and case.contained(function):
            message = f"function {function.id} runs as root in a container"
            yield _environment(function, "Execution", message)


def _run_as(case: Case) -> Iterator[tuple[str, str, RunAs]]:
    yield "$.DefaultConfig.Execution.RunAs", "the group's default", case.group.default_config.run_as
    for function in case.group.functions:
        yield f"{environment_path(function)}.Execution.RunAs", f"function {function.id}", function.run_as


def _fault(function: Function, message: str, below: str) -> Fault:
    return Fault(path=f"{function.path}{below}", message=message, function=function.id)


def _environment(function: Function, key: str, message: str) -> Fault:
    path = f"{environment_path(function)}.{key}"
    return Fault(path=path, message=message, function=function.id, values={"function-arn": function.arn})


RULES: tuple[Rule, ...] = (
    identifiers,
    unique_ids,
    shared_arns,
    total,
    qualified,
    environment_keys,
    encoding_type,
    executable_arns,
    executables,
    memory_size,
    numbers,
    zero_timeouts,
    memory_unit,
    access_sysfs,
    run_as_range,
    root_in_container,
)
