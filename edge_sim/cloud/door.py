"""Who is let in over HTTPS: a thing by its certificate, and whoever calls the API by a signature.

Without TLS there is no door: the port is a loopback one, or on the boards' own network.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request

from edge_sim.cloud import protocol, signatures
from edge_sim.cloud.protocol import ApiError


class Rules(Protocol):
    """What certificates are good for."""

    def refusal(
        self, certificate_id: str, thing: str, action: str | None, resource: str | None = None, /
    ) -> str | None:
        """Return why a certificate may not do something for a thing, or None; without an action it need be the
        thing's alone."""

    def thing_arn(self, name: str, /) -> str: ...


@dataclass(frozen=True)
class Door:
    """``key``: access key id and secret of the API's clients. ``deployment``: id → ARN and core of a deployment.

    ``names`` are the host names of this cloud besides its local ones.
    """

    rules: Rules
    key: tuple[str, str]
    deployment: Callable[[str], tuple[str, str] | None]
    names: frozenset[str] = frozenset()

    def refuse_others(
        self, request: Request, thing: str, action: str | None = None, resource: str | None = None
    ) -> None:
        """Raise ApiError unless the client has a certificate of ``thing`` that may do ``action``."""
        certificate = request.scope.get("state", {}).get("certificate")
        why = self.rules.refusal(certificate, thing, action, resource) if certificate else "no client certificate"
        if why is not None:
            raise ApiError("ForbiddenException", f"Forbidden: {why}.", 403)

    def refuse_unsigned(self, call: protocol.Request) -> None:
        """Raise ApiError unless a call of the API is signed with this cloud's key (Signature Version 4)."""
        why = signatures.problem(call, self.key)
        if why is not None:
            raise ApiError("InvalidSignatureException", f"{why}.", 403)

    def refuse_strangers(self, request: Request) -> None:
        """Raise ApiError unless a call of ``/edge-sim/`` bears this cloud's key."""
        shown = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(shown.encode(), self.key[1].encode()):
            text = "The Authorization header is not Bearer and this cloud's AWS_SECRET_ACCESS_KEY."
            raise ApiError("AccessDeniedException", text, 403)
