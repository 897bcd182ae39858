"""The families of definition that a group is made of, one row each, in the order of the canonical bundle.

Members, types and what is required are those of botocore's ``greengrass`` model; a test walks all of it. ``FAMILIES``
is keyed by the words a group bundle uses (``core``, ``resources``, …).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edge_sim.greengrass.functions import ISOLATION_MODES
from edge_sim.greengrass.model import FLAG, TEXT, TEXT_MAP, WHOLE, Members
from edge_sim.greengrass.resources import KINDS, PERMISSIONS

_RUN_AS = Members(
    Uid=(WHOLE, "The UID; 0 (root) only if config.json allows it."),
    Gid=(WHOLE, "The GID."),
)
_EXECUTION = Members(
    IsolationMode=(ISOLATION_MODES, "Run in a container of the core, or as a process beside it."),
    RunAs=(
        _RUN_AS,
        "The UID and GID to run as; by default the group's, otherwise those of ggc_user and ggc_group.",
    ),
)
_THING = Members(
    *("Id", "ThingArn", "CertificateArn"),
    Id=(TEXT, "A name that is unique in the definition."),
    ThingArn=(TEXT, "The ARN of its thing."),
    CertificateArn=(TEXT, "The ARN of its certificate."),
    SyncShadow=(FLAG, "Whether its shadow is synchronized with the cloud."),
)
_CONTAINER = Members(
    **{key: (data.kind.shape, f"The data of a {data.kind.type_name} resource.") for key, data in KINDS.items()}
)
_RESOURCE = Members(
    *("Id", "Name", "ResourceDataContainer"),
    Id=(TEXT, "The Id that functions refer to."),
    Name=(TEXT, "The name that people see."),
    ResourceDataContainer=(_CONTAINER, "The kind of the resource: exactly one of these members."),
)
_POLICY = Members(
    *("ResourceId",),
    ResourceId=(TEXT, "The Id of a resource."),
    Permission=(PERMISSIONS, "Whether the function may only read (ro), or write as well (rw)."),
)
_ENVIRONMENT = Members(
    AccessSysfs=(FLAG, "Whether a container shows the function /sys."),
    Execution=(_EXECUTION, "How and as whom the function runs; by default as in DefaultConfig."),
    ResourceAccessPolicies=(
        [_POLICY],
        "The resources attached to the function; AWS's pages disagree whether 10 or 20 are allowed.",
    ),
    Variables=(TEXT_MAP, "Environment variables."),
)
_CONFIGURATION = Members(
    EncodingType=(("json", "binary"), "The encoding of an event's payload; json by default."),
    Executable=(TEXT, "The handler (module.function), or the program of a native function."),
    ExecArgs=(TEXT, "The program's arguments."),
    FunctionRuntimeOverride=(TEXT, "A runtime to use in place of the one in Lambda."),
    MemorySize=(WHOLE, "The memory limit in KB, for a function in a container."),
    Pinned=(FLAG, "Whether it is long-lived: started with the core and kept running."),
    Timeout=(WHOLE, "How many seconds one call may take; 3 by default."),
    Environment=(_ENVIRONMENT, "What the function's process sees and can open."),
)
_FUNCTION = Members(
    *("Id", "FunctionArn"),
    Id=(TEXT, "A name that is unique in the definition."),
    FunctionArn=(TEXT, "The function's ARN, with its version or alias."),
    FunctionConfiguration=(_CONFIGURATION, "How the core runs it."),
)
_LOGGER = Members(
    *("Id", "Component", "Level", "Type"),
    Id=(TEXT, "A name that is unique in the definition."),
    Component=(("GreengrassSystem", "Lambda"), "Whose logs: the core's or the functions'."),
    Level=(("DEBUG", "INFO", "WARN", "ERROR", "FATAL"), "The lowest level to log."),
    Space=(WHOLE, "The disk space for log files in KB (FileSystem only)."),
    Type=(("FileSystem", "AWSCloudWatch"), "Where logs go."),
)
_SUBSCRIPTION = Members(
    *("Id", "Source", "Subject", "Target"),
    Id=(TEXT, "A name that is unique in the definition."),
    Source=(TEXT, "The sender: the ARN of a function, thing or connector, cloud, or GGShadowService."),
    Subject=(TEXT, "The topics, as an MQTT topic filter."),
    Target=(TEXT, "The receiver, in the same forms as Source."),
)
_CONNECTOR = Members(
    *("Id", "ConnectorArn"),
    Id=(TEXT, "A name that is unique in the definition."),
    ConnectorArn=(TEXT, "The connector's ARN, with its version."),
    Parameters=(TEXT_MAP, "The connector's parameters."),
)
_DEFAULT = Members(Execution=(_EXECUTION, "How and as whom functions run by default."))


@dataclass(frozen=True, kw_only=True)
class Texts:
    """What AWS's messages call a definition: no two operations do it alike.

    ``title``: in Get, and for an unknown version. ``parent``: when a version is created. ``other``: everywhere else.
    ``reference``: in a group that names one. ``invalid`` begins the refusal of a version's content. ``nameless``: code
    and text of an update without a name. Sources: moto, which copied them from the service; those of connectors and
    loggers, and ``invalid`` of cores and devices, are by analogy.
    """

    title: str
    other: str
    parent: str
    reference: str = ""
    invalid: str
    nameless: tuple[str, str] = (
        "InvalidContainerDefinitionException",
        "Input does not contain any attributes to be updated",
    )
    version_code: str = "VersionNotFoundException"


@dataclass(frozen=True, kw_only=True)
class Family:
    """One family: ``kind`` is the API's word for it, ``member`` the list its versions hold, ``shape`` their members."""

    kind: str
    member: str
    texts: Texts
    shape: Members

    @property
    def required(self) -> tuple[str, ...]:
        """What every item of the list needs."""
        items: Members = self.shape[self.member][0]
        return items.required

    @property
    def noun(self) -> str:
        """One of its items, in a sentence of ours."""
        return self.kind.lower()


