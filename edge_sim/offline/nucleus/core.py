"""Components of a migration's folder, deployed below a board's root and run: in order, as their accounts, with the IPC.

Paths are below the root, and processes see this system's: below another root than ``/`` its programs stand in.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets as tokens
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from edge_sim.agent.probe import probe
from edge_sim.agent.rooted import inside
from edge_sim.documents import read_bytes
from edge_sim.errors import InvalidDefinitionError, UnsupportedEnvironmentError, UsageError
from edge_sim.facts import HostFacts
from edge_sim.folders import while_in_use
from edge_sim.jsonobject import JsonObject
from edge_sim.offline.nucleus import layout
from edge_sim.offline.nucleus.ipc import Hub, IpcClient, serving
from edge_sim.offline.nucleus.recipes import NucleusComponent, merged, ordered, read_component, resolved
from edge_sim.offline.nucleus.scripts import Script
from edge_sim.strictjson import loads
from edge_sim.v2.nucleus import Nucleus

INSTALL_LIMIT_S = 120.0
"""A lifecycle's default time-out."""
SERVED = frozenset({"aws.greengrass.SecretManager", "aws.greengrass.TokenExchangeService"})
"""AWS's components that stand in; the first answers GetSecretValue, the second does nothing."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_STANDS_IN = (
    f"this machine ({platform.machine()}) stands in for the board: its programs, C library and kernel run the "
    "components; --architecture only selects manifests"
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is deployed: components in the order in which they start, with the account of each, and notes."""

    components: tuple[NucleusComponent, ...]
    accounts: Mapping[str, str]
    notes: tuple[str, ...]


@dataclass
class RunningNucleus:
    """A stand-in that runs. ``scripts`` are the run scripts by component, ``logs`` what each component says."""

    hub: Hub
    scripts: dict[str, Script] = field(default_factory=dict)
    logs: dict[str, Path] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def broken(self) -> list[str]:
        """Return a sentence for each component whose run script has ended."""
        ended = ((name, script.poll()) for name, script in self.scripts.items())
        return [f"component {name} ended with status {status}" for name, status in ended if status is not None]


def read_folder(folder: Path, nucleus: Nucleus, architecture: str) -> Plan:
    """Read a migration's folder as a nucleus takes it.

    Raises InvalidDefinitionError for what that refuses, UsageError for a file that cannot be read.
    """
    deployment = _deployment(folder / "deployment.json")
    components, notes = [], []
    for name, entry in deployment.items():
        recipe = folder / "components" / name / "recipe.yaml"
        if recipe.is_file():
            component = read_component(_recipe(recipe), nucleus, architecture)
            components.append(
                NucleusComponent(**{**vars(component), "configuration": merged(component.configuration, _merge(entry))})
            )
            notes += [
                f"component {name}: nucleus {nucleus.name} ignores its {step} script" for step in component.ignored
            ]
        elif recipe.parent.is_dir():
            notes.append(f"component {name}: an imported Lambda needs AWS's launcher, which is closed source: not run")
        elif name != nucleus.component:
            if not nucleus.lambdas:
                raise InvalidDefinitionError(f"component {name}: nucleus lite does not run it")
            notes += [] if name in SERVED else [f"component {name}: an AWS component, not run here"]
    default = _merge(deployment.get(nucleus.component, {})).get("runWithDefault", {}).get("posixUser")
    accounts = {
        component.name: str(
            (nucleus.lambdas and deployment[component.name].get("runWith", {}).get("posixUser")) or default or ""
        )
        for component in components
    }
    provided = frozenset(deployment) & SERVED if nucleus.lambdas else frozenset[str]()
    return Plan(components=tuple(ordered(components, provided)), accounts=accounts, notes=tuple(notes))


