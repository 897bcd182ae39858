"""What the schemas are tried with: small whole files with every key, and all that one slip makes of them.

``python -m tests.schema_cases`` tries all of it.
"""

from __future__ import annotations

import copy
import functools
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from edge_sim import profilefile, scenario, updatesfile
from edge_sim.definitions import reader
from edge_sim.errors import EdgeSimError
from edge_sim.greengrass import rules
from edge_sim.greengrass.families import FAMILIES
from edge_sim.greengrass.model import FLAG, TEXT, TEXT_MAP, WHOLE, Shape
from edge_sim.limits import NAMES
from edge_sim.schemas.catalogue import schema

SPELLINGS = (
    *("", "~", "null", "yes", "true", "1", "-1", "0", "1.10", "0x1F", "010", "1e3", "1.5e+3", "12:30", "text"),
    *("2020-01-01", "[]", "{}", "[1]", "{a: 1}", '"5"', '""', '"${X:-y}"', '"true"', "/", "/dev/null", "ro"),
)
"""What may stand in a YAML file where something else belongs, as it is spelled."""
_MARK = "\N{SNOWMAN}"
_VALUES: dict[Shape, object] = {TEXT: "text", WHOLE: 3, FLAG: True, TEXT_MAP: {"NAME": "text"}}


class _Reader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML 1.1 with dates as text, and every key as it is written."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}


_Reader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if not pair[0].endswith("timestamp")]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


_Way = tuple[str | int, ...]
Slip = tuple[_Way, "str | None"]
"""A way into a sample, and what stands there instead, as it is spelled; None: nothing, with its key."""


