"""The eleven operations of Greengrass V1's API that this cloud has, by name; every other one answers 501.

Each member, enum and required field is botocore's (see ``protocol``). A client token (``X-Amzn-Client-Token``) makes a
create safe to repeat: the same token and request get the same answer again. What AWS said to the same token with
another request is not known; here it is refused.
"""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import nullcontext
from typing import Any

from edge_sim.cloud.greengrass.definitions import CORES, FUNCTIONS, RESOURCES, SUBSCRIPTIONS, Definitions
from edge_sim.cloud.greengrass.deployments import Deployments
from edge_sim.cloud.greengrass.groups import Groups
from edge_sim.cloud.greengrass.updates import Updates
from edge_sim.cloud.protocol import ApiError, Handler, Service
from edge_sim.cloud.store import Store

LENIENT = frozenset({"DeploymentType", "FunctionIsolationMode", "ResourceDownloadOwnerSetting"})
"""Shapes for which AWS had texts of its own, later than at the call or with other words than the protocol's."""


class GreengrassApi:
    """The operations over the four parts that carry them out."""

    def __init__(
        self,
        store: Store,
        *,
        definitions: Definitions,
        groups: Groups,
        deployments: Deployments,
        updates: Updates,
    ) -> None:
        self._store = store
        self._definitions = definitions
        self._groups = groups
        self._deployments = deployments
        self._updates = updates
        self._tokens = threading.Lock()

    def service(self) -> Service:
        """Return the service that answers Greengrass's requests."""
        return Service("greengrass", self._handlers(), lenient=LENIENT)

    def _handlers(self) -> dict[str, Handler]:
        made = self._definitions
        creates: dict[str, Handler] = {
            "CreateResourceDefinition": lambda p: made.create(RESOURCES, p),
            "CreateFunctionDefinition": lambda p: made.create(FUNCTIONS, p),
            "CreateCoreDefinition": lambda p: made.create(CORES, p),
            "CreateSubscriptionDefinition": lambda p: made.create(SUBSCRIPTIONS, p),
            "CreateResourceDefinitionVersion": self._create_resource_version,
            "CreateGroup": self._groups.create,
            "CreateGroupVersion": lambda p: self._groups.create_version(p["GroupId"], p),
            "CreateDeployment": self._deployments.create,
            "CreateSoftwareUpdateJob": self._updates.create_job,
        }
        return {name: self._once(name, create) for name, create in creates.items()} | {
            "GetResourceDefinitionVersion": self._get_resource_version,
            "GetDeploymentStatus": lambda p: self._deployments.status(p["GroupId"], p["DeploymentId"]),
        }

    def _create_resource_version(self, params: dict[str, Any]) -> dict[str, Any]:
        content = {"Resources": params.get("Resources", [])}
        return self._definitions.create_version(RESOURCES, params["ResourceDefinitionId"], content)

    def _get_resource_version(self, params: dict[str, Any]) -> dict[str, Any]:
        return self._definitions.get_version(
            RESOURCES, params["ResourceDefinitionId"], params["ResourceDefinitionVersionId"]
        )

    def _once(self, name: str, create: Handler) -> Handler:
        """Return a handler that carries out one client token's request once.

        A create and its token are written together. The update job is not created inside the store's transaction:
        announcing it may need the store from another thread.
        """

        def handle(params: dict[str, Any]) -> dict[str, Any]:
            token = params.pop("AmznClientToken", None)
            together = nullcontext() if name == "CreateSoftwareUpdateJob" else self._store.transaction()
            with self._tokens if token is not None else nullcontext(), together:
                if token is None:
                    return create(params)
                digest = hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()
                kept = self._store.get("client-tokens", f"{name}/{token}")
                if kept is None:
                    kept = {"request": digest, "answer": create(params)}
                    self._store.put("client-tokens", f"{name}/{token}", kept)
                if kept["request"] != digest:
                    text = "The client token was used before with a different request."
                    raise ApiError("BadRequestException", text)
                answer: dict[str, Any] = kept["answer"]
                return answer

        return handle
