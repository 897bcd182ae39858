"""Checks of functions' processes: whose rights they have, what limits them, what their environment holds.

Pages of the V2 guide: create-deployments.md (runWith), import-lambda-function-cli.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from edge_sim.greengrass.model import is_open
from edge_sim.greengrass.rules.rule import Fault
from edge_sim.v2.checks.check import IMPORT, MoveRule, check, in_environment, of
from edge_sim.v2.move import Move
from edge_sim.v2.names import looks_secret
from edge_sim.v2.verdicts import becomes_lambda

DEPLOY = "V2 guide, create-deployments.md; aws-greengrass-nucleus, UnixRunWithGenerator"


@check(
    "interpreter",
    "warning",
    source="V2 guide, import-lambda-function-cli.md; a log with 'exec: nodejs14.x: executable file not found'",
    hint="Install it on the board, or link its name to an installed interpreter.",
    nuclei=("classic",),
)
def interpreter(move: Move) -> Iterator[Fault]:
    """The interpreter of an imported Lambda is on the new board's PATH under its runtime's exact name."""
    for function in move.own_functions:
        runtime = move.runtime(function)
        if move.to is None or not runtime or not becomes_lambda(move, function):
            continue
        there = move.to.has_program(runtime)
        if there is None:
            yield of(function, "", f"it is unknown whether the board has {runtime} on PATH", unknown=True)
        elif not there:
            yield of(function, "", f"the board has no {runtime} on PATH: the function would not start")


@check("memory-limit", "note", source=IMPORT, nuclei=("classic",))
def memory(move: Move) -> Iterator[Fault]:
    """MemorySize is carried over to an imported function in a container."""
    for function in move.own_functions:
        if function.memory_size_kb is not None and move.contained(function) and becomes_lambda(move, function):
            yield of(function, "MemorySize", f"memorySizeInKB is {function.memory_size_kb} as well")


@check("memory-unlimited", "warning", source="V2 guide, create-deployments.md; aws-greengrass-lite has no such limit")
def no_memory_limit(move: Move) -> Iterator[Fault]:
    """A function that no longer runs in a container loses its memory limit."""
    for function in move.own_functions:
        size = function.memory_size_kb
        if size is None or (move.contained(function) and becomes_lambda(move, function)):
            continue
        hint = f'In the deployment, set runWith {{"systemResourceLimits": {{"memory": {size}}}}}'
        if not move.nucleus.lambdas:
            hint = "Nucleus lite has no such limit: set MemoryMax= on the component's systemd unit."
        yield of(function, "MemorySize", f"its memory is no longer limited to {size} KB", hint)


@check("isolation-default", "warning", source=IMPORT)
def isolation(move: Move) -> Iterator[Fault]:
    """V2 has no group default for isolation: it is set on every function."""
    for function in move.own_functions:
        if function.isolation_mode is None and move.group.default_config.isolation_mode:
            mode = move.group.isolation_mode(function)
            yield of(function, "Environment.Execution", f"its IsolationMode is the group's, {mode}; V2 has no default")


@check("run-as-account", "warning", source=DEPLOY)
def accounts(move: Move) -> Iterator[Fault]:
    """A RunAs number means the account that has it on the new board."""
    for function in move.own_functions:
        uid = move.asked_uid(function)
        if uid in (None, 0) or move.to is None:
            continue
        names = [name for name, user in move.to.users.items() if user.uid == uid]
        before = [name for name, user in move.facts.users.items() if user.uid == uid] if move.facts else []
        if names == before:
            continue
        if not names and "users" not in move.to.whole:
            yield of(
                function,
                "Environment.Execution",
                f"it is unknown which account has UID {uid} on the new board",
                unknown=True,
            )
        else:
            was, now = before[0] if before else "no account", names[0] if names else "no account"
            yield of(function, "Environment.Execution", f"UID {uid} is {was} on the old board, {now} on the new one")


@check("root", "warning", source=f"{DEPLOY}: an explicit root is not refused")
def root(move: Move) -> Iterator[Fault]:
    """V2 has no equivalent of allowFunctionsToRunAsRoot: whoever deploys decides whether a component runs as root."""
    for function in move.own_functions:
        if move.asked_uid(function) == 0:
            yield of(function, "Environment.Execution", "it runs as root, and no setting on the board can prevent it")


@check("run-as-default", "warning", source=f"{DEPLOY}; greengrass-nucleus-component.md (runWithDefault)")
def run_as_default(move: Move) -> Iterator[Fault]:
    """The group's default RunAs becomes the nucleus's runWithDefault, which every component has."""
    default = move.group.default_config.run_as
    if default.uid is not None or default.gid is not None:
        message = "the group's RunAs becomes runWithDefault of the nucleus, which AWS's components use too"
        yield Fault(path="$.DefaultConfig.Execution.RunAs", message=message)


@check("run-as-lite", "error", source="deployment_queue.c of aws-greengrass-lite (runWith: to do)", nuclei=("lite",))
def run_as_on_lite(move: Move) -> Iterator[Fault]:
    """On nucleus lite every component has one user: there is no runWith."""
    for function in move.own_functions:
        if function.run_as.uid is not None or function.run_as.gid is not None:
            hint = "Use one account for all components (runWithDefault.posixUser), or another board."
            yield of(
                function, "Environment.Execution.RunAs", "nucleus lite cannot run it as an account of its own", hint
            )


@check("environment-secret", "warning", condition="ours", timing="ours", source="ours: names and forms of values")
def secret_variables(move: Move) -> Iterator[Fault]:
    """A variable that looks like a secret would be readable in the component's recipe."""
    for function in move.own_functions:
        for name, value in function.variables.items():
            if looks_secret(name, value):
                hint = "Put it into Secrets Manager, or replace the placeholder; --include-values writes it as it is."
                yield in_environment(function, f"Variables.{name}", f"variable {name} seems to hold a secret", hint)


