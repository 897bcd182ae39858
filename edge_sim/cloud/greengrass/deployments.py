"""Deployments: from CreateDeployment to the core's own word on how it went.

Building → InProgress → Success | Failure. Building happens in a worker thread; what was Building when the cloud
stopped is built again when it starts. Texts: greengrass-v1 facts 1.8. How a reset looks to the core (an empty group)
is inferred.
"""

from __future__ import annotations

import json
import logging
import queue
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from edge_sim.cloud.artifacts import artifact_path
from edge_sim.cloud.greengrass.arns import Namespace
from edge_sim.cloud.greengrass.building import Builder, BuildError, DeploymentContent
from edge_sim.cloud.greengrass.clock import timestamp
from edge_sim.cloud.greengrass.cores import CURRENT, DESIRED
from edge_sim.cloud.greengrass.definitions import Definitions
from edge_sim.cloud.greengrass.kinds import GROUP
from edge_sim.cloud.greengrass.reports import checked_report
from edge_sim.cloud.protocol import ApiError
from edge_sim.cloud.store import Document, Store
from edge_sim.errors import MACHINE
from edge_sim.greengrass.deployment import RUNNING

_log = logging.getLogger(__name__)

Announce = Callable[[str, dict[str, object]], None]
"""(thing name, deployment as the core sees it)"""
SignUrl = Callable[[str, str, int], str]
"""(method, path, seconds) → presigned URL"""

URL_LIFE_S = 3600
CLOSE_LIMIT_S = 5.0
_TYPES = ("NewDeployment", "Redeployment", "ResetDeployment", "ForceResetDeployment")
_RESETS = _TYPES[2:]
_NO_CORE = "You need a Greengrass Core in this Group before you can deploy."


