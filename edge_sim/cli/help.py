"""``edge-sim help``: a topic that belongs to no single command, or a command's own help."""

from __future__ import annotations

import difflib

import click
from click.shell_completion import CompletionItem

from edge_sim.cli.topics import TOPICS
from edge_sim.errors import UsageError


def _topics(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    top = context.find_root()
    names = [*TOPICS, *(top.command.list_commands(top) if isinstance(top.command, click.Group) else ())]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


@click.command("help")
@click.argument("topic", required=False, shell_complete=_topics)
@click.pass_context
def command(context: click.Context, topic: str | None) -> None:
    """Explain TOPIC: environment, exit-status, files, or a command. Without TOPIC, list them.

    \b
    Example: edge-sim help exit-status
    """
    top = context.parent
    assert top is not None  # noqa: S101 - it is a command of edge-sim
    group = top.command
    assert isinstance(group, click.Group)  # noqa: S101 - edge-sim itself
    if topic is None:
        click.echo(f"{group.get_help(top)}\n\nTopics: {', '.join(TOPICS)}")
    elif topic in TOPICS:
        click.echo(TOPICS[topic])
    elif (subcommand := group.get_command(top, topic)) is not None:
        with click.Context(subcommand, info_name=topic, parent=top) as inner:
            click.echo(subcommand.get_help(inner))
    else:
        near = difflib.get_close_matches(topic, [*TOPICS, *group.list_commands(top)], n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Topics: {', '.join(TOPICS)}, and each command."
        raise UsageError(f"{topic}: no such topic or command", hint=hint)
