"""AWS's decision table, exact texts, versions, phases and settings. Each rule's own examples: test_examples.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from edge_sim.errors import UsageError
from edge_sim.facts import LISTINGS, Listing
from edge_sim.greengrass import groupfile, rules
from edge_sim.greengrass.functions import FunctionCode
from edge_sim.greengrass.group import Core, Group
from edge_sim.greengrass.rules.settings import Quotas, RuleSettings, quotas
from edge_sim.greengrass.subscriptions import Subscription
from edge_sim.report import Finding
from edge_sim.versions import LATEST, core_version, parse_version
from tests.unit.greengrass.build import ARN, board, device, directory, function, group, owner, s3, secret, volume

C = "GreengrassContainer"
N = "NoContainer"
CORE = Core(
    id="c", thing_arn="arn:aws:iot:eu-west-1:123456789012:thing/gateway", certificate_arn="arn:aws:iot:::cert/0"
)
GID = "44"
"""The board's group video."""


def of(made: Group) -> Group:
    return replace(made, core=CORE)


def ids(found: Sequence[Finding]) -> list[str]:
    return [f.id for f in found]


def valid() -> Group:
    resources = [s3(owner=owner(GID)), volume(), device(AutoAddGroupOwner=True), secret()]
    functions = [
        function("n", ("model", None), ("secret", "ro")),
        function("c", ("model", "ro"), ("volume", "ro"), ("serial", "rw"), isolation=C),
    ]
    return of(group(resources, functions))


def full_board(**changes: Any) -> Any:
    paths = {**board().paths, "/readings": directory()}
    return board(**{"paths": paths, **changes})


def test_a_valid_group_passes_everywhere() -> None:
    assert rules.check(valid(), full_board()) == []


TABLE = [
    # (owner, isolation, function permission) -> the rule that refuses, or None: greengrass-v1 §1.4's decision table
    (None, C, "ro", None),
    (None, C, "rw", None),
    (None, C, None, "model-permission-missing"),
    (None, N, None, "model-permission-missing"),
    (None, N, "ro", "model-no-container-permission"),
    (None, N, "rw", "model-no-container-permission"),
    ("ro", N, "ro", "model-no-container-permission"),
    ("ro", N, "rw", "model-no-container-permission"),
    ("rw", N, "ro", "model-no-container-permission"),
    ("rw", N, "rw", "model-no-container-permission"),
    ("ro", N, None, None),
    ("rw", N, None, None),
    ("ro", C, None, None),
    ("rw", C, None, None),
    ("rw", C, "ro", None),
    ("rw", C, "rw", None),
    ("ro", C, "ro", None),
    ("ro", C, "rw", "model-permission-exceeds-owner"),
]


@pytest.mark.parametrize(("own", "isolation", "permission", "refused"), TABLE)
def test_decision_table(own: str | None, isolation: str, permission: str | None, refused: str | None) -> None:
    model = s3(owner=owner(GID, own) if own else None)
    found = ids(rules.check(of(group([model], [function("f", ("model", permission), isolation=isolation)]))))
    # Without owner and container, a function that states a permission breaks two rows of the table.
    also = ["model-permission-missing"] if own is None and isolation == N and permission else []
    expected = ([refused] if refused else []) + also
    if permission == "rw" and own == "ro" and isolation == N:
        expected.append("model-permission-exceeds-owner")
    assert found == expected


@pytest.mark.parametrize(
    ("isolation", "permission", "refused"),
    [(C, "ro", []), (C, None, ["model-permission-required"]), (N, None, ["ml-no-container-version"])],
)
def test_decision_table_up_to_1_9(isolation: str, permission: str | None, refused: list[str]) -> None:
    made = of(group([s3()], [function("f", ("model", permission), isolation=isolation)]))
    assert ids(rules.check(made, version=parse_version("1.9"))) == refused


F = f"{ARN}f:1"
GROUPS: dict[str, Group] = {
    "volume-under-sys": group([volume(source="/sys/class")], []),
    "device-outside-dev": group([device(source="/tmp/tty")], []),
    "model-owner": group([s3(owner={"GroupOwner": GID})], []),
    "model-no-container-permission": group([s3(owner=owner(GID))], [function("f", ("model", "ro"))]),
    "model-permission-missing": group([s3()], [function("f", ("model", None))]),
    "model-permission-exceeds-owner": group([s3(owner=owner(GID))], [function("f", ("model", "rw"), isolation=C)]),
    "model-nested-destination": group(
        [s3("a", owner=owner(GID), to="/m"), s3("b", owner=owner(GID), to="/m/n")],
        [function("f", ("a", None), ("b", None))],
    ),
    "memory-size": group([], [function("f", MemorySize=16384)]),
    "access-sysfs": group([], [function("f", sysfs=True)]),
    "local-resource-no-container": group([device()], [function("f", ("serial", "rw"))]),
    "shared-group": group([s3(owner=owner("995"))], [function("f")]),
    "root-functions": group([], [function("f", run_as={"Uid": 0, "Gid": 0})]),
    "local-access": group([volume()], [function("f", ("volume", "rw"), isolation=C)]),
}
TEXTS = """
volume-under-sys: The resources definition is invalid. (ErrorDetails: [Accessing /sys is prohibited])
device-outside-dev: The resources definition is invalid.
  (ErrorDetails: [Device resource path should begin with /dev, but got: /tmp/tty])
model-owner: InvalidMLModelOwner - GroupOwnerSetting is provided in ML model resource,
  but GroupOwner or GroupPermission is not present
model-no-container-permission: NoContainer function cannot configure permission when attaching Machine Learning
  resources. ARN refers to Machine Learnin resource model with permission ro in resource access policy.
model-permission-missing: Function ARN refers to Machine Learning resource model with missing permission in both
  ResourceAccessPolicy and resource OwnerSetting.
model-permission-exceeds-owner: Function ARN refers to Machine Learning resource model with permission \\"rw\\", while
  resource owner setting GroupPermission only allows \\"ro\\".
model-nested-destination: NoContainer Function ARN refers to resources of nested destination path.
memory-size: MemorySize configuration for function with arn ARN is not allowed in IsolationMode=NoContainer.
access-sysfs: Access Sysfs configuration for function with arn ARN is not allowed in IsolationMode=NoContainer.
local-resource-no-container: Function ARN refers to resource of type Local.Device that is not allowed in
  IsolationMode=NoContainer.
shared-group: Lambda ARN gains access to resource model by sharing the same group owner id
root-functions: [ARN] are configured to run as root but Greengrass is not configured to run Lambda functions with root
  permissions.
local-access: unable to load the group file downloaded: resource access policy is invalid, functionArn: ARN,
  resource: /srv/readings: user or group doesn't have permission on the file, userId: 995, userGroupId: [995],
  access: rw, filePath: /srv/readings
"""


