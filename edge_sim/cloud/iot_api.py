"""The operations of AWS IoT that jobs need, as the HTTP server calls them: parameters in, botocore's shapes out.

``iot_handlers`` is the control plane (times in seconds, ``statusDetails.detailsMap``, no document),
``jobs_data_handlers`` the device plane over HTTP (flat ``statusDetails``, ``jobDocument`` as a string). Members of
CreateJob that are not simulated are refused, with edge-sim's name in the message: dropping them would let a job look
like it does more than it does.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from edge_sim.cloud.jobs_records import DEFAULT_EXPIRES_S, Job
from edge_sim.cloud.jobs_service import JobsService
from edge_sim.cloud.protocol import ApiError, CallContext, Handler
from edge_sim.jobs import messages, requests, topics
from edge_sim.jobs.execution import JobExecution, seconds_left
from edge_sim.jobs.wire import JobsError

T = TypeVar("T")

MAX_RESULTS = 250
NOT_SIMULATED = (
    "documentSource",
    "abortConfig",
    "namespaceId",
    "jobTemplateArn",
    "jobExecutionsRetryConfig",
    "documentParameters",
    "schedulingConfig",
    "destinationPackageVersions",
)
_COUNTS = {
    "QUEUED": "numberOfQueuedThings",
    "IN_PROGRESS": "numberOfInProgressThings",
    "SUCCEEDED": "numberOfSucceededThings",
    "FAILED": "numberOfFailedThings",
    "REJECTED": "numberOfRejectedThings",
    "CANCELED": "numberOfCanceledThings",
    "REMOVED": "numberOfRemovedThings",
    "TIMED_OUT": "numberOfTimedOutThings",
}
_ERRORS = {
    "ResourceNotFound": ("ResourceNotFoundException", 404),
    "InvalidStateTransition": ("InvalidStateTransitionException", 409),
    "TerminalStateReached": ("TerminalStateException", 410),
    "RequestThrottled": ("ThrottlingException", 429),
    "InternalError": ("InternalFailureException", 500),
}


def iot_handlers(service: JobsService, endpoints: Mapping[str, str] | None = None) -> dict[str, Handler]:
    """Return the handlers of the ``iot`` operations that exist here.

    ``endpoints``: endpoint type (``iot:Data-ATS``, ``iot:Jobs``, …) → address, here with a port, as it is local.
    """
    plain: dict[str, Callable[[JobsService, dict[str, Any]], dict[str, Any]]] = {
        "CreateThing": _create_thing,
        "DescribeThing": _describe_thing,
        "CreateThingGroup": _create_thing_group,
        "AddThingToThingGroup": _add_thing_to_thing_group,
        "ListThingsInThingGroup": _list_things_in_thing_group,
        "CreateJob": _create_job,
        "DescribeJob": _describe_job,
        "GetJobDocument": _get_job_document,
        "ListJobs": _list_jobs,
        "ListJobExecutionsForJob": _list_executions_for_job,
        "ListJobExecutionsForThing": _list_executions_for_thing,
        "DescribeJobExecution": _describe_execution,
        "CancelJob": _cancel_job,
        "CancelJobExecution": _cancel_execution,
        "DeleteJob": _delete_job,
    }
    handlers = {name: _bound(handler, service) for name, handler in plain.items()}
    known = dict(endpoints or {})

    def describe_endpoint(params: dict[str, Any], context: CallContext) -> dict[str, Any]:
        del context
        wanted = params.get("endpointType") or "iot:Data"
        if wanted not in known:
            raise _invalid(f"edge-sim has no endpoint of type {wanted}; it has {', '.join(known) or 'none'}.")
        return {"endpointAddress": known[wanted]}

    return {**handlers, "DescribeEndpoint": describe_endpoint}


def jobs_data_handlers(service: JobsService) -> dict[str, Handler]:
    """Return the handlers of the four ``iot-jobs-data`` operations that a V1 device may use instead of MQTT."""
    calls: dict[str, topics.Call] = {
        "GetPendingJobExecutions": "get-pending",
        "StartNextPendingJobExecution": "start-next",
        "DescribeJobExecution": "describe",
        "UpdateJobExecution": "update",
    }
    return {name: _data_handler(service, call) for name, call in calls.items()}


def _bound(handler: Callable[[JobsService, dict[str, Any]], dict[str, Any]], service: JobsService) -> Handler:
    def handle(params: dict[str, Any], context: CallContext) -> dict[str, Any]:
        del context
        return handler(service, params)

    return handle


def _data_handler(service: JobsService, call: topics.Call) -> Handler:
    def handle(params: dict[str, Any], context: CallContext) -> dict[str, Any]:
        del context
        request = topics.Request(thing=params["thingName"], call=call, job_id=params.get("jobId"))
        try:
            reply = service.device.call(request, requests.from_fields(call, params))
        except JobsError as error:
            # There is no shape for a version clash: a capture shows InvalidRequestException.
            code, status = _ERRORS.get(error.code, ("InvalidRequestException", 400))
            raise ApiError(code, str(error), status) from error
        return _over_http(reply, request.thing)

    return handle


def _over_http(reply: messages.Message, thing: str) -> dict[str, Any]:
    fields = {key: value for key, value in messages.fields_of(reply).items() if value is not None}
    del fields["timestamp"]  # MQTT's alone
    if "execution" in fields:
        fields["execution"] = {**_text_document(fields["execution"]), "thingName": thing}
    return _text_document(fields)


def _text_document(fields: dict[str, Any]) -> dict[str, Any]:
    if "jobDocument" not in fields:
        return fields
    return {**fields, "jobDocument": json.dumps(fields["jobDocument"], separators=(",", ":"))}


def _create_thing(service: JobsService, params: dict[str, Any]) -> dict[str, Any]:
    _refuse(params, ("thingTypeName", "billingGroupName"))
    attributes = (params.get("attributePayload") or {}).get("attributes")
    thing = service.create_thing(params["thingName"], attributes)
    return {"thingName": thing.name, "thingArn": thing.arn, "thingId": thing.id}


def _describe_thing(service: JobsService, params: dict[str, Any]) -> dict[str, Any]:
    thing = service.describe_thing(params["thingName"])
    return {
        "defaultClientId": thing.name,
        "thingName": thing.name,
        "thingId": thing.id,
        "thingArn": thing.arn,
        "attributes": dict(thing.attributes),
        "version": 1,
    }


def _create_thing_group(service: JobsService, params: dict[str, Any]) -> dict[str, Any]:
    _refuse(params, ("parentGroupName",))
    arn, group_id = service.create_thing_group(params["thingGroupName"])
    return {"thingGroupName": params["thingGroupName"], "thingGroupArn": arn, "thingGroupId": group_id}


def _add_thing_to_thing_group(service: JobsService, params: dict[str, Any]) -> dict[str, Any]:
    group = params.get("thingGroupName") or (params.get("thingGroupArn") or "").rpartition("/")[2]
    thing = params.get("thingName") or (params.get("thingArn") or "").rpartition("/")[2]
    if not group or not thing:
        raise _invalid("A thing group and a thing must be named.")
    service.add_to_group(group, thing)
    return {}


def _list_things_in_thing_group(service: JobsService, params: dict[str, Any]) -> dict[str, Any]:
    return _page("things", service.group_members(params["thingGroupName"]), params, str)


def _create_job(service: JobsService, params: dict[str, Any]) -> dict[str, Any]:
    _refuse(params, NOT_SIMULATED)
    if params.get("targetSelection", "SNAPSHOT") != "SNAPSHOT":
        raise _invalid("edge-sim does not simulate CONTINUOUS jobs.")
    rollout = params.get("jobExecutionsRolloutConfig") or {}
    _refuse(rollout, ("exponentialRate",))
    if params.get("document") is None:
        raise _invalid("A job needs a document.")
    presigned = params.get("presignedUrlConfig") or {}
    arn = service.create_job(
        params["jobId"],
        targets=params["targets"],
        document=params["document"],
        description=params.get("description"),
        presigned_role_arn=presigned.get("roleArn"),
        expires_s=presigned.get("expiresInSec") or DEFAULT_EXPIRES_S,
        timeout_minutes=(params.get("timeoutConfig") or {}).get("inProgressTimeoutInMinutes"),
        maximum_per_minute=rollout.get("maximumPerMinute"),
    )
    return {"jobArn": arn, "jobId": params["jobId"], "description": params.get("description")}


def _describe_job(service: JobsService, params: dict[str, Any]) -> dict[str, Any]:
    job = service.job(params["jobId"])
    counts = service.counts(job)
    presigned = {"roleArn": job.role_arn, "expiresInSec": job.expires_s} if job.role_arn else {}
    rollout = {} if job.maximum_per_minute is None else {"maximumPerMinute": job.maximum_per_minute}
    timeout = {} if job.timeout_minutes is None else {"inProgressTimeoutInMinutes": job.timeout_minutes}
    described = {
        **_job_summary(job),
        "forceCanceled": job.force_canceled or None,
        "reasonCode": job.reason_code,
        "comment": job.comment,
        "targets": list(job.targets),
        "description": job.description,
        "presignedUrlConfig": presigned,
        "jobExecutionsRolloutConfig": rollout,
        "timeoutConfig": timeout,
        "jobProcessDetails": {name: counts[status] for status, name in _COUNTS.items()},
    }
    return {"job": described}


def _get_job_document(service: JobsService, params: dict[str, Any]) -> dict[str, Any]:
    return {"document": service.job(params["jobId"]).document}


def _list_jobs(service: JobsService, params: dict[str, Any]) -> dict[str, Any]:
    _refuse(params, ("thingGroupName", "thingGroupId", "namespaceId"))
    wanted = params.get("status")
    jobs = [job for job in service.jobs() if wanted in (None, job.status)]
    if params.get("targetSelection") == "CONTINUOUS":
        jobs = []
    return _page("jobs", jobs, params, _job_summary)


def _list_executions_for_job(service: JobsService, params: dict[str, Any]) -> dict[str, Any]:
    found = [e for e in service.executions_of_job(params["jobId"]) if params.get("status") in (None, e.status)]

    def shown(execution: JobExecution) -> dict[str, Any]:
        arn = service.thing_arn(execution.thing_name)
        return {"thingArn": arn, "jobExecutionSummary": _execution_summary(execution)}

    return _page("executionSummaries", found, params, shown)


def _list_executions_for_thing(service: JobsService, params: dict[str, Any]) -> dict[str, Any]:
    _refuse(params, ("namespaceId",))
    found = [
        e
        for e in service.executions_of_thing(params["thingName"])
        if params.get("status") in (None, e.status) and params.get("jobId") in (None, e.job_id)
    ]

    def shown(execution: JobExecution) -> dict[str, Any]:
        return {"jobId": execution.job_id, "jobExecutionSummary": _execution_summary(execution)}

    return _page("executionSummaries", found, params, shown)


def _describe_execution(service: JobsService, params: dict[str, Any]) -> dict[str, Any]:
    found = service.execution(params["thingName"], params["jobId"], params.get("executionNumber"))
    described = {
        **_execution_summary(found),
        "jobId": found.job_id,
        "forceCanceled": found.force_canceled or None,
        "statusDetails": {"detailsMap": dict(found.status_details or {})},
        "thingArn": service.thing_arn(found.thing_name),
        "versionNumber": found.version,
        "approximateSecondsBeforeTimedOut": seconds_left(found, service.device.now()),
    }
    return {"execution": described}


def _cancel_job(service: JobsService, params: dict[str, Any]) -> dict[str, Any]:
    job = service.cancel_job(
        params["jobId"],
        force=bool(params.get("force")),
        reason_code=params.get("reasonCode"),
        comment=params.get("comment"),
    )
    return {"jobArn": job.arn, "jobId": job.job_id, "description": job.description}


def _cancel_execution(service: JobsService, params: dict[str, Any]) -> dict[str, Any]:
    try:
        details = requests.details_of(params["statusDetails"]) if params.get("statusDetails") else None
    except JobsError as error:
        raise _invalid(str(error)) from error
    service.cancel_job_execution(
        params["thingName"],
        params["jobId"],
        force=bool(params.get("force")),
        expected_version=params.get("expectedVersion"),
        status_details=details,
    )
    return {}


def _delete_job(service: JobsService, params: dict[str, Any]) -> dict[str, Any]:
    _refuse(params, ("namespaceId",))
    service.delete_job(params["jobId"], force=bool(params.get("force")))
    return {}


def _job_summary(job: Job) -> dict[str, Any]:
    return {
        "jobArn": job.arn,
        "jobId": job.job_id,
        "targetSelection": "SNAPSHOT",
        "status": job.status,
        "createdAt": job.created_at,
        "lastUpdatedAt": job.last_updated_at,
        "completedAt": job.completed_at,
        "isConcurrent": False,
    }


def _execution_summary(execution: JobExecution) -> dict[str, Any]:
    return {
        "status": execution.status,
        "queuedAt": execution.queued_at,
        "startedAt": execution.started_at,
        "lastUpdatedAt": execution.last_updated_at,
        "executionNumber": execution.number,
    }


def _page(member: str, items: Sequence[T], params: Mapping[str, Any], shown: Callable[[T], object]) -> dict[str, Any]:
    """Return one page. The token is the place to go on from: good enough for lists that change at their ends."""
    first, count = _place(params.get("nextToken")), params.get("maxResults") or MAX_RESULTS
    rest = first + count
    token = base64.urlsafe_b64encode(str(rest).encode()).decode() if rest < len(items) else None
    return {member: [shown(item) for item in items[first:rest]], "nextToken": token}


def _place(token: str | None) -> int:
    if token is None:
        return 0
    try:
        return max(0, int(base64.urlsafe_b64decode(token.encode()).decode()))
    except ValueError as error:
        raise _invalid("Invalid nextToken.") from error


def _refuse(params: Mapping[str, Any], names: Sequence[str]) -> None:
    for name in names:
        if params.get(name):
            raise _invalid(f"edge-sim does not simulate {name}.")


def _invalid(message: str) -> ApiError:
    return ApiError("InvalidRequestException", message, 400)
