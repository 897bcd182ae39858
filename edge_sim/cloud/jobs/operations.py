"""The operations on jobs of AWS IoT's control plane: parameters in, botocore's shapes out.

Times are in seconds, ``statusDetails`` is a ``detailsMap``, and an execution comes without its document. Members of
CreateJob that are not simulated are refused, with edge-sim's name in the message: dropping them would let a job look
like it does more than it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_sim.cloud.jobs.params import invalid, page, place, refuse
from edge_sim.cloud.jobs.records import DEFAULT_EXPIRES_S, Job
from edge_sim.cloud.jobs.service import JobSettings, JobsService
from edge_sim.jobs import requests
from edge_sim.jobs.execution import JobExecution, seconds_left
from edge_sim.jobs.wire import JobsError

NOT_SIMULATED = (
    "documentSource",
    "tags",
    "namespaceId",
    "jobTemplateArn",
    "documentParameters",
    "schedulingConfig",
    "destinationPackageVersions",
)
_SPREAD = {"jobExecutionsRolloutConfig": "rollout", "abortConfig": "abort", "jobExecutionsRetryConfig": "retry"}
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
        settings=JobSettings(continuous=params.get("targetSelection") == "CONTINUOUS", **_settings(params)),
    )
    return {"jobArn": arn, "jobId": params["jobId"], "description": params.get("description")}


def _settings(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of JobSettings, and of Job, that ``params`` has something to say of."""
    fields = {field: params[member] for member, field in _SPREAD.items() if params.get(member) is not None}
    if params.get("timeoutConfig") is not None:
        fields["timeout_minutes"] = params["timeoutConfig"].get("inProgressTimeoutInMinutes")
    return fields


def update_job(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
    refuse(params, ("namespaceId",))
    changes = _settings(params)
    if params.get("description") is not None:
        changes["description"] = params["description"]
    if params.get("presignedUrlConfig") is not None:
        presigned = params["presignedUrlConfig"]
        changes.update(role_arn=presigned.get("roleArn"), expires_s=presigned.get("expiresInSec") or DEFAULT_EXPIRES_S)
    service.update_job(params["jobId"], changes)
    return {}


def associate_targets(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
    refuse(params, ("namespaceId",))
    job = service.associate(params["jobId"], params["targets"], params.get("comment"))
    return {"jobArn": job.arn, "jobId": job.job_id, "description": job.description}


def describe_job(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
    job = service.job(params["jobId"])
    counts = service.counts(job)
    presigned = {"roleArn": job.role_arn, "expiresInSec": job.expires_s} if job.role_arn else {}
    timeout = {} if job.timeout_minutes is None else {"inProgressTimeoutInMinutes": job.timeout_minutes}
    described = {
        **_job_summary(job),
        "forceCanceled": job.force_canceled or None,
        "reasonCode": job.reason_code,
        "comment": job.comment,
        "targets": list(job.targets),
        "description": job.description,
        "presignedUrlConfig": presigned,
        "jobExecutionsRolloutConfig": dict(job.rollout),
        "abortConfig": dict(job.abort) or None,
        "jobExecutionsRetryConfig": dict(job.retry) or None,
        "timeoutConfig": timeout,
        "schedulingConfig": {},
        "jobProcessDetails": {
            "processingTargets": list(job.targets) if job.next_batch_at is not None else None,
            **{name: counts[status] for status, name in _COUNTS.items()},
        },
    }
    return {"job": described}


def get_job_document(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
    return {"document": service.job(params["jobId"]).document}


def list_jobs(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
    refuse(params, ("thingGroupName", "thingGroupId", "namespaceId"))
    limit, position = place(params)
    selection = params.get("targetSelection")
    continuous = None if selection is None else selection == "CONTINUOUS"
    jobs, more = service.jobs(params.get("status"), continuous, limit=limit, position=position)
    return page("jobs", jobs, more, _job_summary)


def list_executions_for_job(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
    limit, position = place(params)
    executions, more = service.executions_of_job(params["jobId"], params.get("status"), limit=limit, position=position)

    def summary(execution: JobExecution) -> dict[str, object]:
        arn = service.things.arn(execution.thing_name)
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
        **_progress(execution),
        "jobId": execution.job_id,
        "forceCanceled": execution.force_canceled or None,
        "statusDetails": {"detailsMap": dict(execution.status_details or {})},
        "thingArn": service.things.arn(execution.thing_name),
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


def delete_execution(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
    refuse(params, ("namespaceId",))
    service.delete_execution(
        params["thingName"],
        params["jobId"],
        params["executionNumber"],
        force=bool(params.get("force")),
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
        "targetSelection": "CONTINUOUS" if job.continuous else "SNAPSHOT",
        "status": job.status,
        "createdAt": job.created_at,
        "lastUpdatedAt": job.last_updated_at,
        "completedAt": job.completed_at,
        "isConcurrent": job.next_batch_at is not None,
    }


def _execution_summary(execution: JobExecution) -> dict[str, object]:
    return {**_progress(execution), "retryAttempt": execution.retry_attempt or None}


def _progress(execution: JobExecution) -> dict[str, object]:
    return {
        "status": execution.status,
        "queuedAt": execution.queued_at,
        "startedAt": execution.started_at,
        "lastUpdatedAt": execution.last_updated_at,
        "executionNumber": execution.number,
    }
