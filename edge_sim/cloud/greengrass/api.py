"""The operations of Greengrass V1's API that this cloud has, by name; every other one answers 501.

Definitions of every family, and groups, have the same eight verbs; a ninth would be a line of ``VERBS``.

Each member, enum and required field is botocore's (see ``protocol``). A client token (``X-Amzn-Client-Token``) makes a
create safe to repeat: the same token and request get the same answer again. What AWS said to the same token with
another request is not known; here it is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from edge_sim.cloud.greengrass.definitions import Definitions, Params, Result
from edge_sim.cloud.greengrass.deployments import Deployments
from edge_sim.cloud.greengrass.kinds import GROUP, KINDS, Kind
from edge_sim.cloud.greengrass.updates import Updates
from edge_sim.cloud.protocol import ApiError, Handler, Service
from edge_sim.cloud.store import Store

LENIENT = frozenset({"DeploymentType", "FunctionIsolationMode", "ResourceDownloadOwnerSetting"})
"""Shapes for which AWS had texts of its own, later than at the call or with other words than the protocol's."""

VERBS: Mapping[str, Callable[[Definitions, Kind, Params], Result]] = {
    "Create{}": Definitions.create,
    "Get{}": Definitions.get,
    "List{}s": Definitions.list,
    "Update{}": Definitions.update,
    "Delete{}": Definitions.delete,
    "Create{}Version": Definitions.create_version,
    "Get{}Version": Definitions.get_version,
    "List{}Versions": Definitions.list_versions,
}
"""What can be done with each kind, by the name of the operation."""


class GreengrassApi:
    """The operations over the three parts that carry them out."""

    def __init__(
        self,
        store: Store,
        *,
        definitions: Definitions,
        deployments: Deployments,
        updates: Updates,
    ) -> None:
        self._store = store
        self._definitions = definitions
        self._deployments = deployments
        self._updates = updates

    def service(self) -> Service:
        """Return the service that answers Greengrass's requests."""
        return Service("greengrass", self._handlers(), lenient=LENIENT)

    def _handlers(self) -> dict[str, Handler]:
        parts = self._definitions
        handlers: dict[str, Handler] = {
            operation.format(kind.name): partial(verb, parts, kind)
            for kind in KINDS
            for operation, verb in VERBS.items()
        }
        handlers |= {
            "DeleteGroup": self._delete_group,
            "TagResource": parts.tag,
            "UntagResource": parts.untag,
            "ListTagsForResource": parts.tags,
            "CreateDeployment": self._deployments.create,
            "GetDeploymentStatus": lambda p: self._deployments.status(p["GroupId"], p["DeploymentId"]),
            "CreateSoftwareUpdateJob": self._updates.create_job,
        }
        return {name: self._once(name, handler) for name, handler in handlers.items()}

    def _delete_group(self, params: dict[str, Any]) -> dict[str, object]:
        self._deployments.refuse_deployed(params["GroupId"])
        return self._definitions.delete(GROUP, params)

    def _once(self, name: str, handler: Handler) -> Handler:
        """Return a handler that does all or nothing, and carries out one client token's request once."""

        def handle(params: dict[str, object]) -> dict[str, object]:
            token = params.pop("AmznClientToken", None)
            with self._store.transaction():
                return handler(params) if token is None else self._repeated(f"{name}/{token}", handler, params)

        return handle

    def _repeated(self, id_: str, handler: Handler, params: dict[str, object]) -> dict[str, object]:
        """Return the answer that was given to a token's request, or carry it out and keep the answer."""
        digest = hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()
        before = self._store.get("client-tokens", id_)
        if before is None:
            before = {"request": digest, "answer": handler(params)}
            self._store.put("client-tokens", id_, before)
        if before["request"] != digest:
            raise ApiError("BadRequestException", "The client token was used before with a different request.")
        answer: dict[str, object] = before["answer"]
        return answer
