"""Policies of AWS IoT as the store keeps them: up to five versions each, one of them the default, and their targets.

Documents: ``policy`` by name, ``policy-version`` by ``name/number`` (parent: the policy), ``certificate-policy``
(parent: the certificate) and ``policy-certificate`` (parent: the policy) for what is attached. A policy that cannot be
evaluated as it is written is kept, as AWS would keep it, and refused where it would come into force.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from edge_sim.arns import arn
from edge_sim.cloud.iot.statements import MalformedPolicyError, Statement, parse, unsupported
from edge_sim.cloud.jobs.params import invalid
from edge_sim.cloud.protocol import ApiError
from edge_sim.cloud.store import Store

MAX_VERSIONS = 5
MAX_ATTACHED = 10
"""Policies of one certificate (General Reference, "AWS IoT Core quotas")."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A policy. ``default`` and ``latest`` are numbers of versions; times are epoch seconds."""

    name: str
    arn: str
    default: int
    latest: int
    created_at: float
    changed_at: float


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a policy; ``document`` is the text as it was handed in."""

    policy: str
    number: int
    document: str
    created_at: float


class Policies:
    """The registry of policies. Raises ApiError; callers hold a transaction where several changes belong together."""

    def __init__(self, store: Store, *, region: str, account: str, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._arn = arn("iot", "policy/", f"{region}:{account}")
        self._now = now

    def create(self, name: str, document: str) -> Policy:
        """Make a policy with its first version."""
        _parsed(document)
        if self._store.get("policy", name) is not None:
            raise ApiError(
                "ResourceAlreadyExistsException", f"Policy cannot be created - name already exists ({name})", 409
            )
        now = self._now()
        policy = Policy(name=name, arn=f"{self._arn}{name}", default=1, latest=1, created_at=now, changed_at=now)
        self._put(policy)
        self._put_version(Version(policy=name, number=1, document=document, created_at=now))
        return policy

    def get(self, name: str) -> Policy:
        """Return a policy, or refuse with ResourceNotFoundException."""
        body = self._store.get("policy", name)
        if body is None:
            raise ApiError("ResourceNotFoundException", f"The policy {name} does not exist.", 404)
        return Policy(**body)

    def page(self, *, limit: int, position: int, newest_first: bool) -> tuple[list[Policy], int | None]:
        """Return a page of all policies."""
        page = self._store.page("policy", limit=limit, position=position, newest_first=newest_first)
        return [Policy(**body) for body in page.documents], page.position

    def delete(self, name: str) -> None:
        """Remove a policy that is attached to nothing and has no version but its default one."""
        self.get(name)
        if self._store.list("policy-certificate", name):
            raise ApiError("DeleteConflictException", f"The policy {name} is attached: detach it first.", 409)
        versions = self.versions(name)
        if len(versions) > 1:
            raise ApiError("DeleteConflictException", f"The policy {name} has versions that are not the default.", 409)
        self._store.delete("policy-version", f"{name}/{versions[0].number}")
        self._store.delete("policy", name)

    def add_version(self, name: str, document: str, *, default: bool) -> Version:
        """Add a version, at most MAX_VERSIONS."""
        policy = self.get(name)
        _parsed(document)
        if len(self.versions(name)) >= MAX_VERSIONS:
            text = f"The policy {name} already has {MAX_VERSIONS} versions."
            raise ApiError("VersionsLimitExceededException", text, 409)
        version = Version(policy=name, number=policy.latest + 1, document=document, created_at=self._now())
        self._put_version(version)
        self._put(replace(policy, latest=version.number, changed_at=version.created_at))
        if default:
            self.set_default(name, str(version.number))
        return version

    def version(self, name: str, number: str) -> Version:
        """Return a version of a policy, or refuse with ResourceNotFoundException."""
        self.get(name)
        body = self._store.get("policy-version", f"{name}/{number}")
        if body is None:
            raise ApiError("ResourceNotFoundException", f"The policy {name} has no version {number}.", 404)
        return Version(**body)

    def versions(self, name: str) -> list[Version]:
        """Return the versions of a policy, or refuse with ResourceNotFoundException."""
        self.get(name)
        return [Version(**body) for body in self._store.list("policy-version", name)]

    def set_default(self, name: str, number: str) -> None:
        """Make a version the one in force; refused when the policy is attached and it cannot be evaluated."""
        policy, version = self.get(name), self.version(name, number)
        if self._store.list("policy-certificate", name):
            _refuse_unsupported(version)
        self._put(replace(policy, default=version.number, changed_at=self._now()))

    def delete_version(self, name: str, number: str) -> None:
        """Remove a version that is not the default one."""
        if self.get(name).default == self.version(name, number).number:
            raise ApiError("DeleteConflictException", f"Version {number} is the default one of {name}.", 409)
        self._store.delete("policy-version", f"{name}/{number}")

    def attach(self, name: str, certificate: str) -> None:
        """Attach a policy to a certificate (by id); refused when it cannot be evaluated."""
        policy = self.get(name)
        _refuse_unsupported(self.version(name, str(policy.default)))
        attached = self.names(certificate)
        if name not in attached and len(attached) >= MAX_ATTACHED:
            text = f"A certificate has at most {MAX_ATTACHED} policies."
            raise ApiError("LimitExceededException", text, 410)
        body = {"certificate": certificate, "policy": name}
        self._store.put("certificate-policy", f"{certificate}/{name}", body, certificate)
        self._store.put("policy-certificate", f"{name}/{certificate}", body, name)

    def detach(self, name: str, certificate: str) -> None:
        """Detach a policy from a certificate; fine when it was not attached."""
        self._store.delete("certificate-policy", f"{certificate}/{name}")
        self._store.delete("policy-certificate", f"{name}/{certificate}")

    def names(self, certificate: str) -> list[str]:
        """Return the names of the policies of a certificate."""
        return [body["policy"] for body in self._store.list("certificate-policy", certificate)]

    def attached_page(self, certificate: str, *, limit: int, position: int) -> tuple[list[Policy], int | None]:
        """Return a page of the policies of a certificate."""
        page = self._store.page("certificate-policy", certificate, limit=limit, position=position)
        return [self.get(body["policy"]) for body in page.documents], page.position

    def targets_page(self, name: str, *, limit: int, position: int) -> tuple[list[str], int | None]:
        """Return a page of the ids of the certificates that a policy is attached to."""
        self.get(name)
        page = self._store.page("policy-certificate", name, limit=limit, position=position)
        return [body["certificate"] for body in page.documents], page.position

    def statements(self, certificate: str) -> tuple[Statement, ...]:
        """Return what the policies of a certificate say, together."""
        versions = [self.version(name, str(self.get(name).default)) for name in self.names(certificate)]
        return tuple(statement for version in versions for statement in parse(version.document))

    def _put(self, policy: Policy) -> None:
        self._store.put("policy", policy.name, asdict(policy))

    def _put_version(self, version: Version) -> None:
        self._store.put("policy-version", f"{version.policy}/{version.number}", asdict(version), version.policy)


def _parsed(document: str) -> tuple[Statement, ...]:
    try:
        return parse(document)
    except MalformedPolicyError as error:
        raise ApiError("MalformedPolicyException", f"The policy document cannot be read: {error}.", 400) from error


def _refuse_unsupported(version: Version) -> None:
    why = unsupported(_parsed(version.document))
    if why is not None:
        text = f"edge-sim cannot enforce {why} of the policy {version.policy} (version {version.number})"
        raise invalid(f"{text}: the policy is not attached, because it could not be enforced as written.")