def texts() -> dict[str, str]:
    """AWS's texts by rule, lines joined."""
    joined = TEXTS.strip().replace("\n  ", " ").replace("ARN", F).splitlines()
    return {rule: text for rule, _, text in (line.partition(": ") for line in joined)}


@pytest.mark.parametrize("rule", GROUPS)
def test_the_text_is_awss_own(rule: str) -> None:
    assert [f.aws_text for f in rules.check(GROUPS[rule], full_board()) if f.id == rule] == [texts()[rule]]


@pytest.mark.parametrize("value", ["7", 7])
@pytest.mark.parametrize(("key", "word"), [("Source", "source"), ("Target", "target")])
def test_a_subscriptions_parties_are_refused_in_awss_words(key: str, word: str, value: object) -> None:
    entry = {"Id": "s", "Source": "cloud", "Target": f"{ARN}f:1", "Subject": "a", key: value}
    [found] = rules.check(Group(), others={"Subscriptions": [entry]})
    assert (found.phase, found.path) == ("create", f"$.Subscriptions[0].{key}")
    assert found.aws_text == (
        f"The subscriptions definition is invalid or corrupted. (ErrorDetails: [Subscription {word} is invalid. ID is "
        f"'s' and {key} is '7'])"
    )


def test_a_subscription_names_no_latest_version() -> None:
    entry = {"Id": "s", "Source": "cloud", "Target": f"{ARN}f:$LATEST", "Subject": "a"}
    assert ids(rules.check(Group(), others={"Subscriptions": [entry]})) == ["subscription-target"]


@pytest.mark.parametrize(
    ("subject", "taken"),
    [
        ("a/b", True),
        ("#", True),
        ("+/+/#", True),
        ("$aws/things/+/shadow/#", True),
        ("/", True),
        ("", False),
        ("a/#/b", False),
        ("a#", False),
        ("a+/b", False),
        ("a/+b", False),
        ("a\0", False),
        ("${Ref:Topic}", True),
    ],
)
def test_a_subscriptions_topic_is_a_filter_of_mqtt(subject: str, taken: bool) -> None:
    entry = {"Id": "s", "Source": "cloud", "Target": f"{ARN}f:1", "Subject": subject}
    assert ids(rules.check(Group(), others={"Subscriptions": [entry]})) == ([] if taken else ["subscription-filter"])


def test_who_a_subscription_names_is_looked_for_where_all_of_the_group_is_known() -> None:
    entries = [{"Id": "s", "Source": f"{ARN}f:2", "Target": f"{ARN}g:prod", "Subject": "a"}]
    known = of(group([], [function("f"), function("g")]))
    found = [f for f in rules.check(known, others={"Subscriptions": entries}) if f.id == "subscription-unknown"]
    assert [f.path for f in found] == ["$.Subscriptions[0].Source", "$.Subscriptions[0].Target"]
    open_one = {**function("g"), "FunctionArn": f"{ARN.replace('123456789012', '${AWS::AccountId}')}g:prod"}
    assert rules.check(of(group([], [open_one])), others={"Subscriptions": entries}) == []
    assert rules.check(of(group([], [])), others={"Subscriptions": entries}) == []


def test_fifty_subscriptions_may_come_from_the_cloud() -> None:
    entries = [{"Id": f"s{n}", "Source": "cloud", "Target": f"{ARN}f:1", "Subject": "a"} for n in range(51)]
    assert rules.check(Group(), others={"Subscriptions": entries[:50]}) == []
    assert ids(rules.check(Group(), others={"Subscriptions": entries})) == ["subscription-cloud-total"]
    table = tuple(Subscription(id=f"s{n}", source="cloud", subject="a", target=f"{ARN}f:1") for n in range(51))
    assert ids(rules.refusals(Group(subscriptions=table))) == ["subscription-cloud-total"], "the cloud has no file"


def test_a_path_that_only_begins_alike_is_not_below() -> None:
    beside = [volume("a", source="/system/x", to="/a"), volume("b", source="/variable", to="/b")]
    models = [s3("m", owner=owner(GID), to="/models"), s3("n", owner=owner(GID), to="/models2")]
    made = of(group([*beside, *models], [function("f", ("m", None), ("n", None))]))
    assert {f.id for f in rules.check(made) if f.severity == "error"} == set()


@pytest.mark.parametrize(
    "path",
    ["//sys/x", "/dev//shm", "/srv/./x", "/srv/../sys", "/", "//", "srv", "/a\0b", "/a\nb", "/a\x1b[2J", "/srv//"],
)
def test_no_spelling_of_a_path_escapes_the_rules_about_it(path: str) -> None:
    refused = {"absolute-path"} if path != "/srv//" else set()
    assert refused <= set(ids(rules.check(group([volume(source=path)], []))))
    assert "absolute-path" in ids(rules.check(group([device(source=f"/dev{path}/")], [])))


