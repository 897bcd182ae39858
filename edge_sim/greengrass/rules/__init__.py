"""The reasons for which Greengrass V1 refused a group, one function each, and what else is worth saying about one.

    rule.py       what a rule is            case.py   what it looks at        settings.py   limits, disputed readings
    resources, paths, models, packages, functions, start, system, attachments, versions, cores, sections, connectors
                                                                               look at the definition
    board, requirements, rights                                                look at a board as well
    reading       what the reader of definitions finds

A rule of phase ``create`` refuses the API call, one of ``deploy`` the deployment (in the cloud while Building, or on
the core), one of ``run`` the start of a function. Only errors refuse. docs/rules.md lists them all.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge_sim.facts import HostFacts
from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.rules import (
    attachments,
    board,
    connectors,
    cores,
    functions,
    models,
    packages,
    paths,
    reading,
    requirements,
    resources,
    rights,
    sections,
    start,
    system,
    versions,
)
from edge_sim.greengrass.rules.case import Case
from edge_sim.greengrass.rules.rule import Rule
from edge_sim.greengrass.rules.settings import DEFAULT, RuleSettings
from edge_sim.report import Finding
from edge_sim.versions import LATEST, Version, core_version

RULES: tuple[Rule, ...] = (
    *reading.RULES,
    *resources.RULES,
    *paths.RULES,
    *models.RULES,
    *packages.RULES,
    *functions.RULES,
    *start.RULES,
    *system.RULES,
    *attachments.RULES,
    *cores.RULES,
    *sections.RULES,
    *connectors.RULES,
    *versions.RULES,
    *board.RULES,
    *requirements.RULES,
    *rights.RULES,
)
"""The catalogue, in the order in which findings come."""
_BY_ID = {rule.id: rule for rule in RULES}


def check(
    group: Group,
    facts: HostFacts | None = None,
    *,
    version: Version | None = None,
    settings: RuleSettings = DEFAULT,
    others: Mapping[str, object] | None = None,
    partial: bool = False,
    mentions: Mapping[str, frozenset[str]] | None = None,
) -> list[Finding]:
    """Return what every rule says about ``group``, and with ``facts`` also what the rules about a board say.

    ``version`` is the core's; without it the board's counts, without both the newest. ``others`` are the lists of the
    group's other definitions, such as ``Subscriptions``. ``partial``: the resource definition was not given.
    ``mentions``: what the functions' code mentions, as a ``Case`` has it.
    """
    if version is None:
        version = core_version(facts.greengrass.version) if facts else LATEST
    case = Case(
        group=group,
        facts=facts,
        version=version,
        settings=settings,
        partial=partial,
        sections=others or {},
        mentions=mentions or {},
    )
    return [finding for rule in RULES for finding in rule.findings(case)]


def create_refusals(group: Group, others: Mapping[str, object] | None = None) -> list[Finding]:
    """Return what refuses the API calls that create the definitions of ``group``; ``others`` as in ``check``."""
    case = Case(group=group, partial=True, sections=others or {})
    refusing = (rule for rule in RULES if rule.phase == "create" and rule.severity == "error")
    return [finding for rule in refusing for finding in rule.findings(case)]


def refusals(
    group: Group, facts: HostFacts | None = None, *, others: Mapping[str, object] | None = None
) -> list[Finding]:
    """Return what refuses a deployment of ``group``: in the cloud, and with ``facts`` also on that board.

    ``others`` as in ``check``.
    """
    findings = (f for f in check(group, facts, others=others) if f.severity == "error" and f.phase != "run")
    return [f for f in findings if facts is not None or not _BY_ID[f.id].on_core]


def start_failures(group: Group, function: Function, facts: HostFacts) -> list[Finding]:
    """Return why the process of a deployed function does not start on a board."""
    attached = {policy.resource_id for policy in function.policies}
    findings = (f for f in check(group, facts) if f.severity == "error" and f.phase == "run")
    return [f for f in findings if f.function == function.id or (f.function is None and f.resource in attached)]


def by_id(rule_id: str) -> Rule | None:
    """Return the rule with this id, or None."""
    return _BY_ID.get(rule_id)