@check("environment-braces", "note", source="recipe reference: one level of interpolation only", condition="inferred")
def braces(move: Move) -> Iterator[Fault]:
    """A value that looks like a recipe variable is kept as text in an imported function, but resolved in a recipe."""
    for function in move.own_functions:
        for name, value in function.variables.items():
            if re.search(r"\{[\w.]+:[^{}]+\}", value) and not is_open(value):
                becomes = "stays as it is" if becomes_lambda(move, function) else "is resolved as a recipe's variable"
                yield in_environment(function, f"Variables.{name}", f"variable {name} holds {value!r}, which {becomes}")


@check("worker-counts", "warning", source=f"{IMPORT} (maxInstancesCount 100, maxQueueSize 1000)", nuclei=("classic",))
def counts(move: Move) -> Iterator[Fault]:
    """V1 runs at most 25 on-demand workers in total, V2 100 for each on-demand function."""
    for function in move.own_functions:
        if not function.pinned and becomes_lambda(move, function):
            hint = "Set maxInstancesCount to what the board's memory allows; the generated request says 25."
            yield of(
                function,
                "Pinned",
                "it is on demand: V2 starts up to 100 processes of it, V1 up to 25 of all functions together",
                hint,
            )


@check("idle-time", "note", source=f"{IMPORT} (maxIdleTimeInSeconds 60)", nuclei=("classic",))
def idle(move: Move) -> Iterator[Fault]:
    """An idle on-demand function ends after 60 seconds; state kept outside its handler is then lost."""
    for function in move.code_uses("memory"):
        if not function.pinned:
            yield of(
                function, "Pinned", "its code keeps global state, which ends with the process after 60 idle seconds"
            )


@check("resource-limits", "warning", source="V2 guide, create-deployments.md", condition="sourced", nuclei=("classic",))
def sysfs(move: Move) -> Iterator[Fault]:
    """Access to /sys is a setting of the container: without one the process sees what its user may see."""
    for function in move.own_functions:
        if function.access_sysfs and not becomes_lambda(move, function):
            message = "AccessSysfs is lost with the container: it sees the board's /sys with its user's permissions"
            yield of(function, "Environment.AccessSysfs", message)


@check("v1-paths", "warning", source="observed on a V2 worker (kyopark2014/iot-greengrass, nucleus 2.7.0)")
def old_paths(move: Move) -> Iterator[Fault]:
    """Paths below /greengrass/ggc and the daemon's port 8000 do not exist in V2."""
    for function in move.own_functions:
        for name, value in function.variables.items():
            if re.search(r"/greengrass/ggc|localhost:8000", value):
                yield in_environment(function, f"Variables.{name}", f"variable {name} names a path of V1: {value!r}")
    for function in move.code_uses("v1-paths"):
        yield of(function, "", "its code names /greengrass/ggc or port 8000, which V2 does not have")


CHECKS: tuple[MoveRule, ...] = (
    interpreter,
    memory,
    no_memory_limit,
    isolation,
    accounts,
    root,
    run_as_default,
    run_as_on_lite,
    secret_variables,
    braces,
    counts,
    idle,
    sysfs,
    old_paths,
)