@pytest.mark.parametrize(
    ("path", "as_volume", "as_device"),
    [
        ("${Ref:X}", True, True),
        ("${Ref:X}/data", True, True),
        ("/${Ref:X}", True, True),
        ("/de${Ref:X}", True, True),
        ("/srv/${Ref:X}/a", True, False),
        ("srv/${Ref:X}", False, False),
        ("/srv/../${Ref:X}", False, False),
        ("${Ref:X}/../a", False, True),
    ],
)
def test_what_a_template_leaves_open_may_be_right_and_the_rest_is_judged(
    path: str, as_volume: bool, as_device: bool
) -> None:
    assert ("absolute-path" not in ids(rules.check(group([volume(source=path)], [])))) == as_volume
    assert ("device-outside-dev" not in ids(rules.check(group([device(source=path)], [])))) == as_device


LONGEST = "/" + "/".join(["x" * 255] * 15 + ["x" * 254])
"""4095 bytes."""


@pytest.mark.parametrize(
    ("path", "fits"),
    [
        ("/models/" + "d" * 255, True),
        ("/models/" + "d" * 256, False),
        ("/models/" + "é" * 127, True),
        ("/models/" + "é" * 128, False),
        (LONGEST, True),
        (f"{LONGEST}y", False),
        ("/models/${Ref:" + "N" * 300 + "}", True),
    ],
)
def test_a_path_is_no_longer_than_the_kernel_takes(path: str, fits: bool) -> None:
    assert ("path-too-long" not in ids(rules.check(group([s3(to=path)], [])))) == fits
    assert ("path-too-long" not in ids(rules.check(group([volume(source=path)], [])))) == fits


@pytest.mark.parametrize(("isolation", "fits"), [("NoContainer", False), ("GreengrassContainer", True)])
def test_a_models_path_has_room_for_the_prefix(isolation: str, fits: bool) -> None:
    made = group([s3(owner=owner(), to=LONGEST)], [function("f", ("model", None), isolation=isolation)])
    found = [finding for finding in rules.check(made) if finding.id == "path-too-long"]
    assert [finding.message for finding in found] == (
        [] if fits else ["function f, resource model: the path below its prefix has more than 4095 bytes"]
    )


@pytest.mark.parametrize("arn", [f"{ARN}f:1\0", f"{ARN}f\n:1", "arn:aws:lambda:::function:GGRouter:\0"])
def test_a_control_character_makes_no_arn(arn: str) -> None:
    made = group([], [{**function("f"), "FunctionArn": arn}])
    assert "function-version" in ids(rules.check(made))


@pytest.mark.parametrize(
    ("arn", "words"),
    [
        ("arn:aws:lambda:eu-west-1:12345678901:function:f:1", "an account's id has 12 digits"),
        ("arn:aws:lambda:eu-west-1:<account>:function:f:1", "an account's id has 12 digits"),
        (f"{ARN}f:0", "Lambda counts versions from 1"),
        (f"{ARN}f:01", "Lambda counts versions from 1"),
        (f"{ARN}f:1 ", "is not a function's ARN"),
        (f" {ARN}f:1", "is not a function's ARN"),
        (f"{ARN}f g:1", "is not a function's ARN"),
        (f"{ARN}f:größe", "is not a function's ARN"),
        ("arn:aws:lambda:US East:123456789012:function:f:1", "is not a function's ARN"),
        (f"{ARN}f:0prod", None),
        (f"{ARN}my.legacy_name-2:PROD_1", None),
        (f"{ARN}f:10", None),
        ("arn:aws-cn:lambda:cn-north-1:012345678901:function:f:live", None),
    ],
)
def test_a_function_s_arn_has_an_account_and_a_version_that_can_be(arn: str, words: str | None) -> None:
    made = group([], [{**function("f"), "FunctionArn": arn}])
    told = [f.message for f in rules.check(made) if f.id == "function-version"]
    assert len(told) == (words is not None)
    assert all(str(words) in message for message in told)


@pytest.mark.parametrize(
    ("resource", "refused"),
    [
        (volume(to="/"), "absolute-path"),
        (volume(source="/srv/./readings"), "absolute-path"),
        (device(source="/dev/ttyAMA0/"), "absolute-path"),
        (device(source="/dev/./ttyAMA0"), "absolute-path"),
    ],
)
def test_what_a_refused_path_would_allow_is_beside_the_point(resource: dict[str, Any], refused: str) -> None:
    made = group([resource], [function("f", (resource["Id"], "rw"), isolation=C)])
    found = ids(rules.check(made, board()))
    assert refused in found
    assert "local-access" not in found


@pytest.mark.parametrize("path", ["~/data", "srv/data", "//srv/data", "C:\\data"])
def test_nobody_asks_whether_a_refused_path_exists(path: str) -> None:
    made = group([volume(source=path, to=path)], [])
    assert set(ids(rules.check(made, board(whole=frozenset())))) == {"absolute-path"}
    assert {"source-exists", "destination-exists"} <= set(
        ids(rules.check(group([volume(source="/a", to="/b")], []), board()))
    )


