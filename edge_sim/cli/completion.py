"""What a shell completes: profiles, rules, boards, and the ids of a group's functions and models.

Everything is imported when it is asked for. What cannot be read completes nothing: a prompt is no place for an error.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_sim.errors import EdgeSimError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from edge_sim.greengrass.group import Group


def profiles(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a profile, or the file of one."""
    from edge_sim.profiles import list_profiles

    return _items(list_profiles(), incomplete) or [_item(incomplete, "file")]


def all_profiles(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a profile, or ``all``."""
    return [*_items(["all"], incomplete), *profiles(context, parameter, incomplete)]


def rules(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the id of a rule, or of a migration's check."""
    from edge_sim.greengrass.rules import RULES
    from edge_sim.v2.checks import CHECKS

    return _items(sorted(rule.id for rule in (*RULES, *CHECKS)), incomplete)


def boards(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a board in a container that stays."""
    with contextlib.suppress(EdgeSimError):
        from edge_sim.emulation.containers import boards, engine

        with engine.connected() as client:
            return _items(boards.names(client, lasting=True), incomplete)
    return []


def real_boards(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the address of a board that the user's own file lists."""
    from edge_sim.emulation.ssh import address

    with contextlib.suppress(EdgeSimError):
        return _items(sorted(map(str, address.own_boards())), incomplete)
    return []


def functions(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the id of a function of the command's GROUP."""
    group = _group(context)
    return _items([function.id for function in group.functions] if group else (), incomplete)


def code(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete FUNCTION= of an option that gives a function's code, or its event."""
    group = _group(context)
    return _items([f"{function.id}=" for function in group.functions] if group else (), incomplete)


def models(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete RESOURCE= of an option that says where a model lies."""
    group = _group(context)
    return _items([f"{resource.id}=" for resource in group.resources if resource.model] if group else (), incomplete)


def _items(values: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [_item(value) for value in values if value.startswith(incomplete)]


def _item(value: str, kind: str = "plain") -> CompletionItem:
    from click.shell_completion import CompletionItem

    return CompletionItem(value, type=kind)


def _group(context: click.Context) -> Group | None:
    from edge_sim.documents import STDIN
    from edge_sim.scenario import read

    # An option that still lacks its value ends click's reading, and leaves the arguments as they came.
    paths = context.params.get("paths") or [Path(path) for path in [context.params.get("group"), *context.args] if path]
    if paths and STDIN not in paths:
        with contextlib.suppress(EdgeSimError, OSError):
            return read(*paths).definition.group
    return None
