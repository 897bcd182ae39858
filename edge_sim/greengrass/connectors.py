"""The connectors that AWS provided for V1: their versions, parameters, and the core that each version needs.

Source: each connector's own page of the V1 developer guide (June 2023, its last edition), ``Connector.page``. What the
pages say besides (the form of each parameter, software on the board, the group role) is not here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from edge_sim.arns import pattern

_ARN = re.compile(
    pattern(
        "greengrass",
        "/connectors/(?P<name>[^/]+)/versions/(?P<version>[0-9]{1,6})",
        r"([^:$]|\$\{[^}]*\})+:[^:]*",
    )
)
"""A template may leave the region open."""


@dataclass(frozen=True, kw_only=True)
class Connector:
    """One connector, with versions 1 to ``latest``.

    ``needs`` is keyed by the first connector version that a core release is the minimum for. ``required`` and
    ``optional`` name parameters, ``later`` those that came with a version. ``isolation`` is the first version that
    takes ``IsolationMode``. ``native``: it runs without a container as it is. ``streams`` is the first version that
    needs stream manager in the group.
    """

    page: str
    latest: int
    needs: Mapping[int, tuple[int, int, int]]
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    later: Mapping[str, int] | None = None
    isolation: int | None = None
    native: bool = False
    streams: int | None = None

    @property
    def no_container(self) -> bool:
        """Whether any version runs without a container (connectors-list.md)."""
        return self.native or self.isolation is not None

    def core(self, version: int) -> tuple[int, int, int]:
        """Return the oldest core that a version of the connector runs on."""
        return self.needs[max(first for first in self.needs if first <= version)]

    def needed(self, version: int) -> tuple[str, ...]:
        """Return the parameters that a version requires."""
        return tuple(name for name in self.required if (self.later or {}).get(name, 1) <= version)

    def takes(self, version: int) -> tuple[str, ...]:
        """Return every parameter that a version has."""
        names = (*self.needed(version), *(n for n in self.optional if (self.later or {}).get(n, 1) <= version))
        return (*names, "IsolationMode") if self.isolation and version >= self.isolation else names


_V1_7, _V1_9_3, _V1_10, _V1_10_2 = (1, 7, 0), (1, 9, 3), (1, 10, 0), (1, 10, 2)
_FEEDBACK = "MLFeedbackConnectorConfigId"
_INFERENCE = (
    *("MLModelDestinationPath", "MLModelResourceId", "LocalInferenceServiceName"),
    *("LocalInferenceServiceTimeoutSeconds", "LocalInferenceServiceMemoryLimitKB"),
)


def _image_classification(*own: str) -> Connector:
    return Connector(
        page="image-classification-connector.md",
        latest=2,
        needs={1: _V1_7, 2: _V1_9_3},
        required=(*_INFERENCE, "MLModelSageMakerJobArn", *own),
        optional=(_FEEDBACK,) if own else (_FEEDBACK, "GPUAcceleration"),
        later={_FEEDBACK: 2},
    )


def _object_detection(*optional: str) -> Connector:
    return Connector(
        page="obj-detection-connector.md",
        latest=1,
        needs={1: _V1_9_3},
        required=_INFERENCE,
        optional=(_FEEDBACK, *optional),
    )


CONNECTORS: Mapping[str, Connector] = {
    "CloudWatchMetrics": Connector(
        page="cloudwatch-metrics-connector.md",
        latest=5,
        needs={1: _V1_7, 3: _V1_9_3},
        required=("PublishInterval", "MemorySize", "MaxMetricsToRetain"),
        optional=("PublishRegion",),
        isolation=4,
    ),
    "DeviceDefender": Connector(
        page="device-defender-connector.md",
        latest=3,
        needs={1: _V1_7, 3: _V1_9_3},
        required=("SampleIntervalSeconds", "ProcDestinationPath-ResourceId", "ProcDestinationPath"),
    ),
    "DockerApplicationDeployment": Connector(
        page="docker-app-connector.md",
        latest=7,
        needs={1: _V1_10},
        required=("DockerComposeFileS3Bucket", "DockerComposeFileS3Key", "DockerComposeFileDestinationPath"),
        optional=(
            *("DockerComposeFileS3Version", "DockerUserId", "AWSSecretsArnList", "DockerContainerStatusLogFrequency"),
            *("ForceDeploy", "DockerPullBeforeUp", "StopContainersOnNewDeployment", "DockerOfflineMode"),
        ),
        native=True,
    ),
    "IoTEIPProtocolAdaptor": Connector(
        page="ethernet-ip-connector.md",
        latest=2,
        needs={1: _V1_10_2},
        required=("ProtocolAdapterConfiguration",),
        optional=("LocalStoragePath",),
        native=True,
        streams=1,
    ),
    "ImageClassificationAarch64JTX2": _image_classification("GPUAcceleration"),
    "ImageClassificationx86-64": _image_classification(),
    "ImageClassificationARMv7": _image_classification(),
    "IoTAnalytics": Connector(
        page="iot-analytics-connector.md",
        latest=4,
        needs={1: _V1_7, 3: _V1_9_3},
        required=("MemorySize",),
        optional=(
            *("PublishRegion", "PublishInterval", "IotAnalyticsMaxActiveChannels", "IotAnalyticsQueueDropBehavior"),
            *("IotAnalyticsQueueSizePerChannel", "IotAnalyticsBatchSizePerChannel", "IotAnalyticsDefaultChannelName"),
        ),
        isolation=4,
    ),
    "IoTSiteWise": Connector(
        page="iot-sitewise-connector.md",
        latest=12,
        needs={1: (1, 9, 4), 4: _V1_10, 5: (1, 9, 4), 6: _V1_10, 9: _V1_10_2},
        optional=(
            *("SiteWiseLocalStoragePath", "AWSSecretsArnList", "MaximumBufferSize"),
            *("SiteWiseOpcuaUserIdentityTokenSecretArn", "SiteWiseOpcuaUserIdentityTokenSecretArn-ResourceId"),
        ),
        native=True,
        streams=6,
    ),
    "KinesisFirehose": Connector(
        page="kinesis-firehose-connector.md",
        latest=5,
        needs={1: _V1_7, 4: _V1_9_3},
        required=("DefaultDeliveryStreamArn", "DeliveryStreamQueueSize", "MemorySize", "PublishInterval"),
        later={"DeliveryStreamQueueSize": 2, "MemorySize": 2, "PublishInterval": 2},
        isolation=5,
    ),
    "MLFeedback": Connector(
        page="ml-feedback-connector.md",
        latest=1,
        needs={1: _V1_9_3},
        required=("FeedbackConfigurationMap",),
        optional=("RequestLimit",),
    ),
    "ModbusRTUProtocolAdapter": Connector(
        page="modbus-protocol-adapter-connector.md",
        latest=3,
        needs={1: _V1_7, 3: _V1_9_3},
        required=("ModbusSerialPort-ResourceId", "ModbusSerialPort"),
    ),
    "ModbusTCPConnector": Connector(
        page="modbus-tcp-connector.md",
        latest=3,
        needs={1: _V1_10_2},
        optional=("LocalStoragePath", "MaximumBufferSize", "CapabilityConfiguration"),
        native=True,
        streams=1,
    ),
    "ObjectDetectionAarch64JTX2": _object_detection("GPUAcceleration"),
    "ObjectDetectionx86-64": _object_detection("GPUAcceleration"),
    "ObjectDetectionARMv7": _object_detection("GPUAcceleration"),
    "RaspberryPiGPIO": Connector(
        page="raspberrypi-gpio-connector.md",
        latest=3,
        needs={1: _V1_7, 3: _V1_9_3},
        required=("GpioMem-ResourceId",),
        optional=("InputGpios", "InputPollPeriod", "OutputGpios"),
    ),
    "SerialStream": Connector(
        page="serial-stream-connector.md",
        latest=3,
        needs={1: _V1_7, 3: _V1_9_3},
        required=("BaudRate", "Timeout", "SerialPort", "SerialPort-ResourceId", "PollingRead"),
        optional=("PollingReadLength", "PollingReadInterval", "PollingReadType", "RtsCts", "XonXoff", "Parity"),
    ),
    "ServiceNowMetricBaseIntegration": Connector(
        page="servicenow-connector.md",
        latest=4,
        needs={1: _V1_7, 3: _V1_9_3},
        required=(
            *("PublishInterval", "PublishBatchSize", "InstanceName", "DefaultTableName", "MaxMetricsToRetain"),
            *("AuthSecretArn", "AuthSecretArn-ResourceId"),
        ),
        isolation=4,
    ),
    "SNS": Connector(
        page="sns-connector.md",
        latest=4,
        needs={1: _V1_7, 3: _V1_9_3},
        required=("DefaultSNSArn",),
        isolation=4,
    ),
    "SplunkIntegration": Connector(
        page="splunk-connector.md",
        latest=4,
        needs={1: _V1_7, 3: _V1_9_3},
        required=(
            *("SplunkEndpoint", "MemorySize", "SplunkQueueSize", "SplunkFlushIntervalSeconds"),
            *("SplunkTokenSecretArn", "SplunkTokenSecretArn-ResourceId"),
        ),
        optional=("SplunkCustomCALocation",),
        isolation=4,
    ),
    "TwilioNotifications": Connector(
        page="twilio-notifications-connector.md",
        latest=5,
        needs={1: _V1_7, 4: _V1_9_3},
        required=("TWILIO_ACCOUNT_SID", "TwilioAuthTokenSecretArn", "TwilioAuthTokenSecretArn-ResourceId"),
        optional=("DefaultFromPhoneNumber",),
        isolation=5,
    ),
}
"""Every connector of the guide, by the name in its ARN.

The pages of both inference connectors call ``GPUAcceleration`` required, and say that it is for
ImageClassificationAarch64JTX2 only: it is required for that one here, and optional for the others.
"""
DISPUTED_NAMES: Mapping[str, str] = {"ModbusTCP": "ModbusTCPConnector"}
"""modbus-tcp-connector.md has the first name in its example, the second in its table of versions."""


def connector_arn(arn: str) -> tuple[str, int] | None:
    """Return the name and the version in a connector's ARN, or None when it has another form."""
    match = _ARN.fullmatch(arn)
    return (match["name"], int(match["version"])) if match else None
