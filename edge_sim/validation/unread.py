"""What of a definition could not be read, or is left open, so that no rule draws conclusions from its absence.

A silenced fault hides nothing else: the value that was taken is judged.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from edge_sim.definitions.definition import Definition, within
from edge_sim.greengrass.functions import ISOLATION_MODES, IsolationMode
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.resources import KINDS
from edge_sim.report import Finding

_INDEX = re.compile(r"\[\d+\]")
_ENVIRONMENT = ".FunctionConfiguration.Environment"
_OWN_MODE = f"{_ENVIRONMENT}.Execution.IsolationMode"
_DEFAULT_MODE = "$.DefaultConfig.Execution.IsolationMode"
_RESOURCE_IDS = ("$.Resources[].Id",)
_ATTACHED = (*_RESOURCE_IDS, f"$.Functions[]{_ENVIRONMENT}.ResourceAccessPolicies[].ResourceId")
_DEPENDS: Mapping[str, Collection[str]] = {
    "core-missing": ("$.Cores[]",),
    "unknown-resource": _RESOURCE_IDS,
    "unused-resource": (*_ATTACHED, "$.Connectors[].Parameters"),
    "shared-group": _ATTACHED,
    "shared-local-group": _ATTACHED,
    "subscription-unknown": (
        *("$.Cores[].ThingArn", "$.Devices[].ThingArn"),
        *("$.Functions[].FunctionArn", "$.Connectors[].ConnectorArn"),
    ),
}
"""The rules about what is nowhere in a definition, and where it may be unread."""
_OF_SECTIONS = ("core-missing", "resources-missing")
_RUN_AS = (f"$.Functions[]{_ENVIRONMENT}.Execution.RunAs", "$.DefaultConfig.Execution.RunAs")
_BY_IDENTITY = ("local-access", "shared-group", "shared-local-group")
_OWNERS = tuple(
    f"$.Resources[].ResourceDataContainer.{kind}.{member}"
    for kind in KINDS
    for member in ("OwnerSetting", "GroupOwnerSetting")
)
_BY_OWNER = ("local-access", "model-permission-missing")


class Unread:
    """The faults that the reader of a definition has named already, and what it calls unknown."""

    def __init__(self, definition: Definition) -> None:
        unread = (finding for finding in definition.findings if finding.severity in ("error", "unknown"))
        faults = [finding for finding in unread if definition.ignore_for(finding) is None]
        self._paths = {fault.path for fault in faults}
        self._within = tuple(f"{fault.path}{step}" for fault in faults if fault.id == "shape" for step in ".[")
        self._hides_sections = any(fault.id == "unknown-key" and _is_member(fault.path) for fault in faults)
        self._unsure = {id_ for id_, values in _DEPENDS.items() if any(_is_about(fault, values) for fault in faults)}
        self._unsure |= {*_OF_SECTIONS} if self._hides_sections else set()
        self._nobodys = {fault.function for fault in faults if _is_about(fault, _RUN_AS)}
        self._unowned = {fault.resource for fault in faults if _is_about(fault, _OWNERS)}
        section = definition.sections.get("resources")
        items = section.get("Resources") if section is not None else None
        entries = items if isinstance(items, list) else []
        self._resources = {str(entry.get("Id")) for entry in entries if isinstance(entry, Mapping)}

    def covers(self, finding: Finding) -> bool:
        """Return whether a finding is only about something that the reader has found fault with already."""
        if finding.path in self._paths or finding.path.startswith(self._within) or finding.id in self._unsure:
            return True
        if finding.id == "unknown-resource":
            return finding.resource in self._resources
        if finding.id in _BY_IDENTITY and not self._nobodys.isdisjoint((None, finding.function)):
            return True
        return finding.id in _BY_OWNER and finding.resource in self._unowned

    def readings(self, definition: Definition) -> Iterator[Definition]:
        """Yield the definition; where a mode could not be read one for each, and what all of them share is sure."""
        default = any(_touches(path, _DEFAULT_MODE) for path in self._paths)
        default = default or (self._hides_sections and "DefaultConfig" not in definition.sections.get("functions", {}))
        functions = {
            function.path
            for function in definition.group.functions
            if any(_touches(path, f"{function.path}{_OWN_MODE}") for path in self._paths)
        }
        if not (default or functions):
            yield definition
            return
        for mode in ISOLATION_MODES:
            yield replace(definition, group=_in_mode(definition.group, mode, default=default, functions=functions))


def _in_mode(group: Group, mode: IsolationMode, *, default: bool, functions: Collection[str]) -> Group:
    return replace(
        group,
        default_config=replace(group.default_config, isolation_mode=mode) if default else group.default_config,
        functions=tuple(
            replace(function, isolation_mode=mode) if function.path in functions else function
            for function in group.functions
        ),
    )


def _is_about(fault: Finding, values: Collection[str]) -> bool:
    """Return whether a fault is at a value of one of these paths, whatever its index, above or inside it."""
    path = _INDEX.sub("[]", fault.path)
    return any(_touches(path, value) for value in values)


def _touches(path: str, other: str) -> bool:
    """Return whether two paths are the same, or one leads on from the other."""
    return within(path, other) or within(other, path)


def _is_member(path: str) -> bool:
    """Return whether a path is that of a member of the definition itself: a section may be meant by its name."""
    return path.count(".") == 1 and "[" not in path
