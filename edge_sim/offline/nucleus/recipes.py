"""A recipe as each nucleus reads it: classic without regard to case, lite exactly; its manifest and variables.

Sources: the recipe reference; RECIPE_SUPPORT_CHANGES.md of aws-greengrass-lite. What a nucleus refuses raises
InvalidDefinitionError with that reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_sim import s3
from edge_sim.errors import InvalidDefinitionError
from edge_sim.v2.nucleus import Nucleus

STEPS = ("install", "run", "startup", "shutdown")
_VARIABLE = re.compile(r"\{(?:([\w.-]+):)?(artifacts|work|kernel|iot|configuration):([^{}\s]+)\}")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "aarch64", "armv7l": "arm", "armv6l": "arm"}


@dataclass(frozen=True, kw_only=True)
class ComponentArtifact:
    """One file of a component. ``read`` and ``execute`` are what its Permission says."""

    file: str
    unpacked: bool
    read: str
    execute: str


@dataclass(frozen=True, kw_only=True)
class NucleusComponent:
    """A component as a nucleus takes it. ``steps`` are scripts by name, ``environment`` is Setenv's."""

    name: str
    version: str
    configuration: Mapping[str, Any] = field(default_factory=dict)
    dependencies: Mapping[str, bool] = field(default_factory=dict)
    """By name, and whether each is HARD."""
    artifacts: tuple[ComponentArtifact, ...] = ()
    steps: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    """Steps that this nucleus leaves out."""


def read_component(recipe: Mapping[str, Any], nucleus: Nucleus, architecture: str) -> NucleusComponent:
    """Return what a nucleus on a board of ``architecture`` makes of a recipe."""
    look = _Reader(exact=not nucleus.lambdas)
    name, version = str(look(recipe, "ComponentName") or ""), str(look(recipe, "ComponentVersion") or "")
    if not nucleus.lambdas and str(look(recipe, "ComponentType") or "generic").rpartition(".")[2] != "generic":
        raise InvalidDefinitionError(f"component {name}: nucleus lite supports only generic components")
    manifests = look(recipe, "Manifests") or []
    manifest = next((manifest for manifest in manifests if _fits(look, manifest, nucleus, architecture)), None)
    if manifest is None:
        raise InvalidDefinitionError(
            f"component {name}: no manifest fits linux on {architecture}, nucleus {nucleus.name}"
        )
    lifecycle = look(manifest, "Lifecycle") or {}
    default = look(look(recipe, "ComponentConfiguration") or {}, "DefaultConfiguration") or {}
    dependencies = look(recipe, "ComponentDependencies") or {}
    ignored = () if nucleus.lambdas else ("shutdown",)
    steps = {step: _script(look, look(lifecycle, step)) for step in STEPS if look(lifecycle, step)}
    return NucleusComponent(
        name=name,
        version=version,
        configuration=default,
        dependencies={name: str(look(how, "DependencyType") or "HARD") == "HARD" for name, how in dependencies.items()},
        artifacts=tuple(_artifacts(look, look(manifest, "Artifacts") or [], name)),
        steps={step: script for step, script in steps.items() if step not in ignored},
        environment={key: str(value) for key, value in (look(lifecycle, "Setenv") or {}).items()},
        ignored=tuple(step for step in ignored if step in steps),
    )


def ordered(components: Sequence[NucleusComponent], provided: frozenset[str]) -> list[NucleusComponent]:
    """Return components with dependencies first. ``provided`` are those of AWS's that stand in.

    Raises InvalidDefinitionError for a dependency that is not deployed, or a circle of them.
    """
    by_name = {component.name: component for component in components}
    done: dict[str, NucleusComponent] = {}

    def take(component: NucleusComponent, above: tuple[str, ...]) -> None:
        if component.name in above:
            raise InvalidDefinitionError(f"circular dependencies: {' → '.join((*above, component.name))}")
        for name, hard in component.dependencies.items():
            if name in by_name and name not in done:
                take(by_name[name], (*above, component.name))
            elif name not in by_name and name not in provided and hard:
                raise InvalidDefinitionError(f"component {component.name} needs {name}, which is not deployed")
        done[component.name] = component

    for component in components:
        if component.name not in done:
            take(component, ())
    return list(done.values())


