"""What one deployment carries to a core."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from edge_sim.greengrass.functions import (
    DefaultConfig,
    Function,
    FunctionCode,
    IsolationMode,
    ResourceAccessPolicy,
)
from edge_sim.greengrass.resources import Resource
from edge_sim.greengrass.subscriptions import Subscription

_ARTIFACTS = uuid.uuid5(uuid.NAMESPACE_URL, "https://aws.amazon.com/greengrass/artifacts")


def artifact_id(owner: str, sha256: str) -> uuid.UUID:
    """Return the id of a package: same resource or function, same content, same id and so the same place."""
    return uuid.uuid5(_ARTIFACTS, f"{owner}\n{sha256}")


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A model package as the cloud copied it at Building time. ``arn`` ends in a UUID made from its content."""

    arn: str
    sha256: str
    size: int
    file_name: str

    @property
    def id(self) -> str:
        """The UUID at the end of the ARN: the name of the directory that the model is unpacked to."""
        return self.arn.rsplit("/", 1)[-1]


@dataclass(frozen=True, kw_only=True)
class Core:
    """The one core of a group."""

    id: str
    thing_arn: str
    certificate_arn: str

    @property
    def thing_name(self) -> str:
        return self.thing_arn.rsplit("/", 1)[-1]


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group version with every definition it refers to, resolved.

    ``code`` is keyed by function id, ``artifacts`` by resource id; both are empty until the cloud has built the
    deployment.
    """

    arn: str = ""
    core: Core | None = None
    resources: tuple[Resource, ...] = ()
    functions: tuple[Function, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    default_config: DefaultConfig = field(default_factory=DefaultConfig)
    code: Mapping[str, FunctionCode] = field(default_factory=dict)
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)

    def resource(self, resource_id: str) -> Resource | None:
        """Return the resource with this id, or None."""
        return self._by_id.get(resource_id)

    @cached_property
    def _by_id(self) -> Mapping[str, Resource]:
        return {resource.id: resource for resource in reversed(self.resources)}  # the first of a doubled id counts

    def isolation_mode(self, function: Function) -> IsolationMode:
        """Return the mode a function runs in: its own, else the group's, else GreengrassContainer."""
        return function.isolation_mode or self.default_config.isolation_mode or "GreengrassContainer"

    def attached(self, function: Function) -> tuple[tuple[Resource, ResourceAccessPolicy], ...]:
        """Return the existing resources that a function's policies name, in the definition's order."""
        pairs = ((self.resource(p.resource_id), p) for p in function.policies)
        return tuple((r, p) for r, p in pairs if r is not None)
