"""What GROUP and ``--source URI=PATH`` give: the group, and where its models and its code lie on this machine.

A scenario says with which limits its packages are read; ``--limit`` and ``--links`` win.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge_sim.definitions.conditions import Choice
from edge_sim.definitions.reader import NO_CHOICE
from edge_sim.documents import unusable
from edge_sim.errors import UsageError, assert_never
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.resources import Resource, S3Model, SageMakerModel
from edge_sim.limits import LINKS_COPIED, Limits, Links
from edge_sim.scenario import Scenario, read, without_needs_of_runs


@dataclass(frozen=True, kw_only=True)
class PackageSource:
    """A folder to pack or an archive as it is. ``file_name`` is its name in S3, whose ending says the format."""

    path: Path
    file_name: str | None = None
    handler: str = ""
    runtime: str = ""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """A scenario and what the command line adds to it. ``packages``: by S3 URI, training job ARN or function ARN.

    ``limits`` are those of each package.
    """

    scenario: Scenario
    packages: Mapping[str, PackageSource] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)

    @property
    def group(self) -> Group:
        return self.scenario.definition.group

    @property
    def notes(self) -> list[str]:
        """What the definition does not say, and what was asked for that a core would not do."""
        copied = [LINKS_COPIED] if self.limits.links == "copy" else []
        return [*map(str, self.scenario.definition.notes), *copied]


def address(resource: Resource) -> str | None:
    """Return what a model resource points to: an S3 URI or a training job's ARN; None for other resources."""
    data = resource.model
    match data:
        case None:
            return None
        case S3Model():
            return data.s3_uri
        case SageMakerModel():
            return data.job_arn
        case _:
            return assert_never(data)


def read_inputs(
    path: Path,
    sources: Sequence[str] = (),
    limits: Sequence[str] = (),
    links: Links | None = None,
    choice: Choice = NO_CHOICE,
    *,
    faulty: bool = False,
) -> Inputs:
    """Read GROUP, the ``URI=PATH`` pairs, the limits ``NAME=NUMBER``, and how links are handled.

    ``faulty``: take a definition with faults as far as it could be read, and a scenario that lacks what only a run
    needs. A scenario that cannot be read is not taken: all that it names would be missed.

    Raises UsageError for a path or pair that leads nowhere and for what is no limit, InvalidDefinitionError for a
    definition or scenario that cannot be read.
    """
    scenario = read(path, choice=choice)
    if scenario.fault is not None:
        raise scenario.fault
    if faulty:
        scenario = without_needs_of_runs(scenario)
    else:
        scenario.definition.refuse(scenario.definition.errors)
    scenario.definition.require_values()
    own = inputs_of(scenario)
    group = scenario.definition.group
    known = [a for a in (*map(address, group.resources), *(f.arn for f in group.functions)) if a]
    packages = {**own.packages, **dict(_pair(text, known) for text in sources)}
    return replace(own, packages=packages, limits=scenario.packages.changed(limits, links))


def inputs_of(scenario: Scenario) -> Inputs:
    """Return a scenario as inputs, with nothing from a command line."""
    return Inputs(scenario=scenario, packages=_of_scenario(scenario), limits=scenario.packages)


def _of_scenario(scenario: Scenario) -> dict[str, PackageSource]:
    packages = {}
    for source in scenario.sources:
        if source.path is not None:
            name = (source.object_uri or "").rpartition("/")[2]
            packages[source.address] = PackageSource(path=source.path, file_name=name or None)
    for code in scenario.code:
        packages[code.function_arn] = PackageSource(path=code.folder, handler=code.handler, runtime=code.runtime)
    return packages


def _pair(text: str, known: Sequence[str]) -> tuple[str, PackageSource]:
    """Read one ``URI=PATH``; URIs and paths may hold ``=``, so the known addresses decide where it is split."""
    for uri in known:
        if text.startswith(f"{uri}="):
            path = Path(text[len(uri) + 1 :])
            if not (path.is_dir() or path.is_file()):
                raise UsageError(f"--source {text}: {path}: {unusable(path)}")
            name = uri.rpartition("/")[2] if uri.startswith("s3://") else None if path.is_dir() else path.name
            return uri, PackageSource(path=path, file_name=name)
    hint = f"The group refers to {', '.join(known)}." if known else "The group has neither models nor functions."
    raise UsageError(f"--source {text}: the group refers to no such address", hint=hint)
