"""What the core could do from which release on: a definition that needs more does not work on an older core.

Pages: what-is-gg.md, ml-inference.md, access-*.md, secrets.md. How V1 refused is known only for models without
container; in the other cases the refusal of the deployment is inferred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edge_sim.facts import below
from edge_sim.greengrass.functions import Function, RunAs
from edge_sim.greengrass.model import is_open
from edge_sim.greengrass.resources import Resource
from edge_sim.greengrass.rules.case import Case
from edge_sim.greengrass.rules.rule import Check, Fault, Rule, rule
from edge_sim.greengrass.rules.sections import entries
from edge_sim.greengrass.rules.system import STREAM_MANAGER

_RUNTIMES = {
    "python2.7": (1, 0),
    "nodejs6.10": (1, 1),
    "java8": (1, 1),
    "nodejs8.10": (1, 9),
    "python3.7": (1, 9),
    "nodejs12.x": (1, 10),
    "python3.8": (1, 11),
}
"""The release that brought each Lambda runtime (what-is-gg.md)."""


def _floor(id_: str, *, until: str, source: str = "what-is-gg.md") -> Callable[[Check], Rule]:
    return rule(
        id_,
        condition="sourced",
        timing="inferred",
        source=f"{source}; the refusal is inferred",
        until=until,
        unsupported=True,
    )


@_floor("local-resources-version", until="1.2")
def local_resources(case: Case) -> Iterator[Fault]:
    """Devices and volumes need GGC 1.3."""
    yield from _resources(case, lambda r: r.local is not None, "1.3")


@_floor("ml-version", until="1.4", source="what-is-gg.md and ml-inference.md")
def models(case: Case) -> Iterator[Fault]:
    """Machine-learning resources need GGC 1.5."""
    yield from _resources(case, lambda r: r.model is not None, "1.5")


@rule(
    "ml-version-disputed",
    condition="sourced",
    timing="inferred",
    severity="warning",
    since="1.5",
    until="1.5",
    source="what-is-gg.md: ML inference is generally available in 1.5.0; ml-inference.md: for GGC 1.6 or later",
    hint="Use GGC 1.6 or later.",
)
def models_of_1_5(case: Case) -> Iterator[Fault]:
    """According to the release notes machine-learning resources came with GGC 1.5; their own page asks for 1.6."""
    yield from _resources(case, lambda r: r.model is not None, "1.6")


@_floor("proc-version", until="1.5", source="access-local-resources.md")
def proc_volumes(case: Case) -> Iterator[Fault]:
    """A volume from /proc needs GGC 1.6."""
    yield from _resources(case, lambda r: r.volume is not None and below(r.volume.source_path, "/proc"), "1.6")


@_floor("secrets-version", until="1.6", source="secrets.md")
def secrets(case: Case) -> Iterator[Fault]:
    """Secret resources need GGC 1.7."""
    yield from _resources(case, lambda r: r.secret is not None, "1.7")


@_floor("owner-setting-version", until="1.9", source="access-ml-resources.md")
def owner_setting(case: Case) -> Iterator[Fault]:
    """OwnerSetting needs GGC 1.10."""
    for resource in case.group.resources:
        if resource.owner:
            path = f"{resource.data_path}.OwnerSetting"
            message = f"resource {resource.id}: OwnerSetting needs GGC 1.10; this core is {_text(case)}"
            yield Fault(path=path, message=message, resource=resource.id)


@_floor("no-container-version", until="1.6", source="lambda-group-config.md")
def no_container(case: Case) -> Iterator[Fault]:
    """Functions without a container need GGC 1.7."""
    yield from _functions(
        case, lambda f: not case.contained(f), "IsolationMode NoContainer", "1.7", "Environment.Execution"
    )


@_floor("run-as-version", until="1.6", source="lambda-group-config.md")
def run_as(case: Case) -> Iterator[Fault]:
    """RunAs needs GGC 1.7."""
    yield from _functions(case, lambda f: f.run_as != RunAs(), "RunAs", "1.7", "Environment.Execution.RunAs")


@_floor("default-identity-version", until="1.7", source="lambda-group-config.md")
def default_identity(case: Case) -> Iterator[Fault]:
    """RunAs in the group's DefaultConfig needs GGC 1.8."""
    if case.group.default_config.run_as != RunAs():
        message = f"the group's default RunAs needs GGC 1.8; this core is {_text(case)}"
        yield Fault(path="$.DefaultConfig.Execution.RunAs", message=message)


@_floor("binary-encoding-version", until="1.4")
def binary_encoding(case: Case) -> Iterator[Fault]:
    """EncodingType binary needs GGC 1.5."""
    yield from _functions(case, lambda f: f.encoding_type == "binary", "EncodingType binary", "1.5", "EncodingType")


@_floor("executable-version", until="1.5")
def executables(case: Case) -> Iterator[Fault]:
    """Native executables need GGC 1.6."""
    yield from _functions(case, case.native, "a native executable", "1.6", "Executable")


