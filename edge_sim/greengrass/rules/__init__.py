"""The reasons for which Greengrass V1 refused a group, one function each.

``CREATE`` holds what the API call refused, ``DEPLOY`` what the cloud refused while Building, ``CORE`` what the core
refused with the board before its eyes. A rule is a generator of findings over (group, facts); it knows nothing of
the others. This is the part of the catalogue that a deployment needs; docs/fidelity.md lists what is not a rule yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from edge_sim.facts import HostFacts
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.resources import Resource
from edge_sim.greengrass.rules import core, functions, models, resources
from edge_sim.report import Finding

CreateRule = Callable[[Resource], Iterator[Finding]]
DeployRule = Callable[[Group], Iterator[Finding]]
CoreRule = Callable[[Group, HostFacts], Iterator[Finding]]

CREATE: tuple[CreateRule, ...] = (resources.volume_under_sys, resources.device_outside_dev)
DEPLOY: tuple[DeployRule, ...] = (
    resources.identifiers,
    resources.unique_ids,
    resources.absolute_paths,
    resources.duplicate_devices,
    resources.one_destination_for_a_source,
    resources.proc_volumes,
    resources.shm_volumes,
    resources.duplicate_secrets,
    functions.unique_ids,
    functions.known_resources,
    functions.memory_size,
    functions.access_sysfs,
    functions.local_resources_need_a_container,
    functions.secret_permission,
    functions.resource_count,
    models.owner_is_whole,
    models.no_container_permission,
    models.permission_somewhere,
    models.permission_within_owner,
    models.nested_destinations,
    models.one_destination_each,
    models.package_name,
)
CORE: tuple[CoreRule, ...] = (
    core.accounts,
    core.ml_supported,
    core.owner_setting_version,
    core.groups_exist,
    core.sources_exist,
    core.root_functions,
    core.local_access,
    core.shared_group,
)


def check_resources(given: Sequence[Resource]) -> list[Finding]:
    """Return what the API refused when a resource definition was created."""
    return [finding for rule in CREATE for resource in given for finding in rule(resource)]


def check(group: Group, facts: HostFacts | None = None) -> list[Finding]:
    """Return what refuses a deployment: in the cloud, and with ``facts`` also on that board."""
    found = [*check_resources(group.resources), *(f for rule in DEPLOY for f in rule(group))]
    if facts is not None:
        found += [finding for core_rule in CORE for finding in core_rule(group, facts)]
    return found
