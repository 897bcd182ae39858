"""What is looked at: a group, the board that it leaves, a board that it goes to, and the nucleus there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from edge_sim.arns import NOWHERE, pattern
from edge_sim.facts import HostFacts
from edge_sim.greengrass.functions import Function, is_system_function
from edge_sim.greengrass.model import text
from edge_sim.greengrass.plan import Content
from edge_sim.greengrass.resources import Resource
from edge_sim.greengrass.rules.case import Case
from edge_sim.greengrass.rules.sections import entries
from edge_sim.greengrass.tree import Tree
from edge_sim.v2.nucleus import CLASSIC, Nucleus

CODE_PATTERNS: Mapping[str, str] = {
    "shadow": r"(?:get|update|delete)_?[tT]hing_?[sS]hadow",
    "publish": r"\.publish\s*\(",
    "prefix": r"AWS_GG_RESOURCE_PREFIX",
    "v1-paths": r"/greengrass/ggc|(?:localhost|127\.0\.0\.1):8000",
    "stream-manager": r"stream_?manager|StreamManagerClient",
    "secrets": r"get_secret_value|getSecretValue",
    "programs": r"\bsubprocess\b|child_process|os\.(?:system|exec|spawn)",
    "memory": r"^\s*global \w",
}
"""What is looked for in the functions' code. A match is a hint that code does something, and no proof."""
_SYSTEM_NAME = re.compile(pattern("lambda", r"function:(GG\w+)(?::[\w$-]+)?", NOWHERE))
End = Literal["cloud", "shadow", "function", "connector", "device", "stranger"]


@dataclass(frozen=True, kw_only=True)
class PackageFacts:
    """What is known of the package of a model or of a function's code. Sizes are in bytes.

    ``links`` are links in it, as ``name -> target``. ``problem`` is why it cannot be packed again, if so.
    """

    file_name: str
    size: int = 0
    unpacked: int = 0
    contents: tuple[Content, ...] = ()
    links: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def executables(self) -> tuple[str, ...]:
        return tuple(content.path for content in self.contents if content.executable and content.type == "file")


@dataclass(frozen=True, kw_only=True)
class Route:
    """One subscription with the kinds of its two ends; ``source`` and ``target`` are as the group has them."""

    path: str
    id: str
    source: str
    source_kind: End
    subject: str
    target: str
    target_kind: End


@dataclass(frozen=True, kw_only=True)
class Move(Case):
    """A group on its way. ``facts`` is the board that it leaves, ``to`` the one that it goes to; None: not known.

    ``models`` and ``code_packages`` are packages by resource and function Id, ``uses`` the names of
    ``CODE_PATTERNS`` that each function's code matches; a function is missing where its code is not at hand.
    ``published`` are the topics by function ARN on which a run saw messages that no subscription takes, ``written`` the
    paths in models that it saw written, by function and resource Id. ``config`` is the core's config.json, empty where
    it was not given. ``bucket`` is where artifacts will be.
    """

    nucleus: Nucleus = CLASSIC
    to: HostFacts | None = None
    models_known: Mapping[str, PackageFacts] = field(default_factory=dict)
    code_known: Mapping[str, PackageFacts] = field(default_factory=dict)
    uses: Mapping[str, frozenset[str]] = field(default_factory=dict)
    published: Mapping[str, frozenset[str]] = field(default_factory=dict)
    written: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    config: Mapping[str, object] = field(default_factory=dict)
    bucket: str | None = None
    include_values: bool = False
    """Write values that seem to be secrets."""

    @property
    def old_tree(self) -> Tree:
        """The tree of the core on the board that the group leaves."""
        return Tree((self.facts or HostFacts(architecture="", operating_system="")).greengrass.root)

    @cached_property
    def own_functions(self) -> tuple[Function, ...]:
        """The user's functions: those that are no part of the core."""
        return tuple(f for f in self.group.functions if not is_system_function(f.arn) or self.native(f))

    @cached_property
    def system(self) -> Mapping[str, Function]:
        """The functions of the core that the group configures, by name: ``GGIPDetector``."""
        matches = ((_SYSTEM_NAME.fullmatch(function.arn), function) for function in self.group.functions)
        return {match[1]: function for match, function in matches if match}

    def configuration(self, function: Function) -> Mapping[str, object] | None:
        """Return a function's configuration as the definition has it, None where only its values are known."""
        entry = self._written.get(function.path)
        settings = entry.get("FunctionConfiguration") if entry else None
        return settings if isinstance(settings, Mapping) else None

    @cached_property
    def _written(self) -> Mapping[str, Mapping[str, object]]:
        return dict(entries(self, "Functions"))

    def models_of(self, function: Function) -> tuple[Resource, ...]:
        """Return the models attached to a function."""
        return tuple(resource for resource, _ in self.group.attached(function) if resource.model)

    def users_of(self, resource: Resource) -> tuple[Function, ...]:
        """Return the functions that a resource is attached to."""
        return tuple(f for f in self.group.functions if any(p.resource_id == resource.id for p in f.policies))

    def code_uses(self, what: str) -> Iterator[Function]:
        """Yield the functions whose code is at hand and matches a pattern."""
        return (function for function in self.own_functions if what in self.uses.get(function.id, ()))

    @cached_property
    def routes(self) -> tuple[Route, ...]:
        """The subscriptions."""
        return tuple(
            Route(
                path=path,
                id=str(entry.get("Id")),
                source=(source := text(entry.get("Source")) or ""),
                source_kind=self.end(source),
                subject=text(entry.get("Subject")) or "",
                target=(target := text(entry.get("Target")) or ""),
                target_kind=self.end(target),
            )
            for path, entry in entries(self, "Subscriptions")
        )

    def end(self, name: str) -> End:
        """Return what kind of thing a subscription's source or target is."""
        if name == "cloud":
            return "cloud"
        if name == "GGShadowService" or "function:GGShadowService" in name:
            return "shadow"
        if name in self.by_arn:
            return "function"
        if ":/connectors/" in name:
            return "connector"
        return "device" if ":thing/" in name else "stranger"

    @cached_property
    def by_arn(self) -> Mapping[str, Function]:
        return {function.arn: function for function in self.group.functions}
