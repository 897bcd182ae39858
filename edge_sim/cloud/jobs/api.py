"""AWS IoT as the HTTP server calls it: operations by name, parameters in, botocore's shapes out.

``iot_handlers`` is the control plane (things here, jobs in ``operations``), ``jobs_data_handlers`` the device plane
over HTTP (flat ``statusDetails``, ``jobDocument`` as a string).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from edge_sim.cloud.jobs import operations
from edge_sim.cloud.jobs.params import invalid, page, place, refuse
from edge_sim.cloud.jobs.service import JobsService
from edge_sim.cloud.protocol import ApiError, Handler
from edge_sim.jobs import messages, requests, topics
from edge_sim.jobs.wire import JobsError

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
    plain: dict[str, Callable[[JobsService, dict[str, object]], dict[str, object]]] = {
        "CreateThing": _create_thing,
        "DescribeThing": _describe_thing,
        "CreateThingGroup": _create_thing_group,
        "DescribeThingGroup": _describe_thing_group,
        "AddThingToThingGroup": _add_thing_to_thing_group,
        "RemoveThingFromThingGroup": _remove_thing_from_thing_group,
        "ListThingsInThingGroup": _list_things_in_thing_group,
        "CreateJob": operations.create_job,
        "UpdateJob": operations.update_job,
        "AssociateTargetsWithJob": operations.associate_targets,
        "DescribeJob": operations.describe_job,
        "GetJobDocument": operations.get_job_document,
        "ListJobs": operations.list_jobs,
        "ListJobExecutionsForJob": operations.list_executions_for_job,
        "ListJobExecutionsForThing": operations.list_executions_for_thing,
        "DescribeJobExecution": operations.describe_execution,
        "CancelJob": operations.cancel_job,
        "CancelJobExecution": operations.cancel_execution,
        "DeleteJobExecution": operations.delete_execution,
        "DeleteJob": operations.delete_job,
    }
    known = dict(endpoints or {})

    def describe_endpoint(params: dict[str, object]) -> dict[str, object]:
        kind = params.get("endpointType") or "iot:Data"
        if kind not in known:
            raise invalid(f"edge-sim has no endpoint of type {kind}; it has {', '.join(known) or 'none'}.")
        return {"endpointAddress": known[kind]}

    bound = {name: partial(handler, service) for name, handler in plain.items()}
    return {**bound, "DescribeEndpoint": describe_endpoint}


def jobs_data_handlers(service: JobsService) -> dict[str, Handler]:
    """Return the handlers of the four ``iot-jobs-data`` operations that a V1 device may use instead of MQTT."""
    calls: dict[str, topics.Call] = {
        "GetPendingJobExecutions": "get-pending",
        "StartNextPendingJobExecution": "start-next",
        "DescribeJobExecution": "describe",
        "UpdateJobExecution": "update",
    }
    return {name: _data_handler(service, call) for name, call in calls.items()}


def _data_handler(service: JobsService, call: topics.Call) -> Handler:
    def handle(params: dict[str, Any]) -> dict[str, object]:
        request = topics.Request(thing=params["thingName"], call=call, job_id=params.get("jobId"))
        try:
            reply = service.device.call(request, requests.from_fields(call, params))
        except JobsError as error:
            # There is no shape for a version clash: a capture shows InvalidRequestException.
            code, status = _ERRORS.get(error.code, ("InvalidRequestException", 400))
            raise ApiError(code, str(error), status) from error
        return _over_http(reply, request.thing)

    return handle


def _over_http(reply: messages.Message, thing: str) -> dict[str, object]:
    fields = messages.fields_of(reply)
    del fields["timestamp"]  # MQTT's alone
    if "execution" in fields:
        fields["execution"] = {**_text_document(fields["execution"]), "thingName": thing}
    return _text_document(fields)


def _text_document(fields: dict[str, object]) -> dict[str, object]:
    if "jobDocument" not in fields:
        return fields
    return {**fields, "jobDocument": json.dumps(fields["jobDocument"], separators=(",", ":"))}


def _create_thing(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
    refuse(params, ("thingTypeName", "billingGroupName"))
    attributes = (params.get("attributePayload") or {}).get("attributes")
    thing = service.things.create(params["thingName"], attributes)
    return {"thingName": thing.name, "thingArn": thing.arn, "thingId": thing.id}


def _describe_thing(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
    thing = service.things.describe(params["thingName"])
    return {
        "defaultClientId": thing.name,
        "thingName": thing.name,
        "thingId": thing.id,
        "thingArn": thing.arn,
        "attributes": dict(thing.attributes),
        "version": 1,
    }


def _create_thing_group(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
    refuse(params, ("thingGroupProperties", "tags"))
    group = service.things.create_group(params["thingGroupName"], params.get("parentGroupName"))
    return {
        "thingGroupName": group.name,
        "thingGroupArn": service.things.group_arn(group.name),
        "thingGroupId": group.id,
    }


def _describe_thing_group(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
    group = service.things.group(params["thingGroupName"])
    arn = service.things.group_arn
    above = [{"groupName": g.name, "groupArn": arn(g.name)} for g in service.things.ancestors(group.name)]
    return {
        "thingGroupName": group.name,
        "thingGroupId": group.id,
        "thingGroupArn": arn(group.name),
        "version": 1,
        "thingGroupProperties": {},
        "thingGroupMetadata": {"parentGroupName": group.parent, "rootToParentThingGroups": above or None},
    }


def _add_thing_to_thing_group(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
    service.add_to_group(*_membership(params))
    return {}


def _remove_thing_from_thing_group(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
    service.remove_from_group(*_membership(params))
    return {}


def _membership(params: dict[str, Any]) -> tuple[str, str]:
    """Return the names of a group and of a thing, each given by its name or its ARN."""
    group = params.get("thingGroupName") or (params.get("thingGroupArn") or "").rpartition("/")[2]
    thing = params.get("thingName") or (params.get("thingArn") or "").rpartition("/")[2]
    if not group or not thing:
        raise invalid("A thing group and a thing must be named.")
    return group, thing


def _list_things_in_thing_group(service: JobsService, params: dict[str, Any]) -> dict[str, object]:
    limit, position = place(params)
    name = params["thingGroupName"]
    if params.get("recursive"):
        things = service.things.members(name)
        end = position + limit
        return page("things", things[position:end], end if things[end:] else None)
    members, more = service.things.members_page(name, limit=limit, position=position)
    return page("things", members, more)
