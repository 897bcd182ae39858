"""The components that a group becomes: requests for imported Lambdas, recipes for generic components and models.

Shapes: botocore's ``greengrassv2`` (CreateComponentVersion), the recipe reference. Keys are written as nucleus lite,
which minds their case, reads them; classic does not care. ``runtime: "*"`` and a Permission stand in every manifest:
without the first lite skips it, without the second the two nuclei give different modes.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from edge_sim import s3
from edge_sim.errors import assert_never
from edge_sim.greengrass.functions import Function, ResourceAccessPolicy
from edge_sim.greengrass.process import effective_permission
from edge_sim.greengrass.resources import Local, LocalDevice, LocalVolume, Resource, S3Model, SageMakerModel, Secret
from edge_sim.v2.designs import OWN_ARCHIVE, Placement, placements
from edge_sim.v2.move import Move, Route
from edge_sim.v2.names import (
    MODEL_VERSION,
    component_names,
    component_version,
    looks_secret,
    model_component,
    placeholder,
)
from edge_sim.v2.verdicts import verdict

Json = dict[str, object]
CODE_ARCHIVE, ENTRY_POINT = "code.zip", "entry_point.py"
HANDLER_VARIABLE, ROUTES_VARIABLE = "EDGE_SIM_HANDLER", "EDGE_SIM_ROUTES"
AWS_MAJOR = ">=2.0.0 <3.0.0"
"""What the service itself writes for AWS's components (kyopark2014/iot-greengrass)."""
ON_DEMAND_WORKERS = 25
"""V1's maxConcurrentLimit, in place of V2's 100 of each function."""
INTERPRETERS = {"python": "python3", "nodejs": "node", "java": "java"}
_PUBSUB, _MQTT, _SECRETS = "aws.greengrass.ipc.pubsub", "aws.greengrass.ipc.mqttproxy", "aws.greengrass.SecretManager"


@dataclass(frozen=True, kw_only=True)
class Component:
    """One component: an imported Lambda has a ``request``, any other a ``recipe``; ``archives`` are its zips.

    ``function`` or ``resource`` is what it was made of.
    """

    name: str
    version: str
    function: Function | None = None
    resource: Resource | None = None
    request: Json | None = None
    recipe: Json | None = None
    archives: tuple[str, ...] = ()


def components(move: Move) -> tuple[Component, ...]:
    """Return every component of a move, functions first; what cannot be moved has none."""
    return tuple(_components(move))


def _components(move: Move) -> Iterator[Component]:
    names, placed = component_names(move), placements(move)
    for function in move.own_functions:
        own = [placement for placement in placed if placement.function.id == function.id]
        becomes, name, version = verdict(move, function).becomes, names[function.id], component_version(function)
        if becomes == "lambda":
            request: Json = {"lambdaFunction": _lambda(move, function, name, version, own)}
            yield Component(name=name, version=version, function=function, request=request)
        elif becomes == "generic":
            archives = (CODE_ARCHIVE, *([OWN_ARCHIVE] if any(placement.way == "A" for placement in own) else []))
            recipe = _generic(move, function, name, version, own)
            yield Component(name=name, version=version, function=function, recipe=recipe, archives=archives)
    shared = {placement.resource.id: placement for placement in placed if placement.way != "A"}
    for placement in shared.values():
        yield Component(
            name=placement.component,
            version=placement.version,
            resource=placement.resource,
            recipe=_model(move, placement),
            archives=(placement.archive,),
        )


def bucket(move: Move) -> str:
    """Return where artifacts will be: as asked for, else where the first model came from, else a placeholder."""
    uris = (str(r.data.members().get("S3Uri") or "") for r in move.group.resources)
    buckets = (place.bucket for place in map(s3.of_uri, uris) if place)
    return move.bucket or next(buckets, "") or placeholder("bucket")


def variables(move: Move, function: Function) -> dict[str, str]:
    """Return a function's variables; those that seem to be secrets are placeholders unless they are asked for."""
    return {
        name: placeholder(function.id, name) if looks_secret(name, value) and not move.include_values else value
        for name, value in function.variables.items()
    }


def posix_user(move: Move, function: Function) -> str | None:
    """Return the account of a function's component as ``user[:group]``; None for the nucleus's default."""
    run_as = function.run_as
    if run_as.uid is None and run_as.gid is None:
        return None
    user = move.nucleus.user if run_as.uid is None else "root" if run_as.uid == 0 else str(run_as.uid)
    return user if run_as.gid is None else f"{user}:{run_as.gid}"


def secret_policies(move: Move, function: Function, name: str) -> Json:
    """Return the accessControl that lets a component read its secrets, and no others; empty without secrets."""
    arns = [resource.secret.arn for resource, _ in move.group.attached(function) if resource.secret]
    if not arns:
        return {}
    return {_SECRETS: {f"{name}:secrets:1": _policy("Read its secrets", ["aws.greengrass#GetSecretValue"], arns)}}


