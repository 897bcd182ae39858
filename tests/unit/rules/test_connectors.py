"""Connectors and system functions: what the guide says of each is held against a group."""

from __future__ import annotations

from typing import Any

import pytest

from edge_sim.greengrass import parse, rules
from edge_sim.greengrass.connectors import CONNECTORS, connector_arn
from edge_sim.report import Finding
from edge_sim.versions import parse_version


def connector(name: str, version: int, **parameters: str) -> dict[str, Any]:
    arn = f"arn:aws:greengrass:eu-west-1::/connectors/{name}/versions/{version}"
    return {"Id": name.lower(), "ConnectorArn": arn, "Parameters": parameters}


def judged(*connectors: dict[str, Any], mode: str | None = None, ggc: str = "1.11") -> dict[str, Finding]:
    execution = {"IsolationMode": mode} if mode else {}
    group, _ = parse.group({"functions": {"DefaultConfig": {"Execution": execution}, "Functions": []}})
    findings = rules.check(group, version=parse_version(ggc), others={"Connectors": list(connectors)})
    return {finding.id: finding for finding in findings if finding.id.startswith("connector-")}


def system(name: str, ggc: str = "1.11", **configuration: Any) -> set[str]:
    arn = f"arn:aws:lambda:::function:{name}:1"
    entry = {"Id": "f", "FunctionArn": arn, "FunctionConfiguration": configuration}
    group, _ = parse.group({"functions": {"Functions": [entry]}})
    findings = rules.check(group, version=parse_version(ggc))
    return {finding.id for finding in findings} - {"core-missing"}


def spooler(ggc: str = "1.11", **variables: str) -> set[str]:
    return system("GGCloudSpooler", ggc, MemorySize=32768, Pinned=True, Environment={"Variables": variables})


@pytest.mark.parametrize("name", CONNECTORS)
def test_every_version_with_its_required_parameters_is_judged_by_nothing_but_the_note(name: str) -> None:
    row = CONNECTORS[name]
    for version in range(1, row.latest + 1):
        parameters = {key: "x" for key in row.needed(version) if "ResourceId" not in key}
        rest = judged(connector(name, version, **parameters))
        assert set(rest) - {"connector-parameter-missing"} == {"connector-not-judged"}
        missing = rest.get("connector-parameter-missing")
        assert (missing is not None) == any("ResourceId" in key for key in row.needed(version))


@pytest.mark.parametrize(
    ("name", "version", "core", "ok"),
    [
        ("SNS", 2, "1.7", True),
        ("SNS", 3, "1.9.2", False),
        ("SNS", 3, "1.9.3", True),
        ("IoTSiteWise", 4, "1.9", False),
        ("IoTSiteWise", 5, "1.9.4", True),
        ("IoTSiteWise", 9, "1.10.1", False),
        ("MLFeedback", 1, "1.8", False),
    ],
)
def test_a_connectors_version_needs_a_core(name: str, version: int, core: str, ok: bool) -> None:
    assert ("connector-core-version" not in judged(connector(name, version), ggc=core)) == ok


def test_a_mistyped_connector_and_a_version_that_never_was_are_refused_with_what_there_is() -> None:
    assert judged(connector("SerialStraem", 3))["connector-unknown"].hint == "Did you mean SerialStream?"
    assert "versions 1 to 3, not 4" in judged(connector("SerialStream", 4))["connector-unknown"].message
    assert "versions 1 to 3, not 0" in judged(connector("SerialStream", 0))["connector-unknown"].message


def test_a_parameter_of_another_version_is_told() -> None:
    early = connector("KinesisFirehose", 1, DefaultDeliveryStreamArn="x", MemorySize="65535")
    assert judged(early)["connector-parameter-unknown"].path == "$.Connectors[0].Parameters.MemorySize"


def test_a_group_without_containers_takes_the_connectors_that_run_without_one() -> None:
    topic = {"DefaultSNSArn": "arn:aws:sns:eu-west-1:123456789012:alarms"}
    no = "NoContainer"
    assert (
        "only in a Greengrass container"
        in judged(connector("DeviceDefender", 3), mode=no)["connector-no-container"].message
    )
    assert "from version 4" in judged(connector("SNS", 3, **topic), mode=no)["connector-no-container"].message
    assert "IsolationMode" in judged(connector("SNS", 4, **topic), mode=no)["connector-no-container"].message
    assert "connector-no-container" not in judged(connector("SNS", 4, **topic, IsolationMode=no), mode=no)
    assert "connector-no-container" not in judged(connector("DockerApplicationDeployment", 7), mode=no)
    assert "connector-no-container" not in judged(connector("DeviceDefender", 3), mode="GreengrassContainer")


def test_the_region_of_a_connectors_arn_may_be_open() -> None:
    open_ = "arn:aws:greengrass:${Ref:AWS::Region}::/connectors/SNS/versions/4"
    assert connector_arn(open_) == ("SNS", 4)
    assert connector_arn("arn:aws:greengrass:::/connectors/SNS/versions/4") is None


@pytest.mark.parametrize("mode", ["GreengrassContainer", "NoContainer"])
def test_the_memory_size_of_a_system_function_is_disputed_and_no_error(mode: str) -> None:
    for size in ({}, {"MemorySize": 32768}):
        configuration = {"Pinned": True, **size}
        entry = {"Id": "f", "FunctionArn": "arn:aws:lambda:::function:GGIPDetector:1"}
        version = {
            "DefaultConfig": {"Execution": {"IsolationMode": mode}},
            "Functions": [{**entry, "FunctionConfiguration": configuration}],
        }
        findings = rules.check(parse.group({"functions": version})[0])
        expected = {"system-memory-size-disputed"} if bool(size) == (mode == "NoContainer") else set()
        assert {f.id for f in findings} - {"core-missing"} == expected
        assert all(f.severity == "note" for f in findings)


def test_stream_manager_must_be_pinned() -> None:
    assert system("GGStreamManager", MemorySize=4194304) == {"stream-manager-pinned"}
    assert system("GGStreamManager", MemorySize=4194304, Pinned=True) == set()


def test_the_spoolers_settings_have_values_and_releases() -> None:
    assert spooler(GG_CONFIG_STORAGE_TYPE="Disk") == {"spool-setting"}
    assert spooler(GG_CONFIG_SUBSCRIPTION_QUALITY="AtLeastOnce") == {"spool-setting"}
    assert spooler(GG_CONFIG_STORAGE_TYPE="Memory", GG_CONFIG_SUBSCRIPTION_QUALITY="AtMostOnce") == set()
    assert spooler("1.9", GG_CONFIG_SUBSCRIPTION_QUALITY="AtLeastOncePersistent") == {"spool-setting-version"}
    assert spooler("1.5", GG_CONFIG_STORAGE_TYPE="FileSystem") == {"spool-setting-version"}
    assert spooler("1.6", GG_CONFIG_STORAGE_TYPE="FileSystem") == set()
