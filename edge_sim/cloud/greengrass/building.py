"""``Building``: a group version becomes what a core gets, or the reasons why it cannot.

Definitions → ``Group`` → the cloud's rules → packages copied to the artifact store → group.json. The wrapper around
the reasons is V1's own (greengrass-v1 facts 1.8); error codes that were never seen (``Rule.aws_code``) are made from
the rule's name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from edge_sim.cloud.greengrass.arns import Namespace
from edge_sim.cloud.greengrass.definitions import Definitions
from edge_sim.cloud.greengrass.function_code import FunctionCodes
from edge_sim.cloud.greengrass.kinds import FAMILY_KINDS
from edge_sim.cloud.protocol import ApiError
from edge_sim.cloud.sources import Sources
from edge_sim.cloud.store import Document
from edge_sim.errors import InvalidDefinitionError, assert_never
from edge_sim.greengrass import groupfile, parse, rules
from edge_sim.greengrass.families import FAMILIES
from edge_sim.greengrass.functions import Function, FunctionCode, is_system_function
from edge_sim.greengrass.group import Artifact, Core, Group, artifact_id
from edge_sim.greengrass.loggers import only_files
from edge_sim.greengrass.resources import LocalDevice, LocalVolume, Resource, S3Model, SageMakerModel, Secret
from edge_sim.report import Finding


@dataclass(frozen=True, kw_only=True)
class BuildProblem:
    """One reason why a group cannot be deployed."""

    code: str
    message: str
    hint: str | None = None


class BuildError(Exception):
    """A deployment cannot be built. ``message`` is the deployment's ErrorMessage, ``details`` its ErrorDetails.

    ``hint`` says what to do about the first reason that comes with one; AWS had nothing like it.
    """

    def __init__(self, problems: Sequence[BuildProblem]) -> None:
        models = ", ".join(f"ErrorModel(errorCode={p.code}, errorMsg={p.message})" for p in problems)
        self.message = (
            "We cannot deploy because the group definition is invalid or corrupted for the following reasons: "
            f"{{ErrorSet(errorSet=[{models}])}}"
        )
        self.details = [{"DetailedErrorCode": p.code, "DetailedErrorMessage": p.message} for p in problems]
        self.hint = next((p.hint for p in problems if p.hint), None)
        super().__init__(self.message)


@dataclass(frozen=True, kw_only=True)
class DeploymentContent:
    """What the deployment document is made of.

    ``files`` maps artifact ARNs to ``{"sha256", "size"}``, ``secrets`` resource ids to the secret's ARN and the ids of
    the versions to download; their values are not kept here. ``not_proven`` names what of the group is not simulated.
    """

    group: dict[str, object]
    files: dict[str, dict[str, object]]
    secrets: dict[str, dict[str, object]]
    not_proven: list[str] = field(default_factory=list)


class Builder:
    """Builds deployments from what the store, the sources and the function registry hold."""

    def __init__(self, definitions: Definitions, sources: Sources, codes: FunctionCodes, namespace: Namespace) -> None:
        self._definitions = definitions
        self._sources = sources
        self._codes = codes
        self._namespace = namespace

    def core(self, version: Mapping[str, Any]) -> Core | None:
        """Return the core of a group version, None for one without, or whose definition has been deleted."""
        kind = FAMILY_KINDS["core"]
        core_definition = self._definitions.resolve(kind, version["Definition"].get(kind.reference, ""))
        return parse.group({"core": core_definition or {}})[0].core

    def build(self, version: Mapping[str, Any], deployment_id: str) -> DeploymentContent:
        """Build a deployment of a group version; raises BuildError with every reason at once."""
        contents, problems = self._contents(version["Definition"])
        group, faults = parse.group(contents)
        group = replace(group, arn=version["Arn"])
        lists = {FAMILIES[word].member: content[FAMILIES[word].member] for word, content in contents.items()}
        problems += [_problem(f) for f in (*chain(*faults.values()), *rules.refusals(group, others=lists))]
        if problems:
            raise BuildError(problems)
        base = self._namespace.greengrass(f"groups/{version['Id']}/deployments/{deployment_id}/artifacts")
        artifacts: dict[str, Artifact] = {}
        code: dict[str, FunctionCode] = {}
        secrets: dict[str, dict[str, object]] = {}
        for resource in group.resources:
            problems += self._resolve(resource, base, artifacts, secrets)
        for function in group.functions:
            problems += self._code(function, base, code)
        if problems:
            raise BuildError(problems)
        complete = replace(group, artifacts=artifacts, code=code)
        files = {a.arn: {"sha256": a.sha256, "size": a.size} for a in artifacts.values()}
        files |= {c.artifact_arn: {"sha256": c.sha256, "size": c.size} for c in code.values()}
        return DeploymentContent(
            group=groupfile.encode(complete, region=self._namespace.region),
            files=files,
            secrets=secrets,
            not_proven=[
                f"the group's {FAMILIES[word].member.lower()} are not simulated"
                for word, content in contents.items()
                if word not in faults and content[FAMILIES[word].member] and not only_files(content)
            ],
        )

    def secret_value(self, secret: Mapping[str, Any]) -> dict[str, object]:
        """Return the values of one of ``Built.secrets``; raises ApiError when they are gone."""
        try:
            return self._sources.secret_value(secret["arn"], secret["versions"])
        except InvalidDefinitionError as error:
            raise ApiError("ResourceNotFoundException", error.brief, 404) from error

    def empty(self, version: Mapping[str, Any]) -> DeploymentContent:
        """Return what a reset sends: the group with its core and nothing else. Its form is inferred."""
        bare = Group(arn=version["Arn"], core=self.core(version))
        return DeploymentContent(group=groupfile.encode(bare, region=self._namespace.region), files={}, secrets={})

    def _contents(self, references: Mapping[str, str]) -> tuple[dict[str, Document], list[BuildProblem]]:
        """Return the definitions that a group version refers to, and a problem for each that has been deleted."""
        kinds = {word: kind for word, kind in FAMILY_KINDS.items() if kind.reference in references}
        contents = {word: self._definitions.resolve(kind, references[kind.reference]) for word, kind in kinds.items()}
        missing = [
            BuildProblem(
                code="DEFINITION_NOT_FOUND_ERROR",
                message=f"{kinds[word].texts.reference} definition reference does not exist",
                hint=f"The definition that {kinds[word].reference} names has been deleted: create a new group version.",
            )
            for word, content in contents.items()
            if content is None
        ]
        return {word: content for word, content in contents.items() if content is not None}, missing

    def _resolve(
        self, resource: Resource, base: str, artifacts: dict[str, Artifact], secrets: dict[str, dict[str, object]]
    ) -> Iterator[BuildProblem]:
        data = resource.data
        try:
            match data:
                case LocalDevice() | LocalVolume():
                    pass
                case S3Model() | SageMakerModel():
                    package = self._sources.package(resource, data)
                    artifacts[resource.id] = Artifact(
                        arn=f"{base}/mlmodel/{artifact_id(resource.id, package.file.sha256)}",
                        sha256=package.file.sha256,
                        size=package.file.size,
                        file_name=package.file_name,
                    )
                case Secret():
                    versions = self._sources.secret_versions(resource, data)
                    secrets[resource.id] = {"arn": data.arn, "versions": list(versions)}
                case _:
                    assert_never(data)
        except InvalidDefinitionError as error:
            yield BuildProblem(code="RESOURCE_NOT_AVAILABLE_ERROR", message=error.brief, hint=error.hint)

    def _code(self, function: Function, base: str, code: dict[str, FunctionCode]) -> Iterator[BuildProblem]:
        if is_system_function(function.arn):
            return
        published = self._codes.get(function.arn)
        if published is None:
            text = f"Function {function.arn} has no code in this cloud: register it with PUT /edge-sim/functions"
            yield BuildProblem(code="FUNCTION_NOT_FOUND_ERROR", message=text)
            return
        code[function.id] = FunctionCode(
            artifact_arn=f"{base}/lambda/{artifact_id(function.id, published.sha256)}",
            handler=published.handler,
            runtime=published.runtime,
            sha256=published.sha256,
            size=published.size,
        )


def _problem(finding: Finding) -> BuildProblem:
    rule = rules.by_id(finding.id)
    code = (rule and rule.aws_code) or f"{finding.id.upper().replace('-', '_')}_ERROR"
    return BuildProblem(code=code, message=finding.aws_text or finding.message, hint=finding.hint)
