"""Rules about the board itself: what the developer guide requires of it, for what a group asks of the core.

The requirements are ``edge_sim.greengrass.requirements``; their texts are known for umask, cgroups and Java only.
"""

from __future__ import annotations

from collections.abc import Iterator

from edge_sim.errors import InvalidDefinitionError
from edge_sim.facts import HostFacts
from edge_sim.greengrass import requirements
from edge_sim.greengrass.model import is_open
from edge_sim.greengrass.requirements import CGROUPS_TEXT, GUIDE, SOCKET_PATH_TEXT, SOCKET_TEXT
from edge_sim.greengrass.rules.case import Case
from edge_sim.greengrass.rules.rule import Fault, Rule, board_rule
from edge_sim.greengrass.rules.system import STREAM_MANAGER


@board_rule("board-kernel", condition="sourced", timing="inferred", source=GUIDE, unsupported=True)
def kernel(case: Case, facts: HostFacts) -> Iterator[Fault]:
    """The core needs kernel 3.17, functions in containers need 4.4."""
    yield from _unmet(facts, "kernel")
    if _contained(case):
        yield from _unmet(facts, "kernel for containers")


@board_rule("board-libc", condition="sourced", timing="inferred", source=GUIDE, unsupported=True)
def libc(_case: Case, facts: HostFacts) -> Iterator[Fault]:
    """The core needs glibc 2.14, or on OpenWrt musl 1.1.16."""
    yield from _unmet(facts, "C library")


@board_rule(
    "board-umask",
    condition="sourced",
    timing="sourced",
    phase="run",
    aws_text=SOCKET_TEXT,
    source="gg-troubleshooting.md (umask)",
    hint="Set the umask of whatever starts the core to 0022.",
)
def umask(_case: Case, facts: HostFacts) -> Iterator[Fault]:
    """The core is started with a umask no stricter than 0022."""
    yield from _unmet(facts, "umask")


@board_rule(
    "board-install-path",
    condition="sourced",
    timing="sourced",
    phase="run",
    aws_text=SOCKET_PATH_TEXT,
    source="gg-troubleshooting.md (greengrass_ipc.sock: invalid argument); with a write directory 83 bytes",
    hint="Install the core below a shorter path.",
)
def install_path(_case: Case, facts: HostFacts) -> Iterator[Fault]:
    """The core is installed below a path of fewer than 79 bytes."""
    yield from _unmet(facts, "install path")


@board_rule(
    "board-cgroups",
    condition="sourced",
    timing="inferred",
    phase="run",
    aws_text=CGROUPS_TEXT,
    source=f"{GUIDE}; aws-greengrass-samples issue 41 (the text, and that version 2 is not enough)",
    hint="On a Raspberry Pi: cgroup_enable=memory cgroup_memory=1 in cmdline.txt; where systemd uses version 2, also "
    "systemd.unified_cgroup_hierarchy=0. Or run the functions without containers.",
)
def cgroups(case: Case, facts: HostFacts) -> Iterator[Fault]:
    """Functions in containers need the memory and devices cgroups of version 1."""
    if _contained(case):
        yield from _unmet(facts, "cgroups")


@board_rule("board-storage", condition="sourced", timing="inferred", phase="run", severity="warning", source=GUIDE)
def storage(_case: Case, facts: HostFacts) -> Iterator[Fault]:
    """The core software needs 128 MB of disk space, OTA updates 400 MB."""
    yield from _unmet(facts, "storage") or _unmet(facts, "storage for updates")


@board_rule("board-memory", condition="sourced", timing="inferred", severity="warning", phase="run", source=GUIDE)
def memory(case: Case, facts: HostFacts) -> Iterator[Fault]:
    """The core needs 128 MB of memory, 198 MB with stream manager, and a function no more than the board has."""
    streams = any(STREAM_MANAGER.fullmatch(function.arn) for function in case.group.functions)
    yield from _unmet(facts, "memory") or (_unmet(facts, "memory for stream manager") if streams else [])
    for function in case.group.functions:
        size = function.memory_size_kb or 0
        if 0 < facts.memory_kib < size:
            path = f"{function.path}.FunctionConfiguration.MemorySize"
            message = f"function {function.id}: MemorySize {size} KB is more than the board's {facts.memory_kib} KiB"
            yield Fault(path=path, message=message, function=function.id)


