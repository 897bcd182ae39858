"""A group of commands that names the one which a mistyped command may mean."""

from __future__ import annotations

import difflib

import click


class Commands(click.Group):
    """A group of commands; a name that none of them has ends with status 2 and the nearest one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        near = [] if args[0] in known or ctx.resilient_parsing else difflib.get_close_matches(args[0], known, n=1)
        if near:
            ctx.fail(f"No such command '{args[0]}'. Did you mean {near[0]}?")
        return super().resolve_command(ctx, args)
