"""What AWS's pages disagree about, or what an account's quotas may differ in, as one value.

    disputed                      default   the other reading
    resources a function            20        10     quota page, lra-cli.md  ·  botocore, lambda-group-config.md
    resources a group              200        50     quota page              ·  lra-cli.md
    devices a group, to GGC 1.10  2500       200     quota page              ·  what-is-gg.md
    subscriptions, to GGC 1.10   10000      1000     quota page              ·  what-is-gg.md
    a model's GroupOwner        name or GID   GID    botocore                ·  access-ml-resources.md

The rules say in a note where a definition stands between the two readings.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from edge_sim.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Quotas:
    """How many of each a group may have; the defaults are those of AWS's quota page.

    ``argument_bytes`` is the kernel's: of one variable or argument, where a page of memory has 4 KiB.
    """

    resources_per_function: int = 20
    resources_per_group: int = 200
    functions_per_group: int = 200
    devices_per_group: int = 2500
    subscriptions_per_group: int = 10000
    cloud_subscriptions_per_group: int = 50
    devices_before_1_11: int = 200
    subscriptions_before_1_11: int = 1000
    argument_bytes: int = 131_071


@dataclass(frozen=True, kw_only=True)
class RuleSettings:
    """How the rules read what AWS left open. ``gid_only``: a model's GroupOwner must be a number."""

    quotas: Quotas = Quotas()
    gid_only: bool = False


DEFAULT = RuleSettings()


def quotas(texts: tuple[str, ...]) -> Quotas:
    """Return the quotas with ``resources-per-function=10`` and the like applied; raises UsageError."""
    known = {field.name.replace("_", "-"): field.name for field in fields(Quotas)}
    changes: dict[str, int] = {}
    for text in texts:
        name, _, number = text.partition("=")
        if name not in known or not (number.isascii() and number.isdigit()) or len(number) > 6:
            hint = f"Use NAME=NUMBER, with one of the names {', '.join(known)}."
            raise UsageError(f"{text!r} is not a limit", hint=hint)
        changes[known[name]] = int(number)
    return replace(Quotas(), **changes)