def _deployment(file: Path) -> Mapping[str, Any]:
    """Return the components of a deployment by name."""
    hint = "Name the folder that edge-sim migrate -o wrote; if it is for several boards, add --profile NAME."
    try:
        document = JsonObject(loads(read_bytes(file)), "the deployment")
        if "components" not in document:
            raise ValueError("the deployment has no components")
        components = document.mapping("components")
    except ValueError as error:
        raise UsageError(f"{file}: {error}", hint=hint) from error
    for name, entry in components.items():
        if not isinstance(entry, Mapping):
            raise UsageError(f"{file}: component {name} is not an object", hint=hint)
    return components


def _recipe(file: Path) -> Any:
    try:
        return yaml.safe_load(read_bytes(file).decode("utf-8"))
    except RecursionError as error:
        raise UsageError(f"{file}: nested too deeply") from error
    except (ValueError, yaml.YAMLError) as error:
        raise UsageError(f"{file}: not YAML: {' '.join(str(error).split())}") from error


@contextlib.contextmanager
def running(
    plan: Plan, folder: Path, root: Path, nucleus: Nucleus, *, secrets: Mapping[str, str], packages: Path | None = None
) -> Iterator[RunningNucleus]:
    """Deploy to the board below ``root`` and run the components for as long as the block lasts.

    ``packages`` is a folder of Python packages that they find. Raises InvalidDefinitionError where the nucleus would
    fail the deployment, UnsupportedEnvironmentError where no other account reaches the root.
    """
    facts = probe(root)
    _check_reach(root)
    stands_in = [] if root == Path("/") else [_STANDS_IN]
    core = RunningNucleus(hub=Hub(secrets=secrets if nucleus.lambdas else None), notes=[*stands_in, *plan.notes])
    if not nucleus.lambdas and nucleus.owner not in facts.groups:
        core.notes.append(f"the board has no group {nucleus.owner}: artifacts keep their component's group")
    if os.geteuid() != 0:
        core.notes.append("not run as root: components run as this user, and owners are not set")
    values: dict[str, str] = {}
    for component in plan.components:
        owner = _account(facts, plan.accounts[component.name] or f"{nucleus.user}:{nucleus.group}", component)
        group = owner.gid if nucleus.lambdas else facts.groups.get(nucleus.owner, owner.gid)
        owners = (owner, layout.Owner(uid=owner.uid, gid=group)) if os.geteuid() == 0 else (None, None)
        core.notes += layout.lay(
            root, nucleus, component, folder / "components" / component.name / "artifacts", *owners
        )
        values |= _values(root, nucleus, component)
    with while_in_use("edge-sim-ipc-") as (place, _), contextlib.ExitStack() as stack:
        place.chmod(0o755)
        socket = place / "ipc.socket"
        stack.enter_context(serving(socket, core.hub))
        for component in plan.components:
            owner = _account(facts, plan.accounts[component.name] or f"{nucleus.user}:{nucleus.group}", component)
            groups = facts.supplementary(owner.uid, owner.gid)
            started = _Started(component, root, nucleus, values, owner, socket, packages, groups)
            stack.callback(started.stop)
            started.start(core)
        yield core


def _check_reach(root: Path) -> None:
    """Raise UnsupportedEnvironmentError where other accounts cannot reach the board's root from outside."""
    shut = [place for place in root.resolve().parents if not place.stat().st_mode & 0o001]
    if os.geteuid() == 0 and shut:
        message = f"{shut[0]} is not accessible to other accounts, so no component can open its files below {root}"
        raise UnsupportedEnvironmentError(message, hint=f"chmod o+x {shut[0]}, or use a root directory elsewhere.")


def _merge(entry: Mapping[str, Any]) -> dict[str, Any]:
    text = entry.get("configurationUpdate", {}).get("merge", "{}")
    update = json.loads(text)
    return update if isinstance(update, dict) else {}