def event_sources(move: Move, function: Function) -> list[Json]:
    """Return what wakes an imported function: topics of the cloud, and of client devices by the bridge."""
    kinds = {"cloud": "IOT_CORE", "device": "PUB_SUB"}
    routes = (route for route in move.routes if route.target == function.arn and route.source_kind in kinds)
    return [
        {"topic": topic, "type": kind}
        for topic, kind in dict.fromkeys((r.subject, kinds[r.source_kind]) for r in routes)
    ]


def artifact(move: Move, name: str, version: str, file: str, *, execute: bool = False, shared: bool = False) -> Json:
    """Return an artifact of a recipe. ``shared``: components of other accounts read it as well."""
    return {
        "Uri": f"s3://{bucket(move)}/{name}/{version}/{file}",
        "Unarchive": "ZIP" if file.endswith(".zip") else "NONE",
        "Permission": {"Read": "ALL" if shared else "OWNER", "Execute": "OWNER" if execute else "NONE"},
    }


def _lambda(move: Move, function: Function, name: str, version: str, own: list[Placement]) -> Json:
    contained = move.contained(function)
    params: Json = {
        "eventSources": event_sources(move, function),
        "maxInstancesCount": ON_DEMAND_WORKERS,
        "timeoutInSeconds": function.call_limit_s,
        "pinned": function.pinned,
        "inputPayloadEncodingType": function.encoding_type,
        "execArgs": _split(function.exec_args),
        "environmentVariables": variables(move, function),
        "linuxProcessParams": {
            "isolationMode": move.group.isolation_mode(function),
            **({"containerParams": _container(move, function, own)} if contained else {}),
        },
    }
    needed: Json = {placement.component: _exactly(placement.version) for placement in own}
    if any(resource.secret for resource, _ in move.group.attached(function)):
        needed[_SECRETS] = {"versionRequirement": AWS_MAJOR, "dependencyType": "HARD"}
    return {
        "lambdaArn": function.arn,
        "componentName": name,
        "componentVersion": version,
        "componentDependencies": needed,
        "componentLambdaParameters": params,
    }


def _container(move: Move, function: Function, own: list[Placement]) -> Json:
    devices: list[Json] = []
    volumes: list[Json] = []
    for resource, policy in move.group.attached(function):
        data = resource.data
        match data:
            case LocalDevice():
                devices.append({"path": data.source_path, **_rights(resource, policy, data)})
            case LocalVolume():
                paths = {"sourcePath": data.source_path, "destinationPath": data.destination_path}
                volumes.append({**paths, **_rights(resource, policy, data)})
            case S3Model() | SageMakerModel() | Secret():
                pass  # models are artifacts, secrets come by accessControl
            case _:
                assert_never(data)
    mounted: list[Json] = [
        {"sourcePath": placement.path, "destinationPath": placement.seen, "permission": "ro", "addGroupOwner": False}
        for placement in own
    ]
    return {
        "memorySizeInKB": function.memory_size_kb or 16384,
        "mountROSysfs": bool(function.access_sysfs),
        "volumes": volumes + mounted,
        "devices": devices,
    }


def _generic(move: Move, function: Function, name: str, version: str, own: list[Placement]) -> Json:
    code = move.code_known.get(function.id)
    native = move.native(function)
    artifacts = [artifact(move, name, version, CODE_ARCHIVE, execute=native or bool(code and code.executables))]
    if not native:
        artifacts.append(artifact(move, name, version, ENTRY_POINT))
    if any(placement.way == "A" for placement in own):
        execute = any(_executable(move, placement.resource) for placement in own)
        artifacts.append(artifact(move, name, version, OWN_ARCHIVE, execute=execute))
    needed = {
        placement.component: {"VersionRequirement": placement.version, "DependencyType": "HARD"}
        for placement in own
        if placement.way == "B"
    }
    if any(resource.secret for resource, _ in move.group.attached(function)):
        needed[_SECRETS] = {"VersionRequirement": AWS_MAJOR, "DependencyType": "HARD"}
    control = access_control(move, function, name)
    lifecycle: Json = {"Setenv": _environment(move, function, own), "run": {"Script": _script(move, function)}}
    configuration: Json = {"ComponentConfiguration": {"DefaultConfiguration": {"accessControl": control}}}
    return {
        **_head(name, version, f"Created from function {function.id} of a Greengrass V1 group."),
        **(configuration if control else {}),
        **({"ComponentDependencies": needed} if needed else {}),
        "Manifests": [{"Platform": {"os": "linux", "runtime": "*"}, "Lifecycle": lifecycle, "Artifacts": artifacts}],
    }


