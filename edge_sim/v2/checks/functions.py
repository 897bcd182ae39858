"""Checks of functions: what an import takes, and what it loses.

Page of the V2 guide: import-lambda-function-cli.md (parameters and their defaults).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from edge_sim.greengrass.model import is_open
from edge_sim.greengrass.rules.rule import Fault
from edge_sim.v2.checks.check import IMPORT, MoveRule, check, of
from edge_sim.v2.move import Move
from edge_sim.v2.names import MAX_NAME, MAX_NUMBER, component_names, component_version, lambda_name, lambda_version
from edge_sim.v2.verdicts import verdict

_DEPRECATED = re.compile(r"python2\.7|python3\.[678]|nodejs(4|6|8|10|12)(\.\w+)?|java8")


@check(
    "lambda-version",
    "error",
    phase="create",
    timing="sourced",
    source=f"{IMPORT}; aws-cli issue 6274 (the error message gives no cause)",
    nuclei=("classic",),
    hint="Publish a version of the Lambda, and use its number: aws lambda publish-version --function-name NAME",
)
def version(move: Move) -> Iterator[Fault]:
    """An imported Lambda is identified by the number of a published version, not by an alias or $LATEST."""
    for function in move.own_functions:
        number = lambda_version(function)
        if move.native(function) or (number and number.isascii() and number.isdigit()):
            continue
        if is_open(function.arn):
            yield of(function, "", "the template does not decide which version its ARN names", unknown=True)
        else:
            named = f"names {number}" if number else "names no version"
            yield of(function, "", f"its ARN {named}; V2 imports only versions, by their number")


@check("component-name-twice", "error", phase="create", condition="inferred", source=f"{IMPORT}; the names are ours")
def same_name(move: Move) -> Iterator[Fault]:
    """No two functions become components with the same name."""
    names = component_names(move)
    first: dict[str, str] = {}
    for function in move.own_functions:
        before = first.setdefault(names[function.id], function.id)
        if before != function.id:
            message = f"its component would have the name {names[function.id]}, like that of function {before}"
            yield Fault(
                path=f"{function.path}.Id",
                message=f"function {function.id}: {message}",
                function=function.id,
                hint="Change one of the two Ids: characters that are not allowed in a component's name become _.",
            )


@check("lambda-twice", "warning", phase="create", source=IMPORT, nuclei=("classic",))
def same_lambda(move: Move) -> Iterator[Fault]:
    """Two functions of one Lambda would get the same component name, unless they are given different ones."""
    names = component_names(move)
    shared = Counter(filter(None, map(lambda_name, move.own_functions)))
    for function in move.own_functions:
        name = lambda_name(function)
        if name and shared[name] > 1:
            yield of(
                function, "", f"the group has Lambda {name} more than once: this component is {names[function.id]}"
            )


@check("component-name", "error", phase="create", source="botocore greengrassv2; aws-greengrass-component-common")
def long_name(move: Move) -> Iterator[Fault]:
    """A component's name has at most 128 characters, and each number of its version is at most 999999."""
    names = component_names(move)
    for function in move.own_functions:
        if len(names[function.id]) > MAX_NAME:
            yield of(
                function,
                "",
                f"its component's name would have {len(names[function.id])} characters; at most {MAX_NAME} are allowed",
            )
        number = component_version(function).partition(".")[0]
        if int(number) > MAX_NUMBER:
            yield of(
                function,
                "",
                f"Lambda version {number} exceeds {MAX_NUMBER}, the largest number in a component's version",
            )


@check(
    "native-executable",
    "error",
    phase="create",
    source="V2 guide, migrate-from-v1.md",
    hint="Make it a generic component: its recipe's run script starts the executable.",
)
def native(move: Move) -> Iterator[Fault]:
    """V2 does not import native executables (C, C++)."""
    for function in filter(move.native, move.own_functions):
        yield of(function, "", "a native executable cannot be imported as a Lambda")


@check(
    "lambda-on-lite",
    "error",
    phase="deploy",
    source="V2 guide, choose-runtime.md, set-up-v2-test-device-lite.md",
    nuclei=("lite",),
    hint="Rewrite its entry point with the AWS IoT Device SDK V2; start from the files beside this report.",
)
def on_lite(move: Move) -> Iterator[Fault]:
    """Nucleus lite does not support Lambda functions."""
    for function in move.own_functions:
        if verdict(move, function).becomes == "generic":
            yield of(function, "", "nucleus lite does not support Lambda functions: it must become a generic component")


@check(
    "generic-component",
    "error",
    condition="inferred",
    source="V2 guide, migrate-from-v1.md; recipe reference (variables are a recipe's)",
    nuclei=("classic",),
    hint="Keep its handler, and call it from a new entry point; the files beside this report contain a draft.",
)
def becomes_generic(move: Move) -> Iterator[Fault]:
    """A function that cannot be imported as it is becomes a generic component, with an entry point of its own."""
    for function in move.own_functions:
        outcome = verdict(move, function)
        if outcome.becomes == "generic" and not move.native(function):
            yield of(function, "", f"it must become a generic component: {outcome.reason}")


@check(
    "not-on-lite",
    "error",
    condition="inferred",
    source="README.md of aws-greengrass-lite (the IPC operations it has); V2 guide, choose-runtime.md",
    nuclei=("lite",),
    hint="Choose nucleus classic for this board.",
)
def nothing_on_lite(move: Move) -> Iterator[Fault]:
    """Nucleus lite has no secrets, local shadows, client devices, stream manager or connectors."""
    for function in move.own_functions:
        outcome = verdict(move, function)
        if outcome.becomes == "nothing":
            yield of(function, "", f"it cannot be migrated: {outcome.reason}")


