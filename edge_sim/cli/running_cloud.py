"""The local cloud that is running for this user, where a command needs one and none is named."""

from __future__ import annotations

from typing import Any

from edge_sim.cli.output import say
from edge_sim.cloud import notes
from edge_sim.errors import UnsupportedEnvironmentError


def note(starts: str = "edge-sim cloud serve") -> dict[str, Any]:
    """Return the note that the cloud has left.

    Raises UnsupportedEnvironmentError when none is running; its hint is ``starts``, the command that starts one.
    """
    clouds = notes.read()
    if not clouds:
        raise UnsupportedEnvironmentError("no local cloud is running for this user", hint=f"Start one: {starts}")
    if len(clouds) > 1:
        others = ", ".join(cloud["http"] for cloud in clouds[1:])
        say(f"note: several clouds are running; this is the first, {clouds[0]['http']}, not {others}", err=True)
    return clouds[0]


def broker(starts: str) -> str:
    """Return the cloud's broker, for a board without a certificate; raises as ``note`` does."""
    about = note(starts)
    if about.get("cafile"):
        why = f"the cloud at {about['http']} requires client certificates, which boards in containers do not have"
        raise UnsupportedEnvironmentError(why, hint=f"Stop it, and start one without --tls: {starts}")
    return str(about["mqtt"])
