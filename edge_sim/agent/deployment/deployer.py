"""Lays a deployment out on the board: everything is fetched, unpacked and checked first, then changed over at once.

The core's own rules come before anything is touched; packages that did not change stay where they are; what the new
group no longer has goes in the same step (``changeover`` makes it all or nothing), and what is not a deployment's
stays (``belongings``). How the result must look, path by path, is the business of ``greengrass.plan``. Texts of
failures follow V1's (gg-troubleshooting.md, ml-console.md).
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_sim.agent.archives import Limits
from edge_sim.agent.deployment import secrets
from edge_sim.agent.deployment.changeover import Changeover, exclusive
from edge_sim.agent.deployment.packages import Fetch, packages, sources
from edge_sim.agent.deployment.preparation import DeploymentResult, Means, Preparation
from edge_sim.agent.deployment.secrets import FetchSecret
from edge_sim.agent.events import Progress
from edge_sim.agent.host import Host, HostError
from edge_sim.agent.rooted import inside
from edge_sim.errors import InvalidDefinitionError, UnsupportedEnvironmentError
from edge_sim.facts import HostFacts
from edge_sim.greengrass import groupfile, rules
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.tree import Tree

__all__ = ["DeploymentResult", "deploy", "group_of", "refuse"]


def deploy(
    group: Group,
    document: Mapping[str, Any],
    root: Path,
    facts: HostFacts,
    host: Host,
    fetch: Fetch,
    *,
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
    fetch_secret: FetchSecret | None = None,
    owners_required: bool = False,
    renewed: Collection[str] = (),
    progress: Progress = lambda _: None,
) -> DeploymentResult:
    """Carry out the deployment ``document`` (``Group``, ``Artifacts``, ``Secrets``) on the board below ``root``.

    ``group`` is the document's (``group_of``); ``facts`` were probed with its ``paths_of_interest``; for the options
    see ``Means``. Without ``fetch_secret`` no secret is brought: the board keeps those that it has. On any failure the
    board is as it was:
    InvalidDefinitionError (a rule or an archive refuses), HttpError, HostError, UnsupportedEnvironmentError (no
    space, no key for secrets, another deployment at work, something in the way).
    """
    refuse(group, facts)
    required = packages(group, facts)
    urls = sources(document, required)
    root = root.resolve()
    gg = inside(root, facts.greengrass.root)
    means = Means(
        root=root,
        facts=facts,
        host=host,
        fetch=fetch,
        limits=limits,
        owners_required=owners_required,
        renewed=renewed,
        progress=progress,
    )
    sealed = secrets.sealed(group, document, root, facts.greengrass.root, fetch_secret) if fetch_secret else None

    def stage(changeover: Changeover) -> DeploymentResult:
        result = Preparation(means, changeover).stage(group, required, urls, group_file(document["Group"]))
        secrets.stage(changeover, group, sealed)
        return result

    try:
        with exclusive(gg):
            return _carry_out(stage, Changeover(gg), host, facts)
    except OSError as error:
        raise UnsupportedEnvironmentError(
            f"{error.filename or gg}: the deployment cannot be put in place: {error.strerror}"
        ) from error


def group_of(document: Mapping[str, Any]) -> Group:
    """Return the group that a deployment document is about. Raises InvalidDefinitionError."""
    body = document.get("Group")
    if not isinstance(body, Mapping):
        raise InvalidDefinitionError("the deployment document has no Group")
    return groupfile.decode(body)


def group_file(body: Mapping[str, Any]) -> bytes:
    """Return what group.json holds for a deployment's ``Group``."""
    return json.dumps(body, indent=2).encode() + b"\n"


def _carry_out(
    stage: Callable[[Changeover], DeploymentResult], changeover: Changeover, host: Host, facts: HostFacts
) -> DeploymentResult:
    """Stage a deployment and change over, unless nothing has to change; a failure on the way leaves no trace."""
    try:
        result = stage(changeover)
        if changeover.empty and not result.changed:
            changeover.close()
            return result
        changeover.run(lambda relative: host.sync(posixpath.join(facts.greengrass.root, relative)))
    except BaseException:
        changeover.close()
        raise
    notes = (*result.not_proven, *_last_sync(host, facts), *changeover.tidy())
    return replace(result, changed=True, not_proven=notes)


def refuse(group: Group, facts: HostFacts) -> None:
    """Raise InvalidDefinitionError with the first reason for which the core refuses this group on this board."""
    for finding in rules.refusals(group, facts):
        raise InvalidDefinitionError(finding.aws_text or finding.message, hint=finding.hint)


def _last_sync(host: Host, facts: HostFacts) -> list[str]:
    """Bring group.json's name to the disk. The deployment stands already: a failure is said, not undone."""
    try:
        host.sync(Tree(facts.greengrass.root).group)
    except HostError as error:
        return [f"this deployment may not survive a power cut: {error}"]
    return []
