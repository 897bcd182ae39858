"""The deployment: which components, in which version, as whom, and the configuration of AWS's own among them.

Shapes: botocore's ``greengrassv2`` (CreateDeployment), and the page of each component in the V2 guide. Versions of
AWS's components are placeholders: which there are today is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from edge_sim.greengrass.model import truth, whole_number
from edge_sim.greengrass.rules.connectors import instances
from edge_sim.greengrass.rules.sections import entries
from edge_sim.v2.checks.boards import lookup
from edge_sim.v2.checks.resources import SUCCESSORS
from edge_sim.v2.components import Component, Json, components, posix_user, secret_policies
from edge_sim.v2.move import Move, Route
from edge_sim.v2.names import component_names, placeholder
from edge_sim.v2.verdicts import becomes_lambda

ROUTER = "aws.greengrass.LegacySubscriptionRouter"
BRIDGE, AUTH = "aws.greengrass.clientdevices.mqtt.Bridge", "aws.greengrass.clientdevices.Auth"
BROKER, IP_DETECTOR = "aws.greengrass.clientdevices.mqtt.Moquette", "aws.greengrass.clientdevices.IPDetector"
SECRETS, SHADOWS = "aws.greengrass.SecretManager", "aws.greengrass.ShadowManager"
LOGS, DISK_SPOOLER, STREAMS = "aws.greengrass.LogManager", "aws.greengrass.DiskSpooler", "aws.greengrass.StreamManager"
_ENDS = {"device": "LocalMqtt", "cloud": "IotCore", "function": "Pubsub"}
TARGET = placeholder("target", "arn")


def deployment(move: Move) -> Json:
    """Return the request for CreateDeployment."""
    core = move.group.core
    own = {component.name: _own(move, component.name, component.version) for component in components(move)}
    for component in components(move):
        run_with = _run_with(move, component)
        if run_with:
            own[component.name]["runWith"] = run_with
    theirs = {name: _aws(name, configuration) for name, configuration in configurations(move).items()}
    return {
        "targetArn": core.thing_arn if core else TARGET,
        "deploymentName": "from-greengrass-v1",
        "components": {**theirs, **own},
        "deploymentPolicies": {
            "failureHandlingPolicy": "ROLLBACK",
            "componentUpdatePolicy": {"action": "NOTIFY_COMPONENTS", "timeoutInSeconds": 60},
            "configurationValidationPolicy": {"timeoutInSeconds": 30},
        },
    }


def configurations(move: Move) -> dict[str, Json]:
    """Return the configuration of each of AWS's components that the group needs, by its name."""
    by_name = {move.nucleus.component: nucleus(move)}
    if move.nucleus.lambdas:
        by_name |= dict(_of_classic(move))
    return by_name


def _of_classic(move: Move) -> Iterator[tuple[str, Json]]:
    routed = router(move)
    if routed:
        yield ROUTER, {"subscriptions": routed}
    devices = [entry for _, entry in entries(move, "Devices")]
    if devices:
        yield AUTH, {"deviceGroups": device_groups(move)}
        yield BROKER, {}
        yield BRIDGE, {"mqttTopicMapping": bridge(move)}
    if devices or "GGIPDetector" in move.system:
        yield IP_DETECTOR, {}
    secrets = cloud_secrets(move)
    if secrets:
        yield SECRETS, {"cloudSecrets": secrets}
    synchronised = shadows(move)
    if synchronised or any("shadow" in (r.source_kind, r.target_kind) for r in move.routes):
        yield SHADOWS, synchronised
    uploads = log_uploads(move)
    if uploads:
        yield LOGS, {"logsUploaderConfiguration": uploads}
    if _spools_to_disk(move):
        yield DISK_SPOOLER, {}
    if "GGStreamManager" in move.system:
        yield STREAMS, {}
    for instance in instances(move):
        if instance.name in SUCCESSORS:
            yield SUCCESSORS[instance.name][0], {}


