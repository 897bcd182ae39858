"""The operations on jobs of AWS IoT's control plane: parameters in, botocore's shapes out.

Times are in seconds, ``statusDetails`` is a ``detailsMap``, and an execution comes without its document. Members of
CreateJob that are not simulated are refused, with edge-sim's name in the message: dropping them would let a job look
like it does more than it does.
"""

from __future__ import annotations

from typing import Any

from edge_sim.cloud.jobs.params import invalid, page, place, refuse
from edge_sim.cloud.jobs.records import DEFAULT_EXPIRES_S, Job
from edge_sim.cloud.jobs.service import JobsService
from edge_sim.jobs import requests
from edge_sim.jobs.execution import JobExecution, seconds_left
from edge_sim.jobs.wire import JobsError

NOT_SIMULATED = (
    "documentSource",
    "abortConfig",
    "tags",
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


def create_job(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
    refuse(params, NOT_SIMULATED)
    if params.get("targetSelection", "SNAPSHOT") != "SNAPSHOT":
        raise invalid("edge-sim does not simulate CONTINUOUS jobs.")
    rollout = params.get("jobExecutionsRolloutConfig") or {}
    refuse(rollout, ("exponentialRate",))
    if params.get("document") is None:
        raise invalid("A job needs a document.")
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


def describe_job(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
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
        "schedulingConfig": {},
        "jobProcessDetails": {name: counts[status] for status, name in _COUNTS.items()},
    }
    return {"job": described}


def get_job_document(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
    return {"document": service.job(params["jobId"]).document}


def list_jobs(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
    refuse(params, ("thingGroupName", "thingGroupId", "namespaceId"))
    if params.get("targetSelection") == "CONTINUOUS":
        return page("jobs", (), None)
    limit, position = place(params)
    jobs, more = service.jobs(params.get("status"), limit=limit, position=position)
    return page("jobs", jobs, more, _job_summary)


def list_executions_for_job(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
    limit, position = place(params)
    executions, more = service.executions_of_job(params["jobId"], params.get("status"), limit=limit, position=position)

    def summary(execution: JobExecution) -> dict[str, object]:
        arn = service.thing_arn(execution.thing_name)
        return {"thingArn": arn, "jobExecutionSummary": _execution_summary(execution)}

    return page("executionSummaries", executions, more, summary)


def list_executions_for_thing(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
    refuse(params, ("namespaceId",))
    limit, position = place(params)
    executions, more = service.executions_of_thing(
        params["thingName"], params.get("status"), params.get("jobId"), limit=limit, position=position
    )

    def summary(execution: JobExecution) -> dict[str, Any]:
        return {"jobId": execution.job_id, "jobExecutionSummary": _execution_summary(execution)}

    return page("executionSummaries", executions, more, summary)


def describe_execution(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
    execution = service.execution(params["thingName"], params["jobId"], params.get("executionNumber"))
    described = {
        **_execution_summary(execution),
        "jobId": execution.job_id,
        "forceCanceled": execution.force_canceled or None,
        "statusDetails": {"detailsMap": dict(execution.status_details or {})},
        "thingArn": service.thing_arn(execution.thing_name),
        "versionNumber": execution.version,
        "approximateSecondsBeforeTimedOut": seconds_left(execution, service.device.now()),
    }
    return {"execution": described}


def cancel_job(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
    job = service.cancel_job(
        params["jobId"],
        force=bool(params.get("force")),
        reason_code=params.get("reasonCode"),
        comment=params.get("comment"),
    )
    return {"jobArn": job.arn, "jobId": job.job_id, "description": job.description}


def cancel_execution(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
    try:
        details = requests.details_of(params["statusDetails"]) if params.get("statusDetails") else None
    except JobsError as error:
        raise invalid(str(error)) from error
    service.cancel_job_execution(
        params["thingName"],
        params["jobId"],
        force=bool(params.get("force")),
        expected_version=params.get("expectedVersion"),
        status_details=details,
    )
    return {}


def delete_job(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
    refuse(params, ("namespaceId",))
    service.delete_job(params["jobId"], force=bool(params.get("force")))
    return {}


def _job_summary(job: Job) -> dict[str, object]:
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


def _execution_summary(execution: JobExecution) -> dict[str, object]:
    return {
        "status": execution.status,
        "queuedAt": execution.queued_at,
        "startedAt": execution.started_at,
        "lastUpdatedAt": execution.last_updated_at,
        "executionNumber": execution.number,
    }