class Deployments:
    """All deployments of one cloud. ``announce`` is called when a core has something to do."""

    def __init__(
        self,
        store: Store,
        namespace: Namespace,
        definitions: Definitions,
        builder: Builder,
        *,
        sign_url: SignUrl,
        announce: Announce,
    ) -> None:
        self._store = store
        self._namespace = namespace
        self._definitions = definitions
        self._builder = builder
        self._sign_url = sign_url
        self._announce = announce
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._worker = threading.Thread(target=self._work, name="edge-sim-building", daemon=True)
        self._worker.start()

    def resume(self) -> None:
        """Build again what was Building when the cloud was stopped, and tell every core what it has to deploy.

        A core that stayed connected, to a broker of its own, may have missed it.
        """
        for deployment in self._store.list("deployments"):
            if deployment["DeploymentStatus"] == "Building":
                self._waiting.put(deployment["DeploymentId"])
        for pointer in self._store.list(DESIRED):
            self._tell(self._store.get("deployments", pointer["DeploymentId"]) or {})

    def close(self) -> None:
        """Let the build that runs finish, within CLOSE_LIMIT_S; a restart takes up what is still Building."""
        self._closing.set()
        self._waiting.put(None)
        self._worker.join(CLOSE_LIMIT_S)

    def create(self, params: Mapping[str, Any]) -> dict[str, object]:
        """CreateDeployment. Call it inside a transaction of the store: the build starts when that ends."""
        type_, group_id = params["DeploymentType"], params["GroupId"]
        if type_ not in _TYPES:
            text = (
                "That deployment type is not valid.  Please specify one of the following types: "
                f"{{{','.join(_TYPES)}}}."
            )
            raise ApiError("InvalidInputException", text)
        version = self._version(params)
        core = self._builder.core(version)
        if core is None:
            raise _missing_core()
        self._refuse_concurrent(group_id, type_)
        id_, now = str(uuid.uuid4()), timestamp()
        body: Document = {
            "DeploymentId": id_,
            "DeploymentArn": self._namespace.greengrass(f"groups/{group_id}/deployments/{id_}"),
            "GroupId": group_id,
            "GroupVersionId": version["Version"],
            "DeploymentType": type_,
            "DeploymentStatus": "Building",
            "ThingName": core.thing_name,
            "UpdatedAt": now,
        }
        self._store.put("deployments", id_, body, parent=group_id)
        self._waiting.put(id_)
        return {"DeploymentArn": body["DeploymentArn"], "DeploymentId": id_}

    def status(self, group_id: str, deployment_id: str) -> dict[str, object]:
        """GetDeploymentStatus."""
        deployment = self._store.get("deployments", deployment_id)
        if deployment is None or deployment["GroupId"] != group_id:
            raise ApiError("InvalidInputException", f"Deployment '{deployment_id}' does not exist.")
        members = ("DeploymentStatus", "DeploymentType", "ErrorDetails", "ErrorMessage", "UpdatedAt")
        return {key: deployment[key] for key in members if key in deployment}

    def advice(self, deployment_id: str) -> dict[str, Any]:
        """Return what the API has no place for: why a deployment failed, what to do, what the core could not prove.

        404 when there is no such deployment.
        """
        deployment = self._store.get("deployments", deployment_id)
        if deployment is None:
            raise ApiError("ResourceNotFoundException", f"Deployment '{deployment_id}' does not exist.", 404)
        not_proven = [*deployment.get("NotSimulated", []), *deployment.get("NotProven", [])]
        return {"cause": deployment.get("Cause"), "hint": deployment.get("Hint"), "not_proven": not_proven}

    def desired(self, thing_name: str) -> dict[str, Any] | None:
        """Return the deployment that a core has to carry out now, with fresh URLs, or None."""
        pointer = self._store.get(DESIRED, thing_name)
        deployment = self._store.get("deployments", pointer["DeploymentId"]) if pointer else None
        if deployment is None:
            return None
        base = f"/artifacts/deployments/{deployment['DeploymentId']}"
        return {
            **{key: deployment[key] for key in ("DeploymentId", "DeploymentType", "GroupId", "GroupVersionId")},
            "DocumentUrl": self._sign_url("GET", f"{base}/document", URL_LIFE_S),
            "StatusUrl": self._sign_url("PUT", f"{base}/status", URL_LIFE_S),
        }

    def document(self, deployment_id: str) -> dict[str, object] | None:
        """Return what the core downloads, with fresh artifact URLs; None when there is no such deployment."""
        build, deployment = (self._store.get(kind, deployment_id) for kind in ("deployment-documents", "deployments"))
        if build is None or deployment is None:
            return None
        thing = deployment["ThingName"]
        artifacts = {
            arn: {
                "Url": self._sign_url("GET", artifact_path(file["sha256"], thing), URL_LIFE_S),
                "Sha256": file["sha256"],
                "Size": file["size"],
            }
            for arn, file in build["files"].items()
        }
        base = f"/artifacts/deployments/{deployment_id}/secrets"
        secrets = {
            id_: {"Url": self._sign_url("GET", f"{base}/{number}", URL_LIFE_S)}
            for number, id_ in enumerate(build.get("secrets", ()))
        }
        return {"Group": build["group"], "Artifacts": artifacts, "Secrets": secrets}

    def secret(self, deployment_id: str, number: int) -> dict[str, object] | None:
        """Return the secret that the document names as its ``number``-th, while the core carries the deployment out.

        None otherwise. Raises ApiError when the secret has gone meanwhile.
        """
        deployment = self._store.get("deployments", deployment_id)
        build = self._store.get("deployment-documents", deployment_id)
        if deployment is None or build is None or deployment["DeploymentStatus"] != "InProgress":
            return None
        secrets = list(build.get("secrets", {}).values())[number : number + 1]
        return self._builder.secret_value(secrets[0]) if secrets else None

    def report(self, deployment_id: str, body: Mapping[str, object]) -> None:
        """Take the core's word on a deployment (the PUT to StatusUrl); the same word twice is fine."""
        news = checked_report(body)
        with self._store.transaction():
            deployment = self._store.get("deployments", deployment_id)
            if deployment is None:
                raise ApiError("ResourceNotFoundException", f"Deployment '{deployment_id}' does not exist.", 404)
            final = deployment["DeploymentStatus"] not in RUNNING
            forced = deployment["DeploymentType"] == "ForceResetDeployment"
            if final and not forced and deployment["DeploymentStatus"] != news["DeploymentStatus"]:
                text = f"Deployment '{deployment_id}' has ended with {deployment['DeploymentStatus']} already."
                raise ApiError("ConflictException", text, 409)
            if not final:
                self._store.put("deployments", deployment_id, {**deployment, **news, "UpdatedAt": timestamp()})
            if news["DeploymentStatus"] == "Success":
                self._store.put(CURRENT, deployment["ThingName"], {"DeploymentId": deployment_id})
            pointer = self._store.get(DESIRED, deployment["ThingName"])
            if news["DeploymentStatus"] != "InProgress" and pointer == {"DeploymentId": deployment_id}:
                self._store.delete(DESIRED, deployment["ThingName"])

    def refuse_deployed(self, group_id: str) -> None:
        """Raise ApiError while a group is deployed: it is reset before it is deleted (reset-deployments-scenario.md).

        AWS's own text is not known.
        """
        last = next((d for d in self._latest(group_id) if d["DeploymentStatus"] != "Failure"), None)
        if last and (last["DeploymentType"] not in _RESETS or last["DeploymentStatus"] in RUNNING):
            text = f"Group {group_id} is deployed: reset its deployments before you delete it."
            raise ApiError("BadRequestException", text)

    def _group_version(self, group_id: str, version_id: str) -> Document:
        if not self._definitions.exists(GROUP, group_id):
            raise ApiError("ResourceNotFoundException", f"That {GROUP.texts.other} does not exist.", 404)
        version = self._definitions.version(GROUP, group_id, version_id)
        if version is None:
            text = f"Version {version_id} of {GROUP.texts.title} {group_id} does not exist."
            raise ApiError("ResourceNotFoundException", text, 404)
        return version

    def _version(self, params: Mapping[str, Any]) -> Document:
        type_, group_id = params["DeploymentType"], params["GroupId"]
        if type_ == "Redeployment":
            return self._group_version(group_id, self._earlier(params)["GroupVersionId"])
        if type_ in _RESETS:
            return self._group_version(group_id, self._to_reset(group_id, type_)["GroupVersionId"])
        if not params.get("GroupVersionId"):
            raise _missing_parameter("GroupVersionId")
        return self._group_version(group_id, params["GroupVersionId"])

    def _earlier(self, params: Mapping[str, Any]) -> Document:
        id_ = params.get("DeploymentId")
        if id_ is None:
            raise _missing_parameter("DeploymentId")
        deployment = self._store.get("deployments", id_)
        if deployment is None or deployment["GroupId"] != params["GroupId"]:
            raise ApiError("InvalidInputException", f"Deployment ID '{id_}' is invalid.")
        return deployment

    def _to_reset(self, group_id: str, type_: str) -> Document:
        """Return the deployment that a reset undoes."""
        forced = "Force" in type_
        for last in self._latest(group_id):
            status = last["DeploymentStatus"]
            if status == "Success" or (forced and status != "Building"):
                if last["DeploymentType"] not in _RESETS or forced:
                    return last
                break
        text = f"Group id: {group_id} has not been deployed or has already been reset."
        raise ApiError("ResourceNotFoundException", text, 404)

    def _latest(self, group_id: str) -> Iterator[Document]:
        """Yield a group's deployments, the latest first; all but the latest have ended."""
        position: int | None = 0
        while position is not None:
            documents, position = self._store.page(
                "deployments", group_id, limit=10, position=position, newest_first=True
            )
            yield from documents

    def _refuse_concurrent(self, group_id: str, type_: str) -> None:
        """One deployment at a time. A forced reset ends one that no core finishes (ours: AWS names no way out)."""
        other = next(self._latest(group_id), None)
        if other is None or other["DeploymentStatus"] not in RUNNING:
            return
        if other["DeploymentStatus"] != "InProgress" or type_ != "ForceResetDeployment":
            text = f"Deployment {other['DeploymentId']} of this group is {other['DeploymentStatus']}."
            raise ApiError("ConcurrentDeployment", text)
        text = "A forced reset ended this deployment before the core reported on it."
        news = {"DeploymentStatus": "Failure", "ErrorMessage": text, "UpdatedAt": timestamp()}
        self._store.put("deployments", other["DeploymentId"], {**other, **news})

    def _work(self) -> None:
        while (deployment_id := self._waiting.get()) is not None and not self._closing.is_set():
            try:
                self._build(deployment_id)
            except sqlite3.Error:
                if self._closing.is_set():
                    return  # the state is closed; the deployment stays Building
                _log.exception("deployment %s: its outcome could not be written", deployment_id)

    def _build(self, deployment_id: str) -> None:
        try:
            deployment = self._store.get("deployments", deployment_id)
            if deployment is not None:
                self._finish(deployment, self._build_outcome(deployment))
        except BuildError as error:
            self._fail(deployment_id, error.message, ErrorDetails=error.details, Hint=error.hint)
        except sqlite3.Error:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in MACHINE:
                text = f"The deployment could not be built on this machine: {error.strerror}."
                return self._fail(deployment_id, text, Cause="environment")
            _log.exception("deployment %s could not be built", deployment_id)
            self._fail(deployment_id, "The deployment could not be built because of an error in edge-sim.")

    def _build_outcome(self, deployment: Document) -> DeploymentContent:
        version = self._group_version(deployment["GroupId"], deployment["GroupVersionId"])
        if deployment["DeploymentType"] in _RESETS:
            return self._builder.empty(version)
        return self._builder.build(version, deployment["DeploymentId"])

    def _finish(self, deployment: Document, build: DeploymentContent) -> None:
        id_, thing = deployment["DeploymentId"], deployment["ThingName"]
        forced = deployment["DeploymentType"] == "ForceResetDeployment"  # does not wait for the core
        status = "Success" if forced else "InProgress"
        news = {"DeploymentStatus": status, "UpdatedAt": timestamp(), "NotSimulated": build.not_proven}
        with self._store.transaction():
            self._store.put("deployment-documents", id_, asdict(build))
            self._store.put("deployments", id_, {**deployment, **news})
            self._store.put(DESIRED, thing, {"DeploymentId": id_})
        self._tell(deployment)

    def _tell(self, deployment: Document) -> None:
        thing = deployment.get("ThingName", "")
        desired = self.desired(thing)
        if desired is not None:
            self._announce(thing, desired)

    def _fail(self, deployment_id: str, message: str, **more: object) -> None:
        """End a deployment. ``more``: ErrorDetails, and the members Hint and Cause, which AWS does not have."""
        deployment = self._store.get("deployments", deployment_id)
        if deployment is not None:
            news = {"DeploymentStatus": "Failure", "ErrorMessage": message, "ErrorDetails": [], **more}
            self._store.put("deployments", deployment_id, {**deployment, **news, "UpdatedAt": timestamp()})


def _missing_core() -> ApiError:
    details = [{"DetailedErrorCode": "GG-303", "DetailedErrorMessage": _NO_CORE}]
    text = json.dumps({"ErrorDetails": details})  # AWS put the JSON text into the message
    return ApiError("MissingCoreException", text, 400, details)


def _missing_parameter(name: str) -> ApiError:
    text = f"Your request is missing the following required parameter(s): {{{name}}}."
    return ApiError("InvalidInputException", text)