def nucleus(move: Move) -> Json:
    """Return the configuration of the nucleus: default account, logging, queue, ports and proxy of config.json."""
    run_as = move.group.default_config.run_as
    user = move.nucleus.user if run_as.uid is None else str(run_as.uid)
    group = move.nucleus.group if run_as.gid is None else str(run_as.gid)
    configuration: Json = {"runWithDefault": {"posixUser": f"{user}:{group}"}}
    logging = _logging(move)
    if logging and move.nucleus.lambdas:
        configuration["logging"] = logging
    mqtt = _mqtt(move)
    if mqtt and move.nucleus.lambdas:
        configuration["mqtt"] = mqtt
    url = lookup(move.config, "coreThing.networkProxy.proxy.url")
    if isinstance(url, str) and "@" not in url:
        without = lookup(move.config, "coreThing.networkProxy.noProxyAddresses")
        configuration["networkProxy"] = {"proxy": {"url": url}, **({"noProxyAddresses": without} if without else {})}
    return configuration


def router(move: Move) -> dict[str, Json]:
    """Return LegacySubscriptionRouter's table: what imported functions publish, by component."""
    names = component_names(move)

    def end(arn: str) -> str | None:
        function = move.by_arn.get(arn)
        if function:
            return f"component:{names[function.id]}" if becomes_lambda(move, function) else None
        successors = [
            SUCCESSORS[connector.name][0]
            for connector in instances(move)
            if connector.name in SUCCESSORS and f"/{connector.name}/" in arn
        ]
        return f"component:{successors[0]}" if successors else None

    table: dict[str, Json] = {}
    for number, route in enumerate(move.routes):
        source = end(route.source)
        target = "cloud" if route.target_kind == "cloud" else end(route.target)
        if source and target:
            key = f"{number}-{route.id}"
            table[key] = {"id": key, "source": source, "subject": route.subject, "target": target}
    return table


def bridge(move: Move) -> dict[str, Json]:
    """Return the MQTT bridge's mapping: what crosses between devices, functions and the cloud."""
    mapping: dict[str, Json] = {}
    for number, route in enumerate(move.routes):
        ends = _ENDS.get(route.source_kind), _ENDS.get(route.target_kind)
        if "device" in (route.source_kind, route.target_kind) and all(ends) and ends[0] != ends[1]:
            mapping[f"{number}-{route.id}"] = {"topic": route.subject, "source": ends[0], "target": ends[1]}
    return mapping


def device_groups(move: Move) -> Json:
    """Return who may do what on the local broker: each device what its subscriptions say, topic by topic."""
    definitions: Json = {}
    policies: Json = {}
    for _, entry in entries(move, "Devices"):
        arn = str(entry.get("ThingArn") or "")
        thing = arn.rpartition("/")[2]
        rule = thing.replace(":", r"\:")
        definitions[thing] = {"selectionRule": f"thingName: {rule}", "policyName": f"{thing}-policy"}
        policies[f"{thing}-policy"] = _device_policy(move.routes, arn)
    return {"formatVersion": "2021-03-05", "definitions": definitions, "policies": policies}


def _device_policy(routes: tuple[Route, ...], arn: str) -> Json:
    publish = sorted({f"mqtt:topic:{route.subject}" for route in routes if route.source == arn})
    subscribe = sorted({f"mqtt:topicfilter:{route.subject}" for route in routes if route.target == arn})
    policy: Json = {"connect": _statement("mqtt:connect", ["*"])}
    if publish:
        policy["publish"] = _statement("mqtt:publish", publish)
    if subscribe:
        policy["subscribe"] = _statement("mqtt:subscribe", subscribe)
    return policy


def _statement(operation: str, resources: list[str]) -> Json:
    return {"statementDescription": f"{operation} as in V1", "operations": [operation], "resources": resources}


def cloud_secrets(move: Move) -> list[Json]:
    """Return SecretManager's list: every secret that a function has; AWSCURRENT comes by itself."""
    return [
        {"arn": resource.secret.arn, **({"labels": [*labels]} if (labels := resource.secret.staging_labels) else {})}
        for resource in move.group.resources
        if resource.secret and move.users_of(resource)
    ]