@pytest.mark.parametrize(
    ("destination", "named"),
    [("/sys/readings", "/srv/readings"), ("/proc/readings", "/srv/readings"), ("/attached", "/attached")],
)
def test_a_denied_volume_is_called_as_the_function_sees_it_or_where_it_sees_none_by_its_source(
    destination: str, named: str
) -> None:
    """Nothing is mounted below a container's own /sys or /proc."""
    made = group([volume(to=destination)], [function("f", ("volume", "rw"), isolation=C)])
    (denied,) = [f for f in rules.check(made, board()) if f.id == "local-access"]
    assert denied.message.partition(": ")[2].startswith(f"{named} is 0755 0:0;")
    assert denied.hint is not None
    assert denied.hint.startswith(f"{named} is 0755 0:0;")


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"variables": {"KEY": "a\0b"}}, True),
        ({"variables": {"KEY": "-----BEGIN\n\t\x1b"}}, False),
        ({"Executable": "meter.read\0"}, True),
        ({"Executable": "meter.read\n"}, True),
        ({"Executable": "meter.read"}, False),
        ({"ExecArgs": "--all\0"}, True),
        ({"ExecArgs": "--all\n"}, False),
    ],
)
def test_a_function_that_the_kernel_cannot_start_does_not_start(config: dict[str, Any], found: bool) -> None:
    made = of(group([], [function("f", **config)]))
    failures = rules.start_failures(made, made.functions[0], full_board())
    assert ids(failures) == (["control-character"] if found else [])
    assert rules.refusals(made, full_board()) == [], "what the cloud and the core said of it is not known"


@pytest.mark.parametrize(
    ("key", "number"), [("MemorySize", 2**31), ("Timeout", 2**31), ("Timeout", -1), ("MemorySize", 0)]
)
def test_a_number_that_the_api_or_a_process_cannot_take_is_refused(key: str, number: int) -> None:
    made = of(group([], [function("f", isolation=C, **{"MemorySize": 16384, key: number})]))
    assert ids(rules.check(made)) == ["function-numbers"]


@pytest.mark.parametrize(("timeout", "found"), [(0, ["timeout-zero"]), (1, []), (None, [])])
def test_a_timeout_of_0_is_kept_and_counts_as_the_default_with_a_warning(timeout: int | None, found: list[str]) -> None:
    config: dict[str, Any] = {} if timeout is None else {"Timeout": timeout}
    made = of(group([], [function("f", **config)]))
    assert ids(rules.check(made)) == found
    assert made.functions[0].call_limit_s == (timeout or 3)
    (kept,) = groupfile.decode(groupfile.encode(made, region="eu-west-1")).functions
    assert kept.timeout_s == made.functions[0].timeout_s == (3 if timeout is None else timeout)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("greengrass-key-a1b2c3", []),
        ("greengrass-key", ["secret-arn-partial"]),
        ("greengrass-key-a1b2c", ["secret-arn-partial"]),
        ("greengrass-key-a1b2c3d", ["secret-arn-partial"]),
        ("greengrass-a1b2c3", []),
        ("greengrass-" + "x" * 501 + "-a1b2c3", []),
        ("greengrass-" + "x" * 502 + "-a1b2c3", ["secret-arn"]),
        ("greengrass-key:1-a1b2c3", ["secret-arn"]),
        ("greengrass-ké-a1b2c3", ["secret-arn"]),
    ],
)
def test_a_secret_s_arn_ends_in_what_secrets_manager_adds_to_its_name(name: str, found: list[str]) -> None:
    resource = secret()
    arn = f"arn:aws:secretsmanager:eu-west-1:123456789012:secret:{name}"
    resource["ResourceDataContainer"]["SecretsManagerSecretResourceData"]["ARN"] = arn
    assert ids(rules.check(of(group([resource], [])))) == found


NAME, JOB = "arn:aws:lambda:eu-west-1:123456789012:function:", "arn:aws:sagemaker:eu-west-1:123456789012:training-job/"
FUNCTION_ARNS = {
    f"{NAME}{'f' * 64}:1": True,
    f"{NAME}{'f' * 65}:1": False,
    f"{NAME}f:{'a' * 128}": True,
    f"{NAME}f:{'a' * 129}": False,
    "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:f:1": True,
    "arn:aws-cn:lambda:cn-north-1:123456789012:function:f:1": True,
    "arn:aws:lambda:eu-west1:123456789012:function:f:1": False,
    "arn:aws:lambda:ireland:123456789012:function:f:1": False,
}


@pytest.mark.parametrize("arn", FUNCTION_ARNS)
def test_a_function_s_arn_is_one_that_lambda_has(arn: str) -> None:
    made = group([], [{**function("f"), "FunctionArn": arn}])
    assert ids(rules.check(of(made))) == ([] if FUNCTION_ARNS[arn] else ["function-version"])


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        ("s3://greengrass-a/" + "k" * 1020 + ".zip", []),
        ("s3://greengrass-a/" + "é" * 510 + ".zip", []),
        ("s3://greengrass-a/" + "k" * 1021 + ".zip", ["model-object"]),
        ("s3://greengrass_A/k.zip", []),
        ("s3://greengrass a/k.zip", ["model-object"]),
        ("s3://greengrass-é/k.zip", ["model-object"]),
        ("s3://gg/k.zip", ["model-object", "model-bucket-policy"]),
    ],
)
def test_a_model_lies_where_s3_can_have_it(uri: str, found: list[str]) -> None:
    model = s3(owner=owner(GID))
    model["ResourceDataContainer"]["S3MachineLearningModelResourceData"]["S3Uri"] = uri
    assert ids(rules.check(of(group([model], [function("f", ("model", None))])))) == found


@pytest.mark.parametrize(
    ("arn", "good"),
    [
        (f"{JOB}j", True),
        (f"{JOB}birds-2026-03", True),
        (f"{JOB}{'j' * 63}", True),
        (f"{JOB}{'j' * 64}", False),
        (f"{JOB}birds_2026", False),
        (f"{JOB}birds-", False),
        (JOB.replace("123456789012", "12") + "j", False),
    ],
)
def test_a_training_job_is_named_as_sagemaker_names_them(arn: str, good: bool) -> None:
    data = {"SageMakerJobArn": arn, "DestinationPath": "/m", "OwnerSetting": owner(GID)}
    model = {"Id": "m", "Name": "m", "ResourceDataContainer": {"SageMakerMachineLearningModelResourceData": data}}
    findings = rules.check(of(group([model], [function("f", ("m", None))])))
    assert ids(findings) == ([] if good else ["training-job"])