def seen(text: str) -> Any:
    """Return a YAML file as a validator sees it. Raises ValueError for what JSON has no word for."""
    try:
        content = yaml.load(text, Loader=_Reader)
    except yaml.YAMLError as error:
        raise ValueError(text) from error
    json.dumps(content, allow_nan=False)
    return content


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file after one slip: its text, and its content as a validator sees it."""

    text: str
    content: Any


@dataclass(frozen=True, kw_only=True)
class Format:
    """One of the formats. ``sample`` is a file with every key; ``read`` raises, or returns what it refuses."""

    name: str
    sample: dict[str, Any]
    read: Callable[[Path], object]

    def is_valid(self, content: object) -> bool:
        return bool(_validator(self.name).is_valid(content))

    def is_taken(self, text: str, folder: Path) -> bool:
        file = folder / f"{self.name}.yaml"
        file.write_text(text, encoding="utf-8")
        try:
            return not self.read(file)
        except EdgeSimError:
            return False

    def key_slips(self) -> Iterator[Slip]:
        """Yield each key dropped, and each mapping with one more."""
        for path, value in _walk(self.sample):
            if path:
                yield path, None
            if isinstance(value, dict):
                yield (*path, "extra"), "1"

    def value_slips(self) -> Iterator[Slip]:
        """Yield each value spelled otherwise."""
        for path, _ in islice(_walk(self.sample), 1, None):
            for spelling in SPELLINGS:
                if spelling or isinstance(path[-1], str):  # nothing between two commas is no YAML
                    yield path, spelling

    def case(self, slip: Slip) -> Case:
        """Return the sample after a slip."""
        (*way, key), spelling = slip
        data = copy.deepcopy(self.sample)
        holder: Any = data
        for step in way:
            holder = holder[step]
        if spelling is None:
            del holder[key]
            return Case(text=json.dumps(data), content=data)
        holder[key] = _MARK
        text = json.dumps(data).replace(json.dumps(_MARK), spelling)
        holder[key] = seen(f"[{spelling}]")[0] if spelling else None
        return Case(text=text, content=data)


@functools.cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schema(name))


def _walk(value: object, path: _Way = ()) -> Iterator[tuple[_Way, object]]:
    yield path, value
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _walk(inner, (*path, key))


def _scenario(file: Path) -> object:
    return scenario.load(file).definition.errors


def _group(file: Path) -> object:
    """Refuse what the reader refuses or cannot decide, and the one word that is for a rule to refuse: EncodingType."""
    definition = reader.read(file)
    undecided = [finding for finding in definition.findings if finding.severity == "unknown"]
    return definition.errors or undecided or [f for f in rules.check(definition.group) if f.id == "encoding-type"]


_ARN = "arn:aws:lambda:us-east-1:123456789012:function:watch:1"
_SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:token-Ab3dEf"
_JOB = "arn:aws:sagemaker:us-east-1:123456789012:training-job/birds"
_SCENARIO: dict[str, Any] = {
    "edgeSim": 1,
    "name": "sample",
    "boards": ["raspberry-pi-3"],
    "group": {"functions": "functions.json", **{word: f"{word}.json" for word in FAMILIES if word != "functions"}},
    "sources": [
        {"s3": "s3://models/model.tar.gz", "folder": "data"},
        {"trainingJob": _JOB, "output": "s3://output/model.zip", "file": "functions.json"},
        {"secret": _SECRET, "value": "a", "stages": {"PREVIOUS": "b"}},
    ],
    "code": [{"function": _ARN, "folder": "data", "handler": "watch.handler", "runtime": "python3.7"}],
    "packages": {"links": "copy", **dict.fromkeys(NAMES, 5)},
    "files": [
        {"path": "/srv/a", "copy": "data", "owner": "root", "group": "adm", "mode": "0640"},
        {"path": "/srv/b", "directory": True},
    ],
    "devices": [
        {"path": "/dev/ttyUSB0", "lines": "functions.json"},
        {"path": "/dev/video0", "frames": "data"},
        {"path": "/dev/sda", "block": "64 MiB"},
        {"path": "/dev/ttyS0", "host": "/dev/null"},
    ],
    "invocations": [{"function": "watch", "event": {"a": 1}, "expect": {"b": [2]}}],
    "stableWindow": 3,
    "updates": [
        {
            "version": "1.11.6",
            "starts": True,
            "software": "core",
            "expect": {"status": "SUCCEEDED", "version": "1.11.6"},
        }
    ],
    "fleet": {
        "version": "1.11.6",
        "profiles": {"raspberry-pi-3": 2},
        "size": "40 MiB",
        "bandwidth": {"least": 64, "most": 512},
        "staging": {"least": 1, "most": 2},
        "start": {"least": 1, "most": 2},
        "stableWindow": 3,
        "badBoards": 3,
        "breaks": ["raspberry-pi-3"],
        "rollout": {
            "maximumPerMinute": 50,
            "exponentialRate": {
                "baseRatePerMinute": 5,
                "incrementFactor": 1.5,
                "rateIncreaseCriteria": {"numberOfNotifiedThings": 5},
            },
        },
        "abort": [{"failureType": "FAILED", "thresholdPercentage": 10, "minNumberOfExecutedThings": 5}],
        "retry": [{"failureType": "FAILED", "numberOfRetries": 1}],
        "timeoutMinutes": 5,
        "rolloutMinute": 2,
        "storms": [{"what": "lost sessions", "after": 2, "down": 1.5, "spread": 3}],
    },
}
_PROFILE: dict[str, Any] = {
    "description": "a sample",
    "architecture": "armv7l",
    "operating_system": "openwrt",
    "hostname": "sample",
    "os_release": {"ID": "openwrt"},
    "openwrt_release": {"DISTRIB_ID": "OpenWrt"},
    "libc": {"name": "musl", "version": "1.1.24"},
    "init": "procd",
    "kernel": "5.4",
    "memory": "128 MiB",
    "cpus": 1,
    "storage": "1 GiB",
    "umask": "0022",
    "cgroups": {"version": "v1", "subsystems": ["devices"]},
    "mounts": {"/": [], "/tmp": ["noexec", "nodev"]},
    "update_tools": "busybox",
    "programs": {"python3.7": True, "tar": False},
    "users": {
        "root": {"uid": 0, "gid": 0, "home": "/root", "shell": "/bin/ash"},
        "ggc_user": {"uid": 100, "gid": 101, "groups": ["dialout"]},
    },
    "groups": {"root": 0, "dialout": 20, "ggc_group": 101},
    "devices": [
        {"path": "/dev/ttyS0", "type": "char", "group": "dialout", "mode": "0660", "backing": "pty", "peer": "nmea"},
        {"path": "/dev/sda", "type": "block", "group": "root", "mode": 600, "backing": "none", "note": "a disk"},
        {"path": "/dev/zero2", "type": "char", "group": "root", "mode": "0666", "backing": None},
    ],
    "paths": [
        {"path": "/srv/a", "type": "directory", "mode": "0755", "user": "ggc_user", "group": "ggc_group"},
        {"path": "/srv/b", "mode": "0755"},
        {"path": "/srv/c", "type": "link", "target": "/srv/a"},
    ],
    "greengrass": {
        "root": "/greengrass",
        "version": "1.10.0",
        "user": "ggc_user",
        "group": "ggc_group",
        "network_proxy": False,
    },
    "unsupported": ["ml-inference"],
    "whole": ["users", "groups"],
}


_UPDATES: dict[str, Any] = {
    "updates": [
        {"version": "1.11.7", "software": "core", "for": ["raspbian/armv7l", "openwrt/aarch64"], "starts": True},
        {"version": "1.4.0", "software": "ota_agent", "file": "functions.json"},
    ]
}


def _filled(shape: Shape) -> Any:
    """Return a value with every member of a shape."""
    if isinstance(shape, dict):
        return {name: _filled(member) for name, member in shape.items()}
    if isinstance(shape, list):
        return [_filled(shape[0])]
    return shape[0] if isinstance(shape, tuple) else _VALUES[shape]


def _bundle() -> dict[str, Any]:
    sections = {word: _filled(family.shape) for word, family in FAMILIES.items()}
    (resource,) = sections["resources"]["Resources"]
    kinds = resource["ResourceDataContainer"].items()
    sections["resources"]["Resources"] = [
        {**resource, "Id": key, "ResourceDataContainer": {key: value}} for key, value in kinds
    ]
    ignored = [{"rule": "some-rule", "path": "$", "reason": "a sample"}]
    return {"edgeSimGroup": 1, "name": "sample", "arn": "", **sections, "x-edge-sim-ignore": ignored}


def _profile(file: Path) -> object:
    return None if profilefile.read(file) else file


def _updates(file: Path) -> object:
    return None if updatesfile.read(file) else file


FORMATS = (
    Format(name="scenario", sample=_SCENARIO, read=_scenario),
    Format(name="profile", sample=_PROFILE, read=_profile),
    Format(name="group", sample=_bundle(), read=_group),
    Format(name="updates", sample=_UPDATES, read=_updates),
)


def surroundings(folder: Path) -> None:
    """Lay beside the sample of a scenario what it names."""
    (folder / "functions.json").write_text(json.dumps({"Functions": [{"Id": "watch", "FunctionArn": _ARN}]}))
    for word, family in FAMILIES.items():
        if word != "functions":
            (folder / f"{word}.json").write_text(json.dumps({family.member: []}))
    (folder / "data").mkdir()
    (folder / "data" / "watch.py").write_text("def handler(event, context): ...\n")


def main() -> int:
    """Try every slip, print how many, and return 1 where a reader takes what its schema refuses."""
    wrong = 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        surroundings(folder)
        for form in FORMATS:
            slips = [*form.key_slips(), *form.value_slips()]
            verdicts = [
                (form.is_valid(case.content), form.is_taken(case.text, folder)) for case in map(form.case, slips)
            ]
            lost = [slip for slip, verdict in zip(slips, verdicts, strict=True) if verdict == (False, True)]
            refused = [is_valid for is_valid, is_taken in verdicts if not is_taken]
            print(f"{form.name}: {len(slips)} slips; {len(refused)} refused, {refused.count(False)} by the schema")
            print("\n".join(f"taken, and not valid: {slip}" for slip in lost), end="\n" * bool(lost))
            wrong += len(lost)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