def resolved(text: str, values: Mapping[str, str], of: NucleusComponent, nucleus: Nucleus) -> str:
    """Return a lifecycle's text with its variables' ``values``; classic knows those of direct dependencies as well."""

    def value(match: re.Match[str]) -> str:
        owner, key = match[1], f"{match[2]}:{match[3]}"
        if owner and not nucleus.lambdas:
            raise InvalidDefinitionError(
                f"component {of.name}: nucleus lite resolves no variable of another component: {match[0]}"
            )
        if owner and owner not in of.dependencies:
            raise InvalidDefinitionError(f"component {of.name}: {match[0]} does not belong to a direct dependency")
        if match[2] == "configuration":
            return str(pointer(of.configuration, match[3], match[0]))
        return values.get(f"{owner or of.name}:{key}", match[0])

    return _VARIABLE.sub(value, text)


def pointer(configuration: Any, path: str, default: object = None) -> object:
    """Return the value at a JSON pointer, ``default`` where there is none."""
    value = configuration
    for part in path.strip("/").split("/") if path.strip("/") else ():
        value = value.get(part) if isinstance(value, Mapping) else None
    return default if value is None else value


def merged(base: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration with a deployment's merge over it."""
    result = dict(base)
    for key, value in update.items():
        before = result.get(key)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        result[key] = merged(before, value) if both else value  # type: ignore[arg-type]
    return result


class _Reader:
    """Looks a member up: exactly, or without regard to case."""

    def __init__(self, *, exact: bool) -> None:
        self._exact = exact

    def __call__(self, holder: Any, key: str) -> Any:
        if not isinstance(holder, Mapping):
            return None
        if self._exact:
            return holder.get(key)
        return next((value for name, value in holder.items() if str(name).lower() == key.lower()), None)


def _fits(look: _Reader, manifest: Any, nucleus: Nucleus, architecture: str) -> bool:
    platform = look(manifest, "Platform") or {}
    runtime = look(platform, "runtime")
    if not nucleus.lambdas and runtime not in ("*", "aws_nucleus_lite"):
        return False
    board = {"os": "linux", "architecture": _ARCHITECTURES.get(architecture, architecture)}
    return all(_matches(look(platform, key), has, exact=not nucleus.lambdas) for key, has in board.items())


def _matches(pattern: Any, has: str, *, exact: bool) -> bool:
    if pattern in (None, "*", has):
        return True
    regex = isinstance(pattern, str) and pattern.startswith("/") and pattern.endswith("/") and not exact
    return regex and re.fullmatch(pattern[1:-1], has) is not None


def _script(look: _Reader, step: Any) -> str:
    return step if isinstance(step, str) else str(look(step, "Script") or "")


def _artifacts(look: _Reader, artifacts: Any, name: str) -> Iterator[ComponentArtifact]:
    for artifact in artifacts:
        uri = str(look(artifact, "Uri") or "")
        unarchive = look(artifact, "Unarchive") or "NONE"
        if unarchive not in ("NONE", "ZIP"):
            raise InvalidDefinitionError(f"component {name}: Unarchive {unarchive}: a nucleus unpacks ZIP only")
        if s3.of_uri(uri) is None:
            raise InvalidDefinitionError(f"component {name}: {uri!r}: a nucleus fetches s3://bucket/key")
        permission = look(artifact, "Permission") or {}
        yield ComponentArtifact(
            file=uri.rpartition("/")[2],
            unpacked=unarchive == "ZIP",
            read=str(look(permission, "Read") or "OWNER"),
            execute=str(look(permission, "Execute") or "NONE"),
        )