@pytest.mark.parametrize(("label", "good"), [("", False), ("a", True), ("a" * 256, True), ("a" * 257, False)])
def test_a_staging_label_is_as_long_as_secrets_manager_takes_it(label: str, good: bool) -> None:
    resource = secret()
    data = resource["ResourceDataContainer"]["SecretsManagerSecretResourceData"]
    data["AdditionalStagingLabelsToDownload"] = ["previous", label]
    assert ids(rules.check(of(group([resource], [])))) == ([] if good else ["secret-label"])


@pytest.mark.parametrize(
    ("handler", "runtime", "good"),
    [
        ("meter.read", "python3.7", True),
        ("parts/meter.read", "python3.8", True),
        ("a.b.c", "python2.7", True),
        ("read", "python3.7", False),
        (".read", "python3.7", False),
        ("meter.", "python3.7", False),
        ("parts.d/read", "python3.7", False),
        ("read", "nodejs8.10", True),
        ("read", "arn:aws:greengrass:::runtime/function/executable", True),
    ],
)
def test_a_handler_in_python_is_a_function_of_a_module(handler: str, runtime: str, good: bool) -> None:
    config = {"Executable": handler, "FunctionRuntimeOverride": runtime, "EncodingType": "binary"}
    made = of(group([], [function("f", **config)]))
    assert ("handler-form" in ids(rules.start_failures(made, made.functions[0], full_board()))) != good
    unknown = replace(of(group([], [function("f", Executable=handler)])), code={})
    assert "handler-form" not in ids(rules.check(unknown))


@pytest.mark.parametrize(("number", "good"), [(-1, False), (0, True), (2**31 - 1, True), (2**31, False)])
def test_an_id_to_run_as_is_an_integer_that_the_api_has(number: int, good: bool) -> None:
    made = of(group([], [function("f", run_as={"Uid": number, "Gid": 5})]))
    assert ids(rules.check(made)) == ([] if good else ["run-as-range"])


THINGS = "arn:aws:iot:eu-west-1:123456789012:"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, []),
        ({"ThingArn": f"{THINGS}thing/a:b_c-D9"}, []),
        ({"ThingArn": f"{THINGS}thing/{'a' * 129}"}, ["thing-arn"]),
        ({"ThingArn": f"{THINGS}thing/a/b"}, ["thing-arn"]),
        ({"ThingArn": f"{THINGS}thing/a.b"}, ["thing-arn"]),
        ({"ThingArn": "arn:aws:iot:eu-west-1:12:thing/a"}, ["thing-arn"]),
        ({"CertificateArn": f"{THINGS}cert/{'0' * 63}"}, ["thing-arn"]),
        ({"CertificateArn": f"{THINGS}cert/{'g' * 64}"}, ["thing-arn"]),
        ({"CertificateArn": f"arn:aws:iot:eu-west-2:123456789012:cert/{'0' * 64}"}, ["thing-certificate"]),
        ({"CertificateArn": f"arn:aws:iot:eu-west-1:210987654321:cert/{'0' * 64}"}, ["thing-certificate"]),
        ({"CertificateArn": "${CERTIFICATE}"}, []),
    ],
)
def test_a_thing_and_its_certificate_are_such_as_iot_has(change: dict[str, str], found: list[str]) -> None:
    device = {"Id": "d", "ThingArn": f"{THINGS}thing/a", "CertificateArn": f"{THINGS}cert/{'0' * 64}", **change}
    assert ids(rules.check(of(group([], [])), others={"Devices": [device]})) == found


@pytest.mark.parametrize(
    ("space", "good"), [(None, True), (-1, False), (0, False), (1, True), (2**31 - 1, True), (2**31, False)]
)
def test_a_logger_s_space_is_a_size(space: int | None, good: bool) -> None:
    logger = {"Id": "l", "Component": "Lambda", "Level": "INFO", "Type": "FileSystem", "Space": space}
    assert ids(rules.check(of(group([], [])), others={"Loggers": [logger]})) == ([] if good else ["logger-space"])


def test_a_directory_s_trailing_slash_changes_nothing() -> None:
    slashed = [volume("v", source="/srv/readings/", to="/a/"), volume("w", source="/srv/readings", to="/b")]
    models = [s3("m", owner=owner(GID), to="/m/"), s3("n", owner=owner(GID), to="/m")]
    found = ids(rules.check(of(group([*slashed, *models], [])), full_board()))
    assert {"volume-destinations", "model-destination-disputed"} <= set(found)
    assert "source-exists" not in found


def test_models_of_two_functions_may_share_a_destination_as_in_aws_s_own_sample() -> None:
    models = [s3("m", to="/models/classifier"), s3("n", to="/models/classifier")]
    each = [function("f", ("m", "ro"), isolation=C), function("g", ("n", "ro"), isolation=C)]
    assert ids(rules.check(of(group(models, each)))) == ["model-destination-disputed"]
    both = [*each, function("h", ("m", "ro"), ("n", "ro"), isolation=C)]
    assert ids(rules.check(of(group(models, both)))) == ["model-destination-unique"]


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        ("s3://greengrass-a/m.zip", []),
        ("http://greengrass-a.s3.amazonaws.com/m.zip", ["model-uri-disputed"]),
        ("https://s3-eu-west-1.amazonaws.com/greengrass-a/in/m.tar.gz", ["model-uri-disputed"]),
        ("https://greengrass-a.s3.eu-west-1.amazonaws.com/m.tar.gz", ["model-uri-disputed"]),
        ("https://greengrass.b.s3.amazonaws.com/m.zip", ["model-uri-disputed", "model-bucket"]),
        ("https://example.com/m.zip", ["model-package"]),
        ("https://greengrass.s3.amazonaws.com.example.com/m.zip", ["model-package"]),
        ("s3:///m.zip", ["model-package"]),
        ("s3://greengrass-a", ["model-package"]),
        ("m.zip", ["model-package"]),
    ],
)
def test_where_a_model_s_package_may_be(uri: str, found: list[str]) -> None:
    model = s3()
    model["ResourceDataContainer"]["S3MachineLearningModelResourceData"]["S3Uri"] = uri
    assert ids(rules.check(of(group([model], [])))) == found