def _texts(noun: str, plural: str) -> Texts:
    """Return the texts of a family as most of them are; rows say where theirs are not."""
    return Texts(
        title=f"{noun} List Definition",
        other=f"{plural} definition",
        parent=f"{plural} definition",
        reference=noun,
        invalid=f"The {plural} definition is invalid or corrupted.",
    )


FAMILIES: Mapping[str, Family] = {
    "core": Family(
        kind="Core",
        member="Cores",
        texts=replace(_texts("Core", "cores"), reference="Cores"),
        shape=Members(Cores=([_THING], "The group's core; a deployment needs exactly one.")),
    ),
    "resources": Family(
        kind="Resource",
        member="Resources",
        texts=replace(
            _texts("Resource", "resources"),
            parent="resource definition",
            invalid="The resources definition is invalid.",
            nameless=("InvalidInputException", "Invalid resource name."),
        ),
        shape=Members(Resources=([_RESOURCE], "What functions can open.")),
    ),
    "functions": Family(
        kind="Function",
        member="Functions",
        texts=replace(
            _texts("Lambda", "lambdas"),
            parent="lambdas",
            invalid="The functions definition is invalid or corrupted.",
            version_code="IdNotFoundException",
        ),
        shape=Members(
            DefaultConfig=(_DEFAULT, "The defaults for functions."),
            Functions=([_FUNCTION], "The functions."),
        ),
    ),
    "loggers": Family(
        kind="Logger",
        member="Loggers",
        texts=_texts("Logger", "loggers"),
        shape=Members(Loggers=([_LOGGER], "What to log, and where.")),
    ),
    "subscriptions": Family(
        kind="Subscription",
        member="Subscriptions",
        texts=replace(_texts("Subscription", "subscriptions"), parent="subscriptions"),
        shape=Members(Subscriptions=([_SUBSCRIPTION], "Who sends what to whom.")),
    ),
    "devices": Family(
        kind="Device",
        member="Devices",
        texts=replace(_texts("Device", "devices"), reference="Devices"),
        shape=Members(Devices=([_THING], "The devices that connect to the core.")),
    ),
    "connectors": Family(
        kind="Connector",
        member="Connectors",
        texts=_texts("Connector", "connectors"),
        shape=Members(Connectors=([_CONNECTOR], "The connectors that AWS provides.")),
    ),
}
