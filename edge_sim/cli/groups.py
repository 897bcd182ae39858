"""A group of commands: suggests the nearest name for a mistyped one, and lists each with its whole first sentence."""

from __future__ import annotations

import click

_WHOLE = 1000
"""click cuts a command's sentence at 45 characters; this is longer than any."""


class Commands(click.Group):
    """A group of commands; an unknown name ends with status 2 and the nearest one."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, subcommand.get_short_help_str(_WHOLE)) for name, subcommand in commands.items() if subcommand]
            )

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args[0] not in known and not ctx.resilient_parsing:
            import difflib

            near = difflib.get_close_matches(args[0], known, n=1)
            if near:
                ctx.fail(f"No such command '{args[0]}'. Did you mean {near[0]}?")
        return super().resolve_command(ctx, args)