def test_a_resource_that_a_connector_names_is_used() -> None:
    made = of(group([secret("token")], [function("f")]))
    connector = {"Id": "c", "ConnectorArn": "arn:aws:greengrass:eu-west-1::/connectors/TwilioNotifications/versions/5"}
    named = [{**connector, "Parameters": {"TwilioAuthTokenSecretArn-ResourceId": "token"}}]
    assert "unused-resource" in ids(rules.check(made, others={"Connectors": [connector]}))
    assert "unused-resource" not in ids(rules.check(made, others={"Connectors": named}))


def test_one_gid_in_two_spellings_is_one_owner_group() -> None:
    models = [s3("m", owner=owner("1001"), to="/m"), s3("n", owner=owner("01001"), to="/n")]
    assert "model-shared-owner" in ids(rules.check(of(group(models, [function("f", ("m", None))]))))


def test_an_owner_that_a_template_leaves_open_is_held_to_what_is_known_of_it() -> None:
    half = group([s3(owner={"GroupOwner": "${Ref:Gid}"})], [])
    assert "model-owner" in ids(rules.check(half))
    models = [s3("m", owner=owner("${Ref:Gid}"), to="/m"), s3("n", owner=owner("${Ref:Gid}"), to="/n")]
    assert "model-shared-owner" in ids(rules.check(of(group(models, [function("f", ("m", None))]))))
    others = [models[0], s3("n", owner=owner("${Ref:OtherGid}"), to="/n")]
    assert "model-shared-owner" not in ids(rules.check(of(group(others, [function("f", ("m", None))]))))


def test_a_number_too_long_for_a_gid_is_refused_on_a_board_as_well() -> None:
    made = of(group([s3(owner=owner("9" * 5000))], [function("f", ("model", None))]))
    assert {"group-owner-range", "group-exists"} == set(ids(rules.check(made, full_board())))


def test_a_required_memory_size_has_the_other_half_of_the_text() -> None:
    bare = function("f", isolation=C)
    del bare["FunctionConfiguration"]["MemorySize"]
    [found] = [f for f in rules.check(group([], [bare])) if f.id == "memory-size"]
    assert found.aws_text == (
        f"MemorySize configuration for function with arn {F} is required in IsolationMode=GreengrassContainer."
    )


def test_all_faults_come_in_one_go() -> None:
    wrong = group([volume(source="/sys/x"), device(source="/tmp/x")], [function("f", ("gone", None), MemorySize=1)])
    assert {"volume-under-sys", "device-outside-dev", "unknown-resource", "memory-size"} <= set(ids(rules.check(wrong)))


def test_only_a_create_rule_refuses_the_api_call() -> None:
    found = rules.create_refusals(group([volume(source="/sys/x"), volume("v", to="relative")], []))
    assert ids(found) == ["volume-under-sys"]


def test_notes_warnings_and_what_fails_at_run_time_do_not_refuse_a_deployment() -> None:
    shm = volume("shm", source="/dev/shm", to="/dev/shm")
    small = function("f", ("shm", "ro"), isolation=C, MemorySize=64)
    assert {f.phase for f in rules.check(group([shm], [small])) if f.id in ("shm-read-write", "memory-size-unit")} == {
        "run"
    }
    assert rules.refusals(group([shm], [small])) == []


def test_a_function_that_cannot_start_is_told_from_one_that_can() -> None:
    shm, var = volume("shm", source="/dev/shm", to="/dev/shm"), volume("var", source="/var/run", to="/host-run")
    made = group(
        [shm, var],
        [
            function("reads", ("shm", "ro"), isolation=C),
            function("writes", ("shm", "rw"), isolation=C),
            function("runs", ("var", "ro"), isolation=C),
        ],
    )
    failures = {f.id: ids(rules.start_failures(made, f, full_board())) for f in made.functions}
    assert failures == {"reads": ["shm-read-write"], "writes": [], "runs": ["volume-under-var"]}


def n_resources(count: int) -> Group:
    names = [f"v{i}" for i in range(count)]
    return of(group([volume(n) for n in names], [function("f", *[(n, "ro") for n in names], isolation=C)]))


@pytest.mark.parametrize(
    ("count", "setting", "found"),
    [
        (10, 20, []),
        (15, 20, ["resource-count-disputed"]),
        (15, 10, ["resource-count"]),
        (21, 20, ["resource-count"]),
    ],
)
def test_ten_or_twenty_resources_a_function(count: int, setting: int, found: list[str]) -> None:
    settings = RuleSettings(quotas=Quotas(resources_per_function=setting))
    assert ids(rules.check(n_resources(count), settings=settings))[:1] == found or found == []
    assert set(ids(rules.check(n_resources(count), settings=settings))) - {"mount-hidden"} == set(found)


@pytest.mark.parametrize(
    ("count", "setting", "found"),
    [
        (50, 200, set()),
        (51, 200, {"resource-total-disputed"}),
        (200, 200, {"resource-total-disputed"}),
        (201, 200, {"resource-total"}),
        (51, 50, {"resource-total"}),
    ],
)
def test_fifty_or_two_hundred_resources_a_group(count: int, setting: int, found: set[str]) -> None:
    made = group([volume(f"v{i}") for i in range(count)], [])
    settings = RuleSettings(quotas=Quotas(resources_per_group=setting))
    assert set(ids(rules.check(made, settings=settings))) == found


