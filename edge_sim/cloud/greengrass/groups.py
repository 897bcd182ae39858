"""Groups and their versions: which definition versions belong together.

Texts: greengrass-v1 facts 1.8; those of connectors and loggers are by analogy. Definitions of devices, connectors
and loggers cannot be created here yet, so a reference to one never exists.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from edge_sim.cloud.greengrass.arns import Namespace
from edge_sim.cloud.greengrass.clock import timestamp
from edge_sim.cloud.greengrass.definitions import CORES, FUNCTIONS, RESOURCES, SUBSCRIPTIONS, Definitions, Kind
from edge_sim.cloud.protocol import ApiError
from edge_sim.cloud.store import Document, Store

# In the order in which AWS's message lists them.
_REFERENCES: dict[str, tuple[Kind | None, str]] = {
    "CoreDefinitionVersionArn": (CORES, "Cores"),
    "FunctionDefinitionVersionArn": (FUNCTIONS, "Lambda"),
    "ResourceDefinitionVersionArn": (RESOURCES, "Resource"),
    "DeviceDefinitionVersionArn": (None, "Devices"),
    "SubscriptionDefinitionVersionArn": (SUBSCRIPTIONS, "Subscription"),
    "ConnectorDefinitionVersionArn": (None, "Connector"),
    "LoggerDefinitionVersionArn": (None, "Logger"),
}


class Groups:
    """Groups and group versions, kept in the store."""

    def __init__(self, store: Store, namespace: Namespace, definitions: Definitions) -> None:
        self._store = store
        self._namespace = namespace
        self._definitions = definitions

    def create(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Create a group, with its first version when ``InitialVersion`` is given."""
        initial = params.get("InitialVersion")
        self._check_references(initial or {})
        now, id_ = timestamp(), str(uuid.uuid4())
        body: Document = {
            "Arn": self._namespace.greengrass(f"groups/{id_}"),
            "Id": id_,
            "Name": params["Name"],
            "CreationTimestamp": now,
            "LastUpdatedTimestamp": now,
        }
        self._store.put("groups", id_, {**body, "tags": params.get("tags", {})})
        if initial is not None:
            version = self._add_version(id_, initial)
            body |= {"LatestVersion": version["Version"], "LatestVersionArn": version["Arn"]}
        return body

    def create_version(self, group_id: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Add a version to a group; 404 with V1's text when there is no such group."""
        if self._store.get("groups", group_id) is None:
            raise ApiError("IdNotFoundException", "That group does not exist.", 404)
        self._check_references(params)
        version = self._add_version(group_id, params)
        return {key: version[key] for key in ("Arn", "CreationTimestamp", "Id", "Version")}

    def version(self, group_id: str, version_id: str) -> Document:
        """Return a group version (its ARNs below ``Definition``); 404 with the texts of CreateDeployment."""
        if self._store.get("groups", group_id) is None:
            raise ApiError("ResourceNotFoundException", "That group definition does not exist.", 404)
        found = self._store.get("groups/versions", version_id)
        if found is None or found["Id"] != group_id:
            text = f"Version {version_id} of Group Definition {group_id} does not exist."
            raise ApiError("ResourceNotFoundException", text, 404)
        return found

    def _check_references(self, references: Mapping[str, Any]) -> None:
        missing = [
            f"{noun} definition reference does not exist"
            for name, (kind, noun) in _REFERENCES.items()
            if references.get(name) is not None and not self._exists(kind, references[name])
        ]
        if missing:
            text = f"The group is invalid or corrupted. (ErrorDetails: [{', '.join(missing)}])"
            raise ApiError("400", text)

    def _exists(self, kind: Kind | None, arn: str) -> bool:
        return kind is not None and self._definitions.resolve(kind, arn) is not None

    def _add_version(self, group_id: str, params: Mapping[str, Any]) -> Document:
        version_id = str(uuid.uuid4())
        body: Document = {
            "Arn": self._namespace.greengrass(f"groups/{group_id}/versions/{version_id}"),
            "CreationTimestamp": timestamp(),
            "Definition": {name: params[name] for name in _REFERENCES if params.get(name)},
            "Id": group_id,
            "Version": version_id,
        }
        self._store.put("groups/versions", version_id, body, parent=group_id)
        group = self._store.get("groups", group_id) or {}
        latest = {"LatestVersion": version_id, "LatestVersionArn": body["Arn"]}
        self._store.put("groups", group_id, {**group, **latest, "LastUpdatedTimestamp": body["CreationTimestamp"]})
        return body
