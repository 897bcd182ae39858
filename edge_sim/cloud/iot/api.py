"""AWS IoT's operations on certificates, policies and what they are attached to: parameters in, botocore's shapes out.

Every change is stored whole or not at all, and then ``changed`` is called: who lost a right is cut off before the
answer leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from edge_sim.cloud import pages
from edge_sim.cloud.iot.certificates import Certificate, Certificates
from edge_sim.cloud.iot.policies import Policies, Policy, Version
from edge_sim.cloud.jobs.params import invalid, page, place, refuse
from edge_sim.cloud.protocol import ApiError, Handler
from edge_sim.cloud.store import Store

Params = dict[str, Any]
Result = dict[str, Any]

MAX_PAGE = 250


class IotApi:
    """The handlers over the two registries. ``known`` raises ApiError for a thing that does not exist."""

    def __init__(
        self,
        store: Store,
        certificates: Certificates,
        policies: Policies,
        *,
        known: Callable[[str], object],
        account: str,
        changed: Callable[[], None],
    ) -> None:
        self._store = store
        self._certificates = certificates
        self._policies = policies
        self._known = known
        self._account = account
        self._changed = changed

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by operation."""
        queries: Mapping[str, Handler] = {
            "DescribeCertificate": self._describe_certificate,
            "ListCertificates": self._list_certificates,
            "GetPolicy": lambda p: _policy(self._policies.get(p["policyName"]), self._policies),
            "ListPolicies": self._list_policies,
            "GetPolicyVersion": self._get_version,
            "ListPolicyVersions": self._list_versions,
            "ListAttachedPolicies": lambda p: self._attached(p["target"], p),
            "ListPrincipalPolicies": lambda p: self._attached(p["principal"], p),
            "ListTargetsForPolicy": lambda p: self._targets("targets", p),
            "ListPolicyPrincipals": lambda p: self._targets("principals", p),
            "ListThingPrincipals": self._list_thing_principals,
            "ListPrincipalThings": self._list_principal_things,
        }
        changes: Mapping[str, Handler] = {
            "CreateKeysAndCertificate": self._create_keys,
            "CreateCertificateFromCsr": self._create_from_request,
            "UpdateCertificate": _silent(lambda p: self._certificates.update(p["certificateId"], p["newStatus"])),
            "DeleteCertificate": self._delete_certificate,
            "CreatePolicy": self._create_policy,
            "DeletePolicy": _silent(lambda p: self._policies.delete(p["policyName"])),
            "CreatePolicyVersion": self._create_version,
            "SetDefaultPolicyVersion": _silent(
                lambda p: self._policies.set_default(p["policyName"], p["policyVersionId"])
            ),
            "DeletePolicyVersion": _silent(
                lambda p: self._policies.delete_version(p["policyName"], p["policyVersionId"])
            ),
            "AttachPolicy": lambda p: self._attach(p["policyName"], p["target"]),
            "AttachPrincipalPolicy": lambda p: self._attach(p["policyName"], p["principal"]),
            "DetachPolicy": lambda p: self._detach(p["policyName"], p["target"]),
            "DetachPrincipalPolicy": lambda p: self._detach(p["policyName"], p["principal"]),
            "AttachThingPrincipal": self._attach_thing,
            "DetachThingPrincipal": self._detach_thing,
        }
        return {**queries, **{name: self._whole(handler) for name, handler in changes.items()}}

    def _whole(self, handler: Handler) -> Handler:
        def handle(params: Params) -> Result:
            with self._store.transaction():
                result = handler(params)
            self._changed()  # outside: whoever hears of it reads the store
            return result

        return handle

    def _create_keys(self, params: Params) -> Result:
        certificate, keys = self._certificates.create(active=bool(params.get("setAsActive")))
        return {**_created(certificate), "keyPair": {"PublicKey": keys.public, "PrivateKey": keys.private}}

    def _create_from_request(self, params: Params) -> Result:
        request = params["certificateSigningRequest"]
        return _created(self._certificates.create_from_request(request, active=bool(params.get("setAsActive"))))

    def _describe_certificate(self, params: Params) -> Result:
        certificate = self._certificates.get(params["certificateId"])
        validity = {"notBefore": _time(certificate.not_before), "notAfter": _time(certificate.not_after)}
        return {
            "certificateDescription": {
                **_listed(certificate),
                "certificatePem": certificate.pem,
                "ownedBy": self._account,
                "lastModifiedDate": _time(certificate.changed_at),
                "customerVersion": certificate.version,
                "validity": validity,
            }
        }

    def _list_certificates(self, params: Params) -> Result:
        limit, position = _place(params)
        newest = not params.get("ascendingOrder")
        certificates, more = self._certificates.page(limit=limit, position=position, newest_first=newest)
        return _page("certificates", [_listed(each) for each in certificates], more)

    def _delete_certificate(self, params: Params) -> Result:
        id_ = params["certificateId"]
        for name in self._policies.names(id_):
            if not params.get("forceDelete"):
                text = f"The certificate {id_} has policies attached: detach {name} first."
                raise ApiError("DeleteConflictException", text, 409)
            self._policies.detach(name, id_)
        self._certificates.delete(id_)
        return {}

    def _create_policy(self, params: Params) -> Result:
        refuse(params, ("tags",))
        policy = self._policies.create(params["policyName"], params["policyDocument"])
        return {
            "policyName": policy.name,
            "policyArn": policy.arn,
            "policyDocument": params["policyDocument"],
            "policyVersionId": str(policy.default),
        }

    def _list_policies(self, params: Params) -> Result:
        limit, position = _place(params)
        newest = not params.get("ascendingOrder")
        policies, more = self._policies.page(limit=limit, position=position, newest_first=newest)
        return _page("policies", [_named(each) for each in policies], more)

    def _create_version(self, params: Params) -> Result:
        name, default = params["policyName"], bool(params.get("setAsDefault"))
        version = self._policies.add_version(name, params["policyDocument"], default=default)
        return {
            "policyArn": self._policies.get(name).arn,
            "policyDocument": version.document,
            "policyVersionId": str(version.number),
            "isDefaultVersion": default,
        }

    def _get_version(self, params: Params) -> Result:
        policy = self._policies.get(params["policyName"])
        version = self._policies.version(policy.name, params["policyVersionId"])
        return {
            "policyArn": policy.arn,
            "policyName": policy.name,
            "policyDocument": version.document,
            "policyVersionId": str(version.number),
            "isDefaultVersion": version.number == policy.default,
            "creationDate": _time(version.created_at),
            "lastModifiedDate": _time(version.created_at),
        }

    def _list_versions(self, params: Params) -> Result:
        default = self._policies.get(params["policyName"]).default
        versions = reversed(self._policies.versions(params["policyName"]))
        return {"policyVersions": [_version(each, default) for each in versions]}

    def _attach(self, policy: str, arn: str) -> Result:
        self._policies.attach(policy, self._certificates.of_arn(arn).id)
        return {}

    def _detach(self, policy: str, arn: str) -> Result:
        self._policies.detach(policy, self._certificates.of_arn(arn).id)
        return {}

    def _attached(self, arn: str, params: Params) -> Result:
        limit, position = _place(params)
        policies, more = self._policies.attached_page(self._certificates.of_arn(arn).id, limit=limit, position=position)
        return _page("policies", [_named(each) for each in policies], more)

    def _targets(self, member: str, params: Params) -> Result:
        limit, position = _place(params)
        ids, more = self._policies.targets_page(params["policyName"], limit=limit, position=position)
        return _page(member, [self._certificates.get(id_).arn for id_ in ids], more)

    def _attach_thing(self, params: Params) -> Result:
        if params.get("thingPrincipalType") == "EXCLUSIVE_THING":
            raise invalid("edge-sim does not simulate EXCLUSIVE_THING.")
        self._known(params["thingName"])
        self._certificates.attach(self._certificates.of_arn(params["principal"]).id, params["thingName"])
        return {}

    def _detach_thing(self, params: Params) -> Result:
        self._known(params["thingName"])
        self._certificates.detach(self._certificates.of_arn(params["principal"]).id, params["thingName"])
        return {}

    def _list_thing_principals(self, params: Params) -> Result:
        self._known(params["thingName"])
        limit, position = place(params)
        arns, more = self._certificates.page_of_thing(params["thingName"], limit=limit, position=position)
        return page("principals", arns, more)

    def _list_principal_things(self, params: Params) -> Result:
        limit, position = place(params)
        id_ = self._certificates.of_arn(params["principal"]).id
        things, more = self._certificates.things_page(id_, limit=limit, position=position)
        return page("things", things, more)


