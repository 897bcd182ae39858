"""board.sh: accounts, groups and folders that the new board needs, as lines to read and to run by hand.

Every value of the definition's is quoted with ``shlex.quote``, and stands on one line. Nothing runs it here.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from edge_sim.greengrass.functions import Function
from edge_sim.printing import printable
from edge_sim.v2.move import Move
from edge_sim.v2.verdicts import stays_contained, verdict

_HEAD = """\
#!/bin/sh
# What the new board needs before the first deployment. Read it, then run it as root.
# Written by edge-sim migrate, which does not run it.
set -eu
"""


def script(move: Move) -> str:
    """Return the script."""
    return _HEAD + "\n".join(_lines(move)) + "\n"


def account(move: Move, function: Function) -> str:
    """Return the name of the account of a function's component on the new board; the UID where it has no name there."""
    uid = move.asked_uid(function)
    if uid is None:
        return move.nucleus.user
    facts = move.to
    names = [name for name, user in facts.users.items() if user.uid == uid] if facts else []
    return names[0] if names else str(uid)


def memberships(move: Move, function: Function) -> Iterator[tuple[str, str]]:
    """Yield the groups that V1 lent a function's process for local resources, as shell words, and why."""
    for resource, _ in move.group.attached(function):
        data = resource.local
        if data is None:
            continue
        setting = data.group_owner
        if setting.auto_add_group_owner:
            yield f'"$(stat -L -c %G -- {shlex.quote(data.source_path)})"', resource.id
        elif setting.group_owner:
            yield shlex.quote(setting.group_owner), resource.id


def membership(group: str, user: str) -> str:
    """Return the line that adds an account to a group; ``group`` is a shell word already."""
    return f"usermod -aG {group} {shlex.quote(user)}"


def _lines(move: Move) -> Iterator[str]:
    nucleus = move.nucleus
    user, group = shlex.quote(nucleus.user), shlex.quote(nucleus.group)
    yield f"\n# The account that components run as by default (nucleus {nucleus.name})."
    yield f"getent group {group} >/dev/null || groupadd --system {group}"
    yield f"getent passwd {user} >/dev/null || useradd --system --create-home --gid {group} {user}"
    lines_so_far: set[str] = set()
    for function in move.own_functions:
        if verdict(move, function).becomes == "nothing":
            continue
        yield from _of_function(move, function, lines_so_far)
    yield from _folders(move)


def _of_function(move: Move, function: Function, lines_so_far: set[str]) -> Iterator[str]:
    name = account(move, function)
    for group, resource in memberships(move, function):
        line = membership(group, name)
        if line in lines_so_far:
            continue
        lines_so_far.add(line)
        yield f"\n# {printable(f'Function {function.id} opens {resource} by this group in V1.')}"
        if name.isdigit():
            yield f"# {printable(f'No account is known for UID {name}; create one, then:')}"
            yield f"# {printable(line)}"
        elif group.startswith('"$('):
            yield line
        else:
            yield f"getent group {group} >/dev/null || groupadd --system {group}"
            yield line


def _folders(move: Move) -> Iterator[str]:
    for resource in move.group.resources:
        path = resource.source_path
        users = ", ".join(function.id for function in move.users_of(resource))
        if resource.volume and path and users and (move.to is None or move.to.presence(path) != "present"):
            yield f"\n# {printable(f'Volume {resource.id} of {users}; its files come from the old board.')}"
            yield f"[ -e {shlex.quote(path)} ] || mkdir -p -- {shlex.quote(path)}"
    links = [
        (resource.source_path, resource.destination_path)
        for resource in move.group.resources
        if resource.volume and any(not stays_contained(move, f) for f in move.users_of(resource))
    ]
    for source, destination in links:
        if source and destination and source != destination:
            yield f"\n# {printable(f'Without a container the code opens {source}, no longer {destination}.')}"
