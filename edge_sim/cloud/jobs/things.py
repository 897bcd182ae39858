"""The registry as jobs need it: things, and static thing groups that may hold other groups."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from edge_sim import arns
from edge_sim.cloud.jobs.params import exists, invalid, missing
from edge_sim.cloud.jobs.records import Records, Thing, ThingGroup

MAX_TARGETS = 100
MAX_DEPTH = 7
"""Of a group's ancestors and itself (AWS IoT quotas, the depth of a thing group hierarchy)."""


class Things:
    """Every method may be called from any thread and raises ApiError."""

    def __init__(self, records: Records, *, region: str, account: str) -> None:
        self._records = records
        self.prefix = arns.arn("iot", "", f"{region}:{account}")

    def arn(self, name: str) -> str:
        """Return the ARN of a thing, which need not exist."""
        return f"{self.prefix}thing/{name}"

    def group_arn(self, name: str) -> str:
        """Return the ARN of a thing group, which need not exist."""
        return f"{self.prefix}thinggroup/{name}"

    def create(self, name: str, attributes: Mapping[str, str] | None = None) -> Thing:
        """Return the thing, created now or earlier with the same attributes."""
        with self._records.transaction():
            thing = self._records.thing(name)
            if thing is None:
                thing = Thing(
                    name=name,
                    arn=self.arn(name),
                    id=str(uuid.uuid4()),
                    attributes=dict(attributes or {}),
                )
                self._records.put_thing(thing)
        if dict(thing.attributes) != dict(attributes or {}):
            raise exists(f"Thing {name} already exists in account with different attributes", thing.id, thing.arn)
        return thing

    def describe(self, name: str) -> Thing:
        """Return a thing, or refuse with ResourceNotFoundException."""
        thing = self._records.thing(name)
        if thing is None:
            raise missing(f"Thing {name} not found.")
        return thing

    def attributes(self, name: str) -> Mapping[str, str] | None:
        """Return the attributes of a thing, or None when there is no such thing."""
        thing = self._records.thing(name)
        return None if thing is None else thing.attributes

    def create_group(self, name: str, parent: str | None = None) -> ThingGroup:
        """Return the static thing group, created now or earlier with the same parent."""
        with self._records.transaction():
            group = self._records.group(name)
            if group is None:
                if parent is not None and len(self.ancestors(parent)) + 2 > MAX_DEPTH:
                    raise invalid(f"Thing groups can be nested {MAX_DEPTH} deep.")
                group = ThingGroup(name=name, id=str(uuid.uuid4()), parent=parent)
                self._records.put_group(group)
        if group.parent != parent:
            text = f"Thing Group {name} already exists in current account with different parent"
            raise exists(text, group.id, self.group_arn(name))
        return group

    def group(self, name: str) -> ThingGroup:
        """Return a thing group, or refuse with ResourceNotFoundException."""
        group = self._records.group(name)
        if group is None:
            raise missing(f"Thing group {name} not found.")
        return group

    def ancestors(self, name: str) -> list[ThingGroup]:
        """Return the groups that a group lies in, from the root to its parent."""
        groups: list[ThingGroup] = []
        parent = self.group(name).parent
        while parent is not None:
            groups.insert(0, self.group(parent))
            parent = groups[0].parent
        return groups

    def add(self, group: str, thing: str) -> None:
        """Make a thing a member of a group."""
        self.describe(thing)
        self.group(group)
        self._records.put_member(group, thing)

    def remove(self, group: str, thing: str) -> None:
        """Make a thing no member of a group any more; it need not have been one."""
        self.describe(thing)
        self.group(group)
        self._records.remove_member(group, thing)

    def members(self, group: str) -> list[str]:
        """Return the names of the things in a group and in its child groups, each once."""
        names: dict[str, None] = {}
        for name in self._family(group):
            names.update(dict.fromkeys(self._records.members(name)))
        return list(names)

    def members_page(self, group: str, *, limit: int, position: int) -> tuple[list[str], int | None]:
        """Return a page of the names of the things in a group itself."""
        self.group(group)
        return self._records.members_page(group, limit=limit, position=position)

    def meant(self, targets: Sequence[str]) -> list[str]:
        """Return the names of the things that target ARNs mean, each once; groups as they are now."""
        names: dict[str, None] = {}
        for kind, name in map(self.target, targets):
            names.update(dict.fromkeys(self.members(name) if kind == "thinggroup" else [name]))
        return list(names)

    def is_meant(self, targets: Sequence[str], thing: str) -> bool:
        """Return whether target ARNs mean a thing."""
        return any(
            any(self._records.is_member(group, thing) for group in self._family(name))
            if kind == "thinggroup"
            else name == thing
            for kind, name in map(self.target, targets)
        )

    def target(self, arn: str) -> tuple[str, str]:
        """Return the kind (``thing`` or ``thinggroup``) and the name that a target ARN means; refuses what is not."""
        match = arns.TARGET.fullmatch(arn)
        if match is None:
            raise invalid(f"Invalid target ARN: {arn[:200]}")
        if not arn.startswith(self.prefix):
            raise missing(f"Target {arn} is not in this account and region.")
        kind, name = match[3], match[4]
        if kind == "thinggroup":
            self.group(name)
        else:
            self.describe(name)
        return kind, name

    def _family(self, group: str) -> list[str]:
        """Return the names of a group and of all groups in it."""
        self.group(group)
        names = [group]
        for name in names:  # grows meanwhile
            names.extend(self._records.subgroups(name))
        return names