def _model(move: Move, placement: Placement) -> Json:
    users = [function for function in move.own_functions if function in move.users_of(placement.resource)]
    shared = len({posix_user(move, function) for function in users}) > 1
    file = artifact(
        move,
        placement.component,
        MODEL_VERSION,
        placement.archive,
        execute=_executable(move, placement.resource),
        shared=shared,
    )
    return {
        **_head(
            model_component(placement.resource),
            MODEL_VERSION,
            f"Model {placement.resource.id} of a Greengrass V1 group.",
        ),
        "Manifests": [{"Platform": {"os": "linux", "runtime": "*"}, "Lifecycle": {}, "Artifacts": [file]}],
    }


def _head(name: str, version: str, description: str) -> Json:
    return {
        "RecipeFormatVersion": "2020-01-25",
        "ComponentName": name,
        "ComponentVersion": version,
        "ComponentType": "aws.greengrass.generic",
        "ComponentDescription": description,
        "ComponentPublisher": "Written by edge-sim migrate",
    }


def access_control(move: Move, function: Function, name: str) -> Json:
    """Return what a component may do: publish what its function is the source of, hear what it is the target of."""
    topics_by_operation: dict[str, dict[str, set[str]]] = {_PUBSUB: {}, _MQTT: {}}
    for route in move.routes:
        for service, operation, topic in _operations(route, function):
            topics_by_operation[service].setdefault(operation, set()).add(topic)
    policies: Json = {}
    for service, operations in topics_by_operation.items():
        short = service.rpartition(".")[2]
        policies |= (
            {
                service: {
                    f"{name}:{short}:{number}": _policy(
                        f"{operation} of V1's subscriptions", [f"aws.greengrass#{operation}"], sorted(topics)
                    )
                    for number, (operation, topics) in enumerate(sorted(operations.items()), 1)
                }
            }
            if operations
            else {}
        )
    return {**policies, **secret_policies(move, function, name)}


def routes_of(move: Move, function: Function) -> list[Json]:
    """Return what a component's entry point subscribes to, and where it sends what its handler publishes."""
    return [
        {"operation": operation, "topic": route.subject}
        for route in move.routes
        for _, operation, _ in _operations(route, function)
    ]


def _operations(route: Route, function: Function) -> Iterator[tuple[str, str, str]]:
    """Yield service, operation and policy resource. A local topic's policy knows ``*`` only, the cloud's MQTT's."""
    local = route.subject.replace("+", "*").replace("#", "*")
    if route.source == function.arn:
        cloud = route.target_kind == "cloud"
        yield (_MQTT, "PublishToIoTCore", route.subject) if cloud else (_PUBSUB, "PublishToTopic", local)
    if route.target == function.arn:
        cloud = route.source_kind == "cloud"
        yield (_MQTT, "SubscribeToIoTCore", route.subject) if cloud else (_PUBSUB, "SubscribeToTopic", local)


def _environment(move: Move, function: Function, own: list[Placement]) -> Json:
    code = move.group.code.get(function.id)
    handler = function.executable or (code.handler if code else "") or placeholder(function.id, "handler")
    environment: Json = {**variables(move, function), HANDLER_VARIABLE: handler, "MY_FUNCTION_ARN": function.arn}
    environment[ROUTES_VARIABLE] = json.dumps(routes_of(move, function))
    for placement in own:
        top = placement.archive.removesuffix(".zip")
        inside = "" if placement.way == "A" else f"{placement.component}:"
        environment["AWS_GG_RESOURCE_PREFIX"] = f"{{{inside}artifacts:decompressedPath}}/{top}"
    return environment


def _script(move: Move, function: Function) -> str:
    """Return the run script. No text of the user's stands in it but a quoted executable's name."""
    if move.native(function):
        program = shlex.quote(function.executable or placeholder(function.id, "executable"))
        return f"{{artifacts:decompressedPath}}/code/{program}"
    language = next((word for word in INTERPRETERS if move.runtime(function).startswith(word)), "python")
    if language != "python":
        return f"{INTERPRETERS[language]} {placeholder(function.id, 'entry point')}"
    return f"{INTERPRETERS[language]} -u {{artifacts:path}}/{ENTRY_POINT} {{artifacts:decompressedPath}}/code"


def _rights(resource: Resource, policy: ResourceAccessPolicy, data: Local) -> Json:
    add_group_owner = data.group_owner.auto_add_group_owner
    return {"permission": effective_permission(resource, policy), "addGroupOwner": add_group_owner}


def _executable(move: Move, resource: Resource) -> bool:
    package = move.models_known.get(resource.id)
    return bool(package and package.executables)


def _policy(description: str, operations: list[str], resources: list[str]) -> Json:
    return {"policyDescription": description, "operations": operations, "resources": resources}


def _exactly(version: str) -> Json:
    return {"versionRequirement": version, "dependencyType": "HARD"}


def _split(text: str | None) -> list[str]:
    """Return arguments as a shell would split them; as one where it would not. How V1 did it is not known."""
    try:
        return shlex.split(text or "")
    except ValueError:
        return [text or ""]