@check(
    "container-on-lite",
    "error",
    source="V2 guide, choose-runtime.md",
    nuclei=("lite",),
    hint="As a generic component it opens the board's paths with its own user's permissions.",
)
def container_on_lite(move: Move) -> Iterator[Fault]:
    """Nucleus lite has no Greengrass containers: no mounts, no memory limit, no masked folders."""
    for function in filter(move.contained, move.own_functions):
        yield of(function, "Environment.Execution", "it runs in a container, which nucleus lite does not have")


@check(
    "container-cgroups",
    "error",
    condition="sourced",
    source="V2 guide, setting-up (May 2023), AWS's answer on re:Post; whether today's launcher does is not known",
    nuclei=("classic",),
    hint="Boot with cgroups version 1 (systemd.unified_cgroup_hierarchy=0), or make it a generic component.",
)
def cgroups(move: Move) -> Iterator[Fault]:
    """The container of an imported Lambda needs cgroups version 1 on the new board."""
    for function in filter(move.contained, move.own_functions):
        if move.to and move.to.cgroups == "v2":
            yield of(
                function, "Environment.Execution", "its container needs cgroups of version 1; the board has version 2"
            )
        elif move.to and move.to.cgroups is None:
            message = "its container needs cgroups version 1; the board's version is unknown"
            yield of(function, "Environment.Execution", message, unknown=True)


@check(
    "runtime-deprecated",
    "warning",
    phase="create",
    condition="sourced",
    source="V2 guide, import-lambda-function-cli.md; Lambda's runtime deprecation policy",
    nuclei=("classic",),
    hint="Import the existing version; a new one needs a newer runtime.",
)
def deprecated(move: Move) -> Iterator[Fault]:
    """Lambda no longer creates functions with V1's runtimes; existing versions can still be imported."""
    for function in move.own_functions:
        runtime = move.runtime(function)
        if _DEPRECATED.fullmatch(runtime):
            yield of(function, "", f"Lambda no longer creates functions with {runtime}")


@check("handler", "warning", phase="create", source=IMPORT, nuclei=("classic",))
def handler(move: Move) -> Iterator[Fault]:
    """A handler that the group sets (Executable) is lost: V2 uses the Lambda's own."""
    for function in move.own_functions:
        code = move.group.code.get(function.id)
        if function.executable and not move.native(function) and not (code and code.handler == function.executable):
            hint = f"Publish a version of the Lambda whose handler is {function.executable}."
            yield of(function, "Executable", f"V2 uses the Lambda's own handler, not {function.executable!r}", hint)


@check("runtime-override", "warning", phase="create", source=IMPORT, nuclei=("classic",))
def runtime(move: Move) -> Iterator[Fault]:
    """A runtime that the group sets (FunctionRuntimeOverride) is lost: V2 uses the Lambda's own."""
    for function in move.own_functions:
        if function.runtime_override and not move.native(function):
            hint = f"Publish a version of the Lambda with the runtime {function.runtime_override}."
            message = f"V2 uses the Lambda's own runtime, not {function.runtime_override!r}"
            yield of(function, "FunctionRuntimeOverride", message, hint)


@check("pinned-default", "warning", source=f"{IMPORT} (default true); lambda-template-transformer", nuclei=("classic",))
def pinned(move: Move) -> Iterator[Fault]:
    """V1 starts a function without Pinned on demand, V2 keeps it running: the default is reversed."""
    for function in move.own_functions:
        written = move.configuration(function)
        if written is not None and written.get("Pinned") is None:
            yield of(
                function, "Pinned", "Pinned is not set: on demand in V1, pinned in V2; the generated request says false"
            )


@check("timeout-default", "note", source=IMPORT, nuclei=("classic",))
def timeout(move: Move) -> Iterator[Fault]:
    """A function without Timeout has 3 seconds, in V1 and V2; in V2 a pinned function that exceeds it is stopped."""
    for function in move.own_functions:
        written = move.configuration(function)
        if function.timeout_s == 0:
            message = "Timeout is 0, which V1's guide does not explain; the generated request says 3 seconds"
            yield of(function, "Timeout", message)
        elif written is not None and written.get("Timeout") is None:
            yield of(function, "Timeout", "Timeout is not set; the generated request says 3 seconds")


@check("exec-args", "warning", source=f"{IMPORT}; how V1 split the text is not known", condition="inferred")
def exec_args(move: Move) -> Iterator[Fault]:
    """ExecArgs is a single string in V1 and a list in V2: the result depends on how it is split."""
    for function in move.own_functions:
        if function.exec_args and re.search(r"[\s'\"\\]", function.exec_args):
            yield of(function, "ExecArgs", "ExecArgs holds blanks or quotes: check how the generated request splits it")


@check("code-missing", "error", condition="ours", timing="ours", source="ours: what is not available cannot be packed")
def code_missing(move: Move) -> Iterator[Fault]:
    """The code of a function that becomes a generic component is available."""
    for function in move.own_functions:
        if function.id not in move.code_known and verdict(move, function).becomes == "generic":
            hint = f"--source {function.arn}=FOLDER; on the board it is below {move.old_tree.functions}."
            yield of(function, "", "it becomes a generic component, but its code is not available here", hint)


CHECKS: tuple[MoveRule, ...] = (
    version,
    same_name,
    same_lambda,
    long_name,
    native,
    on_lite,
    becomes_generic,
    nothing_on_lite,
    container_on_lite,
    cgroups,
    deprecated,
    handler,
    runtime,
    pinned,
    timeout,
    exec_args,
    code_missing,
)