@board_rule(
    "board-java",
    condition="sourced",
    timing="sourced",
    aws_text="Unable to find java or java8 executables",
    source="gg-troubleshooting.md; stream-manager.md",
    hint="Install the Java 8 runtime on the board, with java8 on PATH.",
)
def java(case: Case, facts: HostFacts) -> Iterator[Fault]:
    """Stream manager needs Java 8 on the board."""
    for function in case.group.functions:
        if STREAM_MANAGER.fullmatch(function.arn) and facts.has_program("java8") is False:
            message = f"function {function.id}: stream manager needs java8, which the board does not have"
            yield Fault(path=f"{function.path}.FunctionArn", message=message, function=function.id)


@board_rule(
    "board-interpreter",
    condition="sourced",
    timing="inferred",
    phase="run",
    severity="warning",
    source=f"{GUIDE}; lambda-functions.md: looked up on PATH by its exact name",
    hint="Install it on the board, or link that name to an installed interpreter, and list it in the profile.",
)
def interpreters(case: Case, facts: HostFacts) -> Iterator[Fault]:
    """The interpreter of a function's Lambda runtime is on the board, under the runtime's name."""
    for function in case.group.functions:
        runtime = case.runtime(function)
        if runtime and not is_open(runtime) and not case.native(function) and facts.has_program(runtime) is False:
            message = f"function {function.id}: the board has no {runtime}"
            path = f"{function.path}.FunctionConfiguration.FunctionRuntimeOverride"
            yield Fault(path=path, message=message, function=function.id)


@board_rule(
    "board-accounts",
    condition="sourced",
    timing="sourced",
    source="gg-troubleshooting.md; lambda-group-config.md: the core's own functions have the default identity as well",
    hint="Create both on the board (useradd --system, groupadd --system), or name a default identity.",
)
def default_accounts(case: Case, facts: HostFacts) -> Iterator[Fault]:
    """Where the group's default identity is the standard one, ggc_user and ggc_group exist on the board."""
    run_as = case.group.default_config.run_as
    missing = any(isinstance(who, InvalidDefinitionError) for who in case.identities)  # "accounts" says so
    if case.group.functions and (run_as.uid is None or run_as.gid is None) and not missing:
        yield from _unmet(facts, "accounts")


@board_rule(
    "containers-unsupported",
    condition="sourced",
    timing="inferred",
    phase="run",
    unsupported=True,
    aws_text="[FATAL]-Failed to reset thread's mount namespace due to an unexpected error: "
    '"operation not permitted". To '
    "maintain consistency, GGC will crash and need to be manually restarted.",
    source="gg-troubleshooting.md (Docker issues); run-gg-in-docker-container.md",
    hint="Set IsolationMode NoContainer for the group and its functions.",
)
def containers_supported(case: Case, facts: HostFacts) -> Iterator[Fault]:
    """A core in a Docker container runs functions only without containers."""
    for function in case.group.functions if "containers" in facts.unsupported else ():
        if case.contained(function):
            message = f"function {function.id}: a core in a Docker container starts no Greengrass containers"
            yield Fault(path=function.path, message=message, function=function.id)


@board_rule(
    "local-resources-unsupported",
    condition="sourced",
    timing="inferred",
    unsupported=True,
    source="run-gg-in-docker-container.md (limitations); the form of the refusal is this project's",
    hint="Have the function open the path itself; pass it to the Docker container with --device or --volume.",
)
def local_resources_supported(case: Case, facts: HostFacts) -> Iterator[Fault]:
    """A core in a Docker container has no local device and volume resources."""
    for resource in case.group.resources if "local-resources" in facts.unsupported else ():
        if resource.local:
            message = f"resource {resource.id}: a core in a Docker container has no local resources"
            yield Fault(path=resource.path, message=message, resource=resource.id)


def _contained(case: Case) -> bool:
    return any(case.contained(function) for function in case.group.functions)


def _unmet(facts: HostFacts, fact: str) -> list[Fault]:
    """Return the fault of a requirement that the board does not meet; of one that is not known nothing is said."""
    (requirement,) = (r for r in requirements.requirements(facts) if r.fact == fact)
    if requirement.state != "unmet":
        return []
    message = (
        f"the board's {requirement.fact}: {requirement.has}; V1 needs {requirement.needs}; otherwise "
        f"{requirement.consequence}"
    )
    return [Fault(path="$", message=message, aws_text=requirement.aws_text)]


RULES: tuple[Rule, ...] = (
    kernel,
    libc,
    umask,
    install_path,
    cgroups,
    storage,
    memory,
    java,
    interpreters,
    default_accounts,
    containers_supported,
    local_resources_supported,
)