@pytest.mark.parametrize(
    ("arn", "warned"),
    [
        (F, True),
        ("${Ref:Meter.Version}", True),
        ("arn:aws:greengrass:::runtime/function/executable", False),
    ],
)
def test_one_arn_is_that_of_one_function_or_of_native_executables(arn: str, warned: bool) -> None:
    made = [{**function(name, EncodingType="binary"), "FunctionArn": arn} for name in ("a", "b")]
    found = [f for f in rules.check(of(group([], made))) if f.id != "executable-arn"]
    told = [(f.id, f.severity, f.path) for f in found]
    assert told == ([("function-arn-shared", "warning", "$.Functions[1].FunctionArn")] if warned else [])


NATIVE = "arn:aws:greengrass:::runtime/function/executable"


@pytest.mark.parametrize("partition", ["aws", "aws-cn", "aws-us-gov"])
def test_native_executables_are_known_by_their_lambda_runtime(partition: str) -> None:
    runtime = NATIVE.replace("aws", partition, 1)
    code = FunctionCode(artifact_arn="", handler="meter", runtime=runtime, sha256="", size=0)
    made = replace(of(group([], [function("f", EncodingType="binary")])), code={"f": code})
    assert rules.check(made) == []
    assert "executable-version" in ids(rules.check(made, version=parse_version("1.5")))
    text = replace(made, functions=(replace(made.functions[0], encoding_type="json"),))
    assert ids(rules.check(text)) == ["executable-encoding"]


def test_two_hundred_functions_are_allowed_and_one_more_is_not() -> None:
    assert ids(rules.check(of(group([], [function(f"f{i}") for i in range(200)])))) == []
    assert ids(rules.check(of(group([], [function(f"f{i}") for i in range(201)])))) == ["function-total"]


def test_a_name_as_group_owner_is_noted_or_refused() -> None:
    made = group([s3(owner=owner("video"))], [])
    assert ids(rules.check(made)) == ["group-owner-disputed"]
    assert ids(rules.check(made, settings=RuleSettings(gid_only=True))) == ["group-owner-gid"]


@pytest.mark.parametrize(("name", "refused"), [("0", True), ("000", True), ("root", True), ("10", False), ("", False)])
def test_roots_own_group_owns_no_model(name: str, refused: bool) -> None:
    found = ids(rules.check(group([s3(owner=owner(name))], [])))
    assert ("group-owner-root" in found) is refused


@pytest.mark.parametrize("text", ["resources-per-function", "resources-per-function=x", "cats=9", "=1", ""])
def test_a_limit_that_is_none_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError, match="is not a limit"):
        quotas((text,))


def test_limits_by_name() -> None:
    assert quotas(("resources-per-function=10", "resources-per-group=50")) == Quotas(
        resources_per_function=10, resources_per_group=50
    )


def test_a_line_means_its_newest_patch() -> None:
    assert parse_version("1.9") > parse_version("1.9.4") > parse_version("1.9.2")
    assert parse_version("1.10") > parse_version("1.9")
    assert core_version("nonsense") == LATEST
    for last in ("1.8.4", "1.9.4", "1.10.5", "1.11.6"):
        assert parse_version(last)
    for wrong in ("2.0", "1.12", "1", "1.10.x", "", "1.9.04", "1.8.5", "1.9.5", "1.10.6", "1.11.7", "1.11.99"):
        with pytest.raises(UsageError, match="not a version"):
            parse_version(wrong)


def test_the_boards_version_decides_unless_one_is_asked_for() -> None:
    old = full_board(greengrass=replace(board().greengrass, version="1.9.4"))
    made = of(group([s3(owner=owner(GID))], [function("f", ("model", "ro"), isolation=C)]))
    assert ids(rules.check(made, old)) == ["owner-setting-version"]
    assert ids(rules.check(made, old, version=parse_version("1.10"))) == []


def test_what_a_profile_does_not_list_is_unknown_unless_the_list_is_whole() -> None:
    made = of(group([volume(source="/opt/x"), device(source="/dev/ttyUSB9")], []))
    for whole, severities in (((), ["unknown"] * 2), (("devices",), ["unknown", "error"]), (LISTINGS, ["error"] * 2)):
        found = rules.check(made, full_board(whole=frozenset(whole)))
        assert [f.severity for f in found if f.id == "source-exists"] == severities
        assert [f.aws_text is None for f in found if f.id == "source-exists"] == [s == "unknown" for s in severities]
    assert rules.refusals(made, full_board(whole=frozenset())) == []
    assert ids(rules.refusals(made, full_board())) == ["source-exists", "source-exists"]


def test_a_group_that_is_not_listed_is_unknown_unless_the_list_is_whole() -> None:
    made = of(group([s3(owner=owner("vidoe")), s3("n", owner=owner("4711"), to="/n")], []))
    for whole, severity in ((frozenset[Listing](), "unknown"), (frozenset(LISTINGS), "error")):
        found = {f.id: f for f in rules.check(made, full_board(whole=whole))}
        assert found["group-exists"].severity == severity
        assert found["gid-without-group"].severity == ("unknown" if severity == "unknown" else "warning")


def test_a_near_miss_is_named() -> None:
    slips = [device(source="/dev/ttyAMA1"), volume(source="/srv/reading"), s3(owner=owner("vidoe"))]
    for whole in (frozenset[Listing](), frozenset(LISTINGS)):
        told = [f"{f.message} {f.hint}" for f in rules.check(of(group(slips, [])), full_board(whole=whole))]
        for right in ("/dev/ttyAMA0", "/srv/readings", "video"):
            assert sum(f"id you mean {right}?" in text for text in told) == 1, told


