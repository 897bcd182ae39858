"""The kinds of thing that have immutable versions here: the seven families of definitions, and groups.

Refused at create is only what AWS refused there; the rest is a matter of the deployment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from edge_sim.greengrass import parse, rules
from edge_sim.greengrass.families import FAMILIES, Family, Texts
from edge_sim.report import Finding

_DETAILED = re.compile(r"(.*) \(ErrorDetails: \[(.*)\]\)", re.DOTALL)
_AS_AWS_LISTS_THEM = ("core", "functions", "resources", "devices", "subscriptions", "connectors", "loggers")

Content = Mapping[str, Any]
Exists = Callable[["Kind", str], bool]
"""Whether there is a version of a kind with an ARN."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind: ``name`` in operations and members, ``path`` in URIs and ARNs, ``listed`` the member of its lists.

    ``store`` is its kind of document, ``members`` what a version holds, ``empty`` what every version has. ``problems``
    returns why a version's content is refused.
    """

    name: str
    path: str
    store: str
    listed: str
    members: tuple[str, ...]
    empty: Content
    texts: Texts
    problems: Callable[[Content, Exists], list[str]]

    @property
    def id(self) -> str:
        """The parameter that holds its id."""
        return f"{self.name}Id"

    @property
    def version_id(self) -> str:
        """The parameter that holds the id of a version."""
        return f"{self.name}VersionId"

    @property
    def reference(self) -> str:
        """The member of a group's version that holds the ARN of one of its versions."""
        return f"{self.name}VersionArn"


def _of_family(word: str, family: Family) -> Kind:
    return Kind(
        name=f"{family.kind}Definition",
        path=f"definition/{family.member.lower()}",
        store=family.member.lower(),
        listed="Definitions",
        members=tuple(family.shape),
        empty={family.member: []},
        texts=family.texts,
        problems=partial(_problems, word, family),
    )


def _problems(word: str, family: Family, content: Content, _exists: Exists) -> list[str]:
    group, faults = parse.group({word: content})
    refusals = rules.create_refusals(group, {family.member: content.get(family.member, [])})
    create = (f for f in chain(*faults.values(), refusals) if f.phase == "create")
    return list(_details(f for f in create if f.severity in ("error", "unknown")))


def _details(findings: Iterable[Finding]) -> Iterable[str]:
    """Yield what stands in ErrorDetails: AWS's text without its frame, or ours."""
    for finding in findings:
        text = finding.aws_text or finding.message
        match = _DETAILED.fullmatch(text)
        yield match[2] if match else text


def _missing_references(content: Content, exists: Exists) -> list[str]:
    return [
        f"{kind.texts.reference} definition reference does not exist"
        for kind in map(FAMILY_KINDS.__getitem__, _AS_AWS_LISTS_THEM)
        if content.get(kind.reference) is not None and not exists(kind, content[kind.reference])
    ]


FAMILY_KINDS: Mapping[str, Kind] = {word: _of_family(word, family) for word, family in FAMILIES.items()}
"""The families' kinds, by their words in a bundle."""
GROUP = Kind(
    name="Group",
    path="groups",
    store="groups",
    listed="Groups",
    members=tuple(kind.reference for kind in FAMILY_KINDS.values()),
    empty={},
    texts=Texts(
        title="Group Definition", other="group definition", parent="group", invalid="The group is invalid or corrupted."
    ),
    problems=_missing_references,
)
KINDS = (*FAMILY_KINDS.values(), GROUP)
