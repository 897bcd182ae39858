"""What the rules look at: a group, perhaps a board, the core's version, and each question answered once.

Everything is found in one pass over the definition: 200 functions with 200 resources each are 40,000 attachments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypeVar

from edge_sim.arns import NOWHERE, pattern
from edge_sim.errors import InvalidDefinitionError
from edge_sim.facts import HostFacts
from edge_sim.greengrass.functions import Function, ResourceAccessPolicy
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.process import Identity, identity
from edge_sim.greengrass.resources import Resource, ResourceData
from edge_sim.greengrass.rules.settings import DEFAULT, RuleSettings
from edge_sim.versions import LATEST, Version

_Data = TypeVar("_Data", bound=ResourceData)
EXECUTABLE = re.compile(pattern("greengrass", "runtime/function/executable", NOWHERE))
"""The Lambda runtime of native executables (lambda-functions.md); as a FunctionArn it is taken, with a warning."""


class Attachment(NamedTuple):
    """A resource attached to a function by the policy at ``at``.

    ``number`` is the function's place in the group; ``contained``: it runs in a container.
    """

    function: Function
    resource: Resource
    policy: ResourceAccessPolicy
    at: int
    number: int
    contained: bool

    @property
    def path(self) -> str:
        """The JSON path of the policy."""
        return policy_path(self.function, self.at)


def policy_path(function: Function, index: int) -> str:
    """Return the JSON path of one of a function's ResourceAccessPolicies."""
    return f"{environment_path(function)}.ResourceAccessPolicies[{index}]"


def environment_path(function: Function) -> str:
    """Return the JSON path of a function's Environment."""
    return f"{function.path}.FunctionConfiguration.Environment"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One group to be judged. ``facts`` is None when no board is known; ``version`` is then what was asked for.

    ``partial``: the group's resource definition was not given, and may be elsewhere. ``sections`` holds the lists of a
    group's other definitions (``Devices``, ``Subscriptions``) as the API has them. ``mentions`` says by function Id
    which of its models' paths, and whether AWS_GG_RESOURCE_PREFIX, the files of its code mention; a function is missing
    where its code is not at hand.
    """

    group: Group
    facts: HostFacts | None = None
    version: Version = LATEST
    settings: RuleSettings = DEFAULT
    partial: bool = False
    sections: Mapping[str, object] = field(default_factory=dict)
    mentions: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def contained(self, function: Function) -> bool:
        """Return whether a function runs in a container."""
        return self.group.isolation_mode(function) == "GreengrassContainer"

    def asked_uid(self, function: Function) -> int | None:
        """Return the UID that the definition asks for: the function's own, else the group's; None means ggc_user."""
        own = function.run_as.uid
        return self.group.default_config.run_as.uid if own is None else own

    def asked_gid(self, function: Function) -> int | None:
        """Return the GID that the definition asks for, as ``asked_uid`` does; None means ggc_group."""
        own = function.run_as.gid
        return self.group.default_config.run_as.gid if own is None else own

    def runtime(self, function: Function) -> str:
        """Return a function's Lambda runtime: as the group states it, else as its code has it; "" when not known."""
        code = self.group.code.get(function.id)
        return function.runtime_override or (code.runtime if code else "")

    def native(self, function: Function) -> bool:
        """Return whether a function is a native executable, as far as is known."""
        return bool(EXECUTABLE.fullmatch(self.runtime(function)) or EXECUTABLE.fullmatch(function.arn))

    @cached_property
    def attachments(self) -> tuple[Attachment, ...]:
        return tuple(self._attachments())

    @cached_property
    def local(self) -> tuple[Attachment, ...]:
        """Devices and volumes that are attached."""
        return tuple(a for a in self.attachments if a.resource.local)

    @cached_property
    def models(self) -> tuple[Attachment, ...]:
        """Machine-learning resources that are attached."""
        return tuple(a for a in self.attachments if a.resource.model)

    @cached_property
    def secrets(self) -> tuple[Attachment, ...]:
        return tuple(a for a in self.attachments if a.resource.secret)

    @cached_property
    def attached_ids(self) -> tuple[frozenset[str], ...]:
        """The resource Ids that each function names."""
        return tuple(frozenset(p.resource_id for p in f.policies) for f in self.group.functions)

    @cached_property
    def identities(self) -> tuple[Identity | InvalidDefinitionError | None, ...]:
        """Whose rights each function has on the board; the error where the board lacks the account."""
        return tuple(self._identity(function) for function in self.group.functions)

    def of_kind(self, kind: type[_Data]) -> Iterator[tuple[Resource, _Data]]:
        """Yield the group's resources of one kind, each with its data."""
        return ((r, r.data) for r in self.group.resources if isinstance(r.data, kind))

    def _attachments(self) -> Iterator[Attachment]:
        for number, function in enumerate(self.group.functions):
            contained = self.contained(function)
            for at, policy in enumerate(function.policies):
                resource = self.group.resource(policy.resource_id)
                if resource is not None:
                    yield Attachment(function, resource, policy, at, number, contained)

    def _identity(self, function: Function) -> Identity | InvalidDefinitionError | None:
        if self.facts is None:
            return None
        try:
            return identity(self.group, function, self.facts)
        except InvalidDefinitionError as error:
            return error