def _account(facts: HostFacts, posix_user: str, component: NucleusComponent) -> layout.Owner:
    """Return the ids of ``user[:group]`` on the board. Raises InvalidDefinitionError where it has no such account."""
    user, _, group = posix_user.partition(":")
    known = facts.users.get(user)
    if known is None and not user.isdigit():
        message = f"component {component.name}: the board has no account {user}, which it runs as"
        raise InvalidDefinitionError(message, hint="Run board.sh on the board.")
    uid = known.uid if known else int(user)
    gid = facts.groups.get(group) if group and not group.isdigit() else int(group or (known.gid if known else uid))
    if gid is None:
        raise InvalidDefinitionError(
            f"component {component.name}: the board has no group {group}", hint="Run board.sh on the board."
        )
    return layout.Owner(uid=uid, gid=gid)


def _values(root: Path, nucleus: Nucleus, component: NucleusComponent) -> dict[str, str]:
    """Return a component's recipe variables."""
    packages = f"{nucleus.root}/packages"
    places = {
        "artifacts:path": f"{packages}/artifacts/{component.name}/{component.version}",
        "artifacts:decompressedPath": f"{packages}/artifacts-unarchived/{component.name}/{component.version}",
        "work:path": nucleus.work(component.name),
        "kernel:rootPath": nucleus.root,
    }
    values = {f"{component.name}:{key}": str(inside(root, place)) for key, place in places.items()}
    return {**values, f"{component.name}:iot:thingName": "edge-sim-core"}


class _Started:
    """One component's processes."""

    def __init__(
        self,
        component: NucleusComponent,
        root: Path,
        nucleus: Nucleus,
        values: Mapping[str, str],
        owner: layout.Owner,
        socket: Path,
        packages: Path | None,
        groups: tuple[int, ...],
    ) -> None:
        self._groups = groups
        self._component, self._root, self._nucleus, self._values, self._owner = component, root, nucleus, values, owner
        self._token = tokens.token_hex(16)
        self._scripts: list[Script] = []
        self._log = layout.ensure_directory(root, f"{nucleus.root}/logs") / f"{component.name}.log"
        self._environment = {
            "PATH": f"{Path(sys.executable).parent}:{_PATH}",
            **({"PYTHONPATH": str(packages)} if packages else {}),
            "HOME": str(inside(root, nucleus.work(component.name))),
            "AWS_IOT_THING_NAME": "edge-sim-core",
            "AWS_GG_NUCLEUS_DOMAIN_SOCKET_FILEPATH_FOR_COMPONENT": str(socket),
            "SVCUID": self._token,
            **{key: resolved(text, values, component, nucleus) for key, text in component.environment.items()},
        }

    def start(self, core: RunningNucleus) -> None:
        """Run install and startup to their end, and start run. Raises InvalidDefinitionError where one fails."""
        core.hub.clients[self._token] = IpcClient(
            name=self._component.name, configuration=self._component.configuration
        )
        for step in ("install", "startup"):
            if step in self._component.steps:
                self._to_its_end(step)
        core.logs[self._component.name] = self._log
        if "run" in self._component.steps:
            core.scripts[self._component.name] = self._script("run")

    def stop(self) -> None:
        """Run shutdown, and end every script with all that it has started."""
        with contextlib.suppress(InvalidDefinitionError):
            if "shutdown" in self._component.steps:
                self._to_its_end("shutdown")
        for script in reversed(self._scripts):
            script.end()

    def _to_its_end(self, step: str) -> None:
        status = self._script(step).wait(INSTALL_LIMIT_S)
        if status != 0:
            why = "did not end" if status is None else f"ended with status {status}"
            raise InvalidDefinitionError(f"component {self._component.name}: its {step} script {why}")

    def _script(self, step: str) -> Script:
        with self._log.open("ab") as log:
            script = Script(
                resolved(self._component.steps[step], self._values, self._component, self._nucleus),
                environment=self._environment,
                folder=inside(self._root, self._nucleus.work(self._component.name)),
                log=log,
                owner=self._owner if os.geteuid() == 0 else None,
                groups=self._groups,
            )
        self._scripts.append(script)
        return script
