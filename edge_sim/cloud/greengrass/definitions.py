"""Resource, function and core definitions and their immutable versions.

Texts: greengrass-v1 facts 1.8 (moto's, copied from the service). Refused at create is only what AWS refused there;
the rest is a matter of the deployment.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from edge_sim.cloud.greengrass.arns import Namespace
from edge_sim.cloud.greengrass.clock import timestamp
from edge_sim.cloud.protocol import ApiError
from edge_sim.cloud.store import Document, Store
from edge_sim.greengrass import parse, rules
from edge_sim.report import Finding

_DETAILED = re.compile(r"(.*) \(ErrorDetails: \[(.*)\]\)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One family of definitions: ``word`` in ``FAMILIES``, ``path`` in URIs and ARNs, ``member`` its version's list."""

    word: str
    path: str
    member: str
    noun: str
    list_noun: str
    invalid: str


RESOURCES = Kind(
    word="resources",
    path="resources",
    member="Resources",
    noun="resource",
    list_noun="Resource",
    invalid="The resources definition is invalid.",
)
FUNCTIONS = Kind(
    word="functions",
    path="functions",
    member="Functions",
    noun="lambda",
    list_noun="Lambda",
    invalid="The functions definition is invalid or corrupted.",
)
# The last text is by analogy with the others'; AWS's own is not known.
CORES = Kind(
    word="core",
    path="cores",
    member="Cores",
    noun="core",
    list_noun="Core",
    invalid="The cores definition is invalid or corrupted.",
)
SUBSCRIPTIONS = Kind(
    word="subscriptions",
    path="subscriptions",
    member="Subscriptions",
    noun="subscription",
    list_noun="Subscription",
    invalid="The subscriptions definition is invalid or corrupted.",
)


class Definitions:
    """Definitions of every kind, kept in the store."""

    def __init__(self, store: Store, namespace: Namespace) -> None:
        self._store = store
        self._namespace = namespace

    def create(self, kind: Kind, params: Mapping[str, Any]) -> dict[str, Any]:
        """Create a definition, with its first version when ``InitialVersion`` is given."""
        initial = params.get("InitialVersion")
        if initial is not None:
            refuse(kind, initial)
        now, id_ = timestamp(), str(uuid.uuid4())
        body: Document = {
            "Arn": self._namespace.greengrass(f"definition/{kind.path}/{id_}"),
            "Id": id_,
            "Name": params.get("Name"),
            "CreationTimestamp": now,
            "LastUpdatedTimestamp": now,
        }
        self._store.put(kind.path, id_, {**body, "tags": params.get("tags", {})})
        if initial is not None:
            version = self._add_version(kind, id_, initial)
            body |= {"LatestVersion": version["Version"], "LatestVersionArn": version["Arn"]}
        return body

    def create_version(self, kind: Kind, id_: str, content: Mapping[str, Any]) -> dict[str, Any]:
        """Add a version to a definition; 404 with V1's text when there is no such definition."""
        if self._store.get(kind.path, id_) is None:
            raise ApiError("IdNotFoundException", f"That {kind.noun} definition does not exist.", 404)
        refuse(kind, content)
        version = self._add_version(kind, id_, content)
        return {key: version[key] for key in ("Arn", "CreationTimestamp", "Id", "Version")}

    def get_version(self, kind: Kind, id_: str, version_id: str) -> dict[str, Any]:
        """Return a version with its content below ``Definition``."""
        if self._store.get(kind.path, id_) is None:
            raise ApiError("IdNotFoundException", f"That {kind.path} definition does not exist.", 404)
        found = self._store.get(f"{kind.path}/versions", version_id)
        if found is None or found["Id"] != id_:
            text = f"Version {version_id} of {kind.list_noun} List Definition {id_} does not exist."
            raise ApiError("VersionNotFoundException", text, 404)
        return found

    def resolve(self, kind: Kind, arn: str) -> Document | None:
        """Return the content of the version an ARN names, or None when it does not exist here."""
        ids = self._namespace.definition_version(arn, kind.path)
        found = self._store.get(f"{kind.path}/versions", ids[1]) if ids else None
        if found is None or ids is None or found["Id"] != ids[0]:
            return None
        content: Document = found["Definition"]
        return content

    def _add_version(self, kind: Kind, id_: str, content: Mapping[str, Any]) -> Document:
        version_id = str(uuid.uuid4())
        body: Document = {
            "Arn": self._namespace.greengrass(f"definition/{kind.path}/{id_}/versions/{version_id}"),
            "CreationTimestamp": timestamp(),
            "Definition": {kind.member: [], **content},
            "Id": id_,
            "Version": version_id,
        }
        self._store.put(f"{kind.path}/versions", version_id, body, parent=id_)
        definition = self._store.get(kind.path, id_) or {}
        latest = {"LatestVersion": version_id, "LatestVersionArn": body["Arn"]}
        self._store.put(kind.path, id_, {**definition, **latest, "LastUpdatedTimestamp": body["CreationTimestamp"]})
        return body


def refuse(kind: Kind, content: Mapping[str, Any]) -> None:
    """Raise ApiError for what V1 refused when a version was created.

    Such answers had no error type, so that clients show the bare status "400" as their code.
    """
    group, faults = parse.group({kind.word: content})
    found = chain(*faults.values(), rules.create_refusals(group, {kind.member: content.get(kind.member, [])}))
    findings = [f for f in found if f.severity == "error" and f.phase == "create"]
    if findings:
        raise ApiError("400", f"{kind.invalid} (ErrorDetails: [{_details(findings)}])")


def _details(findings: Sequence[Finding]) -> str:
    texts = [finding.aws_text or finding.message for finding in findings]
    matches = [(text, _DETAILED.fullmatch(text)) for text in texts]
    return ", ".join(match[2] if match else text for text, match in matches)