def _place(params: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many items a page is to have, and where it begins: the older lists call it marker."""
    try:
        return params.get("pageSize") or MAX_PAGE, pages.position(params.get("marker"))
    except ValueError as error:
        raise invalid("Invalid marker.") from error


def _page(member: str, items: list[Any], position: int | None) -> Result:
    return {member: items, "nextMarker": pages.token(position)}


def _silent(change: Callable[[Params], None]) -> Handler:
    """Return the handler of an operation that answers nothing."""

    def handle(params: Params) -> Result:
        change(params)
        return {}

    return handle


def _created(certificate: Certificate) -> Result:
    return {"certificateArn": certificate.arn, "certificateId": certificate.id, "certificatePem": certificate.pem}


def _listed(certificate: Certificate) -> Result:
    return {
        "certificateArn": certificate.arn,
        "certificateId": certificate.id,
        "status": certificate.status,
        "certificateMode": "DEFAULT",
        "creationDate": _time(certificate.created_at),
    }


def _named(policy: Policy) -> Result:
    return {"policyName": policy.name, "policyArn": policy.arn}


def _policy(policy: Policy, policies: Policies) -> Result:
    return {
        **_named(policy),
        "policyDocument": policies.version(policy.name, str(policy.default)).document,
        "defaultVersionId": str(policy.default),
        "creationDate": _time(policy.created_at),
        "lastModifiedDate": _time(policy.changed_at),
    }


def _version(version: Version, default: int) -> Result:
    return {
        "versionId": str(version.number),
        "isDefaultVersion": version.number == default,
        "createDate": _time(version.created_at),
    }


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