@_floor("stream-manager-version", until="1.9", source="stream-manager.md")
def stream_manager(case: Case) -> Iterator[Fault]:
    """Stream manager needs GGC 1.10."""
    for function in case.group.functions:
        if STREAM_MANAGER.fullmatch(function.arn):
            message = f"function {function.id}: stream manager needs GGC 1.10; this core is {_text(case)}"
            yield Fault(path=f"{function.path}.FunctionArn", message=message, function=function.id)


@_floor("connectors-version", until="1.6", source="connectors.md")
def connectors(case: Case) -> Iterator[Fault]:
    """Connectors need GGC 1.7."""
    for path, entry in entries(case, "Connectors"):
        message = f"connector {entry.get('Id')} needs GGC 1.7; this core is {_text(case)}"
        yield Fault(path=path, message=message)


@rule(
    "runtime-known",
    condition="sourced",
    timing="inferred",
    phase="run",
    source="what-is-gg.md, lambda-functions.md; that the function does not start is inferred",
    hint=f"V1 had {', '.join(_RUNTIMES)}, and native executables.",
)
def known_runtimes(case: Case) -> Iterator[Fault]:
    """A function's runtime is one that V1 had."""
    for function, runtime in _runtimes(case):
        if runtime not in _RUNTIMES:
            yield _runtime_fault(function, f"V1 never supported runtime {runtime}")


@rule(
    "runtime-version",
    condition="sourced",
    timing="inferred",
    phase="run",
    source="what-is-gg.md, lambda-functions.md; that the function does not start is inferred",
    until="1.10",
)
def runtimes(case: Case) -> Iterator[Fault]:
    """Each Lambda runtime came with a release: python3.7 with GGC 1.9, nodejs12.x with 1.10, python3.8 with 1.11."""
    for function, runtime in _runtimes(case):
        floor = _RUNTIMES.get(runtime, (1, 0))
        if case.version[:2] < floor:
            yield _runtime_fault(
                function, f"runtime {runtime} needs GGC {floor[0]}.{floor[1]}; this core is {_text(case)}"
            )


@rule(
    "ml-no-container-version",
    condition="sourced",
    timing="sourced",
    aws_text="Function <function-arn> refers to resource of type '<resource-type>' that is not allowed in "
    "IsolationMode='NoContainer'",
    source="gg-troubleshooting.md; a deployment's error in a public issue",
    until="1.9",
    unsupported=True,
)
def models_without_container(case: Case) -> Iterator[Fault]:
    """Machine-learning resources of functions without a container need GGC 1.10."""
    for a in case.models:
        if not a.contained:
            kind = a.resource.data.kind.type_name
            yield Fault(
                path=a.path,
                message=f"function {a.function.id}: model {a.resource.id} without a container needs GGC 1.10; this "
                "core is "
                f"{_text(case)}",
                resource=a.resource.id,
                function=a.function.id,
                values={"function-arn": a.function.arn, "resource-type": kind},
            )


@rule(
    "model-permission-required",
    condition="sourced",
    timing="inferred",
    source="access-ml-resources.md; the text is not known for these versions",
    until="1.9",
    hint="Set Permission to ro or rw in the function's ResourceAccessPolicies.",
)
def permission_required(case: Case) -> Iterator[Fault]:
    """Up to GGC 1.9 a containerised function states its permission for each model."""
    for a in case.models:
        if a.contained and not a.policy.permission:
            message = f"function {a.function.id} sets no Permission for model {a.resource.id}"
            yield Fault(path=a.path, message=message, resource=a.resource.id, function=a.function.id)


def _runtimes(case: Case) -> Iterator[tuple[Function, str]]:
    """Yield the functions whose Lambda runtime is known and is not that of native executables."""
    for function in case.group.functions:
        runtime = case.runtime(function)
        if runtime and not is_open(runtime) and not case.native(function):
            yield function, runtime


def _runtime_fault(function: Function, message: str) -> Fault:
    path = f"{function.path}.FunctionConfiguration.FunctionRuntimeOverride"
    return Fault(path=path, message=f"function {function.id}: {message}", function=function.id)


def _resources(case: Case, needs: Callable[[Resource], bool], floor: str) -> Iterator[Fault]:
    for resource in case.group.resources:
        if needs(resource):
            message = f"resource {resource.id} needs GGC {floor}; this core is {_text(case)}"
            yield Fault(path=resource.data_path, message=message, resource=resource.id)


def _functions(case: Case, needs: Callable[[Function], bool], what: str, floor: str, key: str) -> Iterator[Fault]:
    for function in case.group.functions:
        if needs(function):
            message = f"function {function.id}: {what} needs GGC {floor}; this core is {_text(case)}"
            yield Fault(path=f"{function.path}.FunctionConfiguration.{key}", message=message, function=function.id)


def _text(case: Case) -> str:
    return ".".join(map(str, case.version[:2]))


RULES: tuple[Rule, ...] = (
    local_resources,
    models,
    models_of_1_5,
    proc_volumes,
    secrets,
    owner_setting,
    no_container,
    run_as,
    default_identity,
    binary_encoding,
    executables,
    stream_manager,
    connectors,
    known_runtimes,
    runtimes,
    models_without_container,
    permission_required,
)
