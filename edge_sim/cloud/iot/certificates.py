"""Certificates of AWS IoT as the store keeps them, and which things they are attached to.

Documents: ``certificate`` by id; ``certificate-thing`` (parent: the certificate) and ``thing-certificate`` (parent: the
thing) by ``certificate/thing`` and ``thing/certificate``. Private keys are never stored.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from edge_sim.arns import SOMEWHERE, arn, pattern
from edge_sim.cloud.jobs.params import invalid
from edge_sim.cloud.protocol import ApiError
from edge_sim.cloud.store import Store

if TYPE_CHECKING:  # cryptography is imported with the first certificate
    from edge_sim.cloud.ca import CertificateAuthority, Issued, KeyPair

ACTIVE, INACTIVE, REVOKED = "ACTIVE", "INACTIVE", "REVOKED"
STATUSES = (ACTIVE, INACTIVE, REVOKED)
"""What a client may set; AWS gives the other values of the enum itself (API reference, UpdateCertificate)."""
_ARN = re.compile(pattern("iot", "cert/([0-9a-f]{64})", SOMEWHERE))


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A registered certificate. Times are epoch seconds."""

    id: str
    arn: str
    pem: str
    status: str
    created_at: float
    changed_at: float
    not_before: float
    not_after: float
    version: int = 1


class Certificates:
    """The registry of certificates. Raises ApiError; callers hold a transaction where several changes belong together.

    ``authority`` returns the CA, which is made with the first certificate.
    """

    def __init__(
        self,
        store: Store,
        authority: Callable[[], CertificateAuthority],
        *,
        region: str,
        account: str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._authority = authority
        self._arn = arn("iot", "cert/", f"{region}:{account}")
        self._now = now

    def create(self, *, active: bool) -> tuple[Certificate, KeyPair]:
        """Make a key pair and a certificate for it."""
        issued, keys = self._authority().issue_pair()
        return self._register(issued, active=active), keys

    def create_from_request(self, request_pem: str, *, active: bool) -> Certificate:
        """Make a certificate for the key of a signing request."""
        try:
            issued = self._authority().sign(request_pem)
        except ValueError as error:
            raise invalid(f"The certificate signing request cannot be signed: {error}.") from error
        return self._register(issued, active=active)

    def find(self, id_: str) -> Certificate | None:
        """Return a certificate, or None."""
        body = self._store.get("certificate", id_)
        return None if body is None else Certificate(**body)

    def get(self, id_: str) -> Certificate:
        """Return a certificate, or refuse with ResourceNotFoundException."""
        certificate = self.find(id_)
        if certificate is None:
            raise ApiError("ResourceNotFoundException", f"The certificate {id_} does not exist.", 404)
        return certificate

    def of_arn(self, arn: str) -> Certificate:
        """Return the certificate that an ARN names, or refuse."""
        match = _ARN.fullmatch(arn)
        if match is None:
            raise invalid(f"edge-sim supports only certificates as principals and targets, not {arn[:200]}.")
        if not arn.startswith(self._arn):
            raise ApiError("ResourceNotFoundException", f"{arn} is not in this account and region.", 404)
        return self.get(match[3])

    def page(self, *, limit: int, position: int, newest_first: bool) -> tuple[list[Certificate], int | None]:
        """Return a page of all certificates."""
        page = self._store.page("certificate", limit=limit, position=position, newest_first=newest_first)
        return [Certificate(**body) for body in page.documents], page.position

    def update(self, id_: str, status: str) -> None:
        """Set a certificate's status. REVOKED is final (IoT developer guide, "Revoke a client certificate")."""
        certificate = self.get(id_)
        if status not in STATUSES:
            raise invalid(f"The status {status} can be set only by AWS.")
        if certificate.status == REVOKED and status != REVOKED:
            raise ApiError("CertificateStateException", f"The certificate {id_} is revoked.", 406)
        self._put(replace(certificate, status=status, changed_at=self._now(), version=certificate.version + 1))

    def delete(self, id_: str) -> None:
        """Remove a certificate that is not active and not attached to a thing."""
        if self.get(id_).status == ACTIVE:
            raise ApiError("CertificateStateException", f"The certificate {id_} is ACTIVE: deactivate it first.", 406)
        if self.things(id_):
            text = f"The certificate {id_} is attached to things: detach it first."
            raise ApiError("DeleteConflictException", text, 409)
        self._store.delete("certificate", id_)

    def attach(self, id_: str, thing: str) -> None:
        """Attach a certificate to a thing."""
        body = {"certificate": id_, "thing": thing}
        self._store.put("certificate-thing", f"{id_}/{thing}", body, id_)
        self._store.put("thing-certificate", f"{thing}/{id_}", body, thing)

    def detach(self, id_: str, thing: str) -> None:
        """Detach a certificate from a thing; fine when it was not attached."""
        self._store.delete("certificate-thing", f"{id_}/{thing}")
        self._store.delete("thing-certificate", f"{thing}/{id_}")

    def things(self, id_: str) -> list[str]:
        """Return the names of the things that a certificate is attached to."""
        return [body["thing"] for body in self._store.list("certificate-thing", id_)]

    def things_page(self, id_: str, *, limit: int, position: int) -> tuple[list[str], int | None]:
        """Return a page of ``things``."""
        page = self._store.page("certificate-thing", id_, limit=limit, position=position)
        return [body["thing"] for body in page.documents], page.position

    def page_of_thing(self, thing: str, *, limit: int, position: int) -> tuple[list[str], int | None]:
        """Return a page of the ARNs of a thing's certificates."""
        page = self._store.page("thing-certificate", thing, limit=limit, position=position)
        return [f"{self._arn}{body['certificate']}" for body in page.documents], page.position

    def _register(self, issued: Issued, *, active: bool) -> Certificate:
        now = self._now()
        certificate = Certificate(
            id=issued.id,
            arn=f"{self._arn}{issued.id}",
            pem=issued.pem,
            status=ACTIVE if active else INACTIVE,
            created_at=now,
            changed_at=now,
            not_before=issued.not_before,
            not_after=issued.not_after,
        )
        self._put(certificate)
        return certificate

    def _put(self, certificate: Certificate) -> None:
        self._store.put("certificate", certificate.id, asdict(certificate))