def test_shared_group_is_not_checked_for_root_nor_for_attached_models() -> None:
    model = s3(owner=owner("995"))
    rooted = group([model], [function("f", run_as={"Uid": 0, "Gid": 995})])
    assert "shared-group" not in ids(rules.check(rooted, full_board()))
    attached = of(group([model], [function("f", ("model", None))]))
    assert rules.check(attached, full_board()) == []


@pytest.mark.parametrize("group_owner", [GID, f"0{GID}"])
@pytest.mark.parametrize(
    ("run_as", "default", "found"),
    [
        ({"Gid": 44}, {}, True),
        ({}, {"Gid": 44}, True),
        ({"Gid": 20}, {"Gid": 44}, False),
        ({"Gid": 44}, {"Uid": 0}, False),
        ({}, {}, False),
    ],
)
def test_a_shared_gid_is_found_without_a_board(
    group_owner: str, run_as: dict[str, int], default: dict[str, int], found: bool
) -> None:
    models = [s3(owner=owner(group_owner)), s3("named", owner=owner("video"), to="/named")]
    made = of(group(models, [function("f", run_as=run_as)], {"Execution": {"RunAs": default}}))
    told = [(f.id, f.resource) for f in rules.check(made) if f.severity == "error"]
    assert told == ([("shared-group", "model")] if found else []), "a name is open until there is a board"


def test_a_shared_gid_is_told_by_the_core_and_not_while_building() -> None:
    made = of(group([s3(owner=owner(GID))], [function("f", run_as={"Gid": 44})]))
    assert ids(rules.refusals(made)) == []
    assert ids(rules.refusals(made, full_board())) == ["shared-group"]


def test_a_gid_of_two_spellings_is_told_once() -> None:
    models = [s3("a", owner=owner("44")), s3("b", owner=owner("044"), to="/b")]
    made = of(group(models, [function("f", ("a", None), run_as={"Gid": 44})]))
    told = [[f.id for f in rules.check(made, facts) if f.severity == "error"] for facts in (None, full_board())]
    assert told == [["model-shared-owner"]] * 2


def test_a_gid_and_a_name_of_one_group_are_found_on_the_board() -> None:
    models = [s3("a", owner=owner("44")), s3("b", owner=owner("video"), to="/b")]
    made = of(group(models, [function("f", ("a", None)), function("g", ("a", None), ("b", None))]))
    assert "shared-group" in ids(rules.check(made, full_board()))
    assert not {"shared-group", "model-shared-owner"} & set(ids(rules.check(made)))


def test_a_local_group_owner_is_a_name_even_when_it_is_digits() -> None:
    found = rules.check(of(group([device(GroupOwner="20")], [])), full_board())
    assert ids(found) == ["group-exists"]


def test_a_group_that_a_device_lends_is_a_warning_and_refuses_nothing() -> None:
    resources = [s3(owner=owner("20")), device(AutoAddGroupOwner=True)]
    functions = [function("c", ("serial", "rw"), isolation=C), function("n", ("model", None))]
    made = of(group(resources, functions))
    told = [(f.id, f.severity, f.function) for f in rules.check(made, full_board())]
    assert told == [("shared-local-group", "warning", "c")]
    assert rules.refusals(made, full_board()) == []


P = "AWS_GG_RESOURCE_PREFIX"


@pytest.mark.parametrize(
    ("isolation", "mentions", "variables", "where"),
    [
        (N, {"f": {"/models/digits"}}, {}, "its code names /models/digits"),
        (N, {"f": set()}, {"MODEL": "/models/digits/weights.csv"}, "its variable MODEL names /models/digits"),
        (N, {"f": {"/models/digits"}}, {"MODEL": "/models/digits"}, "its code and its variable MODEL name /models"),
        (N, {"f": {"/models/digits", P}}, {}, None),
        (N, {"f": {P}}, {"MODEL": "/models/digits"}, None),
        (N, {"f": set()}, {"MODEL": "models/digits", "BESIDE": "/models/digits2", "BELOW": "/srv/models/digits"}, None),
        (N, {}, {"MODEL": "/models/digits"}, None),
        (C, {"f": {"/models/digits"}}, {}, None),
    ],
)
def test_code_without_container_that_names_a_model_s_path_needs_the_prefix(
    isolation: str, mentions: dict[str, set[str]], variables: dict[str, str], where: str | None
) -> None:
    made = of(group([s3(owner=owner(GID))], [function("f", ("model", None), isolation=isolation, variables=variables)]))
    seen = {name: frozenset(words) for name, words in mentions.items()}
    found = rules.check(made, mentions=seen)
    assert ids(found) == (["model-prefix"] if where else [])
    for one in found:
        assert (one.severity, one.phase) == ("warning", "run")
        assert where is not None
        assert where in one.message
        assert "os.environ['AWS_GG_RESOURCE_PREFIX'] + '/models/digits'" in str(one.hint)
    assert "model-prefix" not in ids(rules.check(made, mentions=seen, version=parse_version("1.9")))


def test_devices_and_subscriptions_of_a_group_were_fewer_before_1_11() -> None:
    of_quotas = quotas(())
    assert (of_quotas.devices_per_group, of_quotas.subscriptions_per_group) == (2_500, 10_000)
    assert (of_quotas.devices_before_1_11, of_quotas.subscriptions_before_1_11) == (200, 1_000)
    things = "arn:aws:iot:eu-west-1:123456789012:"
    one = {"CertificateArn": f"{things}cert/{'0a' * 32}"}
    many = [{**one, "Id": f"d{n}", "ThingArn": f"{things}thing/d{n}"} for n in range(201)]
    for version, count, told in (("1.10", 200, []), ("1.10", 201, ["section-total-disputed"]), ("1.11", 201, [])):
        found = rules.check(Group(core=CORE), version=parse_version(version), others={"Devices": many[:count]})
        assert ids(found) == told