def shadows(move: Move) -> Json:
    """Return what ShadowManager synchronises; empty where V1 synchronised nothing."""
    core = any(truth(entry.get("SyncShadow")) for _, entry in entries(move, "Cores"))
    devices = [
        {"thingName": str(entry.get("ThingArn") or "").rpartition("/")[2], "classic": True}
        for _, entry in entries(move, "Devices")
        if truth(entry.get("SyncShadow"))
    ]
    if not core and not devices:
        return {}
    both: Json = {**({"coreThing": {"classic": True}} if core else {}), "direction": "betweenDeviceAndCloud"}
    return {"synchronize": {**both, **({"shadowDocuments": devices} if devices else {})}}


def log_uploads(move: Move) -> Json:
    """Return LogManager's configuration: of the system's log, and of each function's."""
    uploads: Json = {}
    for _, entry in entries(move, "Loggers"):
        if entry.get("Type") != "AWSCloudWatch":
            continue
        settings: Json = {"minimumLogLevel": str(entry.get("Level") or "INFO")}
        space = whole_number(entry.get("Space"))
        if space:
            settings |= {"diskSpaceLimit": str(space), "diskSpaceLimitUnit": "KB"}
        if entry.get("Component") == "GreengrassSystem":
            uploads["systemLogsConfiguration"] = {"uploadToCloudWatch": "true", **settings}
        else:
            names = component_names(move).values()
            uploads["componentLogsConfigurationMap"] = {name: dict(settings) for name in names}
    return uploads


def _logging(move: Move) -> Json:
    levels = ("DEBUG", "INFO", "WARN", "ERROR", "FATAL")
    on_disk = [entry for _, entry in entries(move, "Loggers") if entry.get("Type") == "FileSystem"]
    named = [str(entry.get("Level")) for entry in on_disk if entry.get("Level") in levels]
    if not named:
        return {}
    level = min(named, key=levels.index)
    space = sum(whole_number(entry.get("Space")) or 0 for entry in on_disk)
    return {"level": "ERROR" if level == "FATAL" else level, **({"totalLogsSizeKB": space} if space else {})}


def _mqtt(move: Move) -> Json:
    mqtt: Json = {}
    port, alive = lookup(move.config, "coreThing.iotMqttPort"), lookup(move.config, "coreThing.keepAlive")
    if isinstance(port, int):
        mqtt["port"] = port
    if isinstance(alive, int):
        mqtt["keepAliveTimeoutMs"] = alive * 1000
    function = move.system.get("GGCloudSpooler")
    if function:
        size = whole_number(function.variables.get("GG_CONFIG_MAX_SIZE_BYTES", ""))
        mqtt["spooler"] = {
            "storageType": "Disk" if _spools_to_disk(move) else "Memory",
            **({"maxSizeInBytes": size} if size else {}),
        }
    return mqtt


def _spools_to_disk(move: Move) -> bool:
    function = move.system.get("GGCloudSpooler")
    return bool(function and function.variables.get("GG_CONFIG_STORAGE_TYPE") == "FileSystem")


def _run_with(move: Move, component: Component) -> Json:
    """Return whose rights a component has, and its memory limit; lite knows neither. Models belong to their users."""
    if not move.nucleus.lambdas:
        return {}
    users = (
        [component.function]
        if component.function
        else [f for f in move.own_functions if component.resource in move.models_of(f)]
    )
    accounts = {posix_user(move, function) for function in users}
    account = accounts.pop() if len(accounts) == 1 else None
    limit = component.function.memory_size_kb if component.function and component.recipe else None
    return {
        **({"posixUser": account} if account else {}),
        **({"systemResourceLimits": {"memory": limit}} if limit else {}),
    }


def _own(move: Move, name: str, version: str) -> Json:
    function = next((f for f in move.own_functions if component_names(move)[f.id] == name), None)
    control = secret_policies(move, function, name) if function and becomes_lambda(move, function) else {}
    update = {"configurationUpdate": {"merge": _merge({"accessControl": control})}} if control else {}
    return {"componentVersion": version, **update}


def _aws(name: str, configuration: Json) -> Json:
    update = {"configurationUpdate": {"merge": _merge(configuration)}} if configuration else {}
    return {"componentVersion": placeholder("version of", name), **update}


def _merge(configuration: Json) -> str:
    return json.dumps(configuration, sort_keys=True)
