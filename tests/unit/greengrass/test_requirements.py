"""What V1 requires of a board: each change to a good board alone makes one requirement unmet, and a rule says so."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edge_sim.facts import INTERPRETERS, UPDATE_TOOLS, HostFacts
from edge_sim.greengrass import rules
from edge_sim.greengrass.requirements import requirements
from edge_sim.profiles import list_profiles, load_profile
from edge_sim.report import Finding
from tests.unit.greengrass.build import function, group

PI = load_profile("raspberry-pi-3").facts()


def unmet(facts: HostFacts) -> set[str]:
    return {need.fact for need in requirements(facts) if need.state == "unmet"}


def findings(facts: HostFacts, isolation: str | None = None) -> list[Finding]:
    made = group([], [function("f", isolation=isolation)])
    return [f for f in rules.check(made, facts) if f.id.startswith("board-")]


def ids(facts: HostFacts, isolation: str | None = None) -> set[str]:
    return {f.id for f in findings(facts, isolation)}


@pytest.mark.parametrize(
    ("change", "fact", "rule"),
    [
        ({"kernel": "3.10.20"}, {"kernel", "kernel for containers"}, "board-kernel"),
        ({"kernel": "4.3.0-rc1"}, {"kernel for containers"}, "board-kernel"),
        ({"libc_version": "2.13"}, {"C library"}, "board-libc"),
        ({"libc": "musl", "libc_version": "1.1.15"}, {"C library"}, "board-libc"),
        ({"umask": 0o077}, {"umask"}, "board-umask"),
        ({"umask": 0o023}, {"umask"}, "board-umask"),
        ({"cgroups": "v2"}, {"cgroups"}, "board-cgroups"),
        ({"cgroup_subsystems": frozenset({"devices"})}, {"cgroups"}, "board-cgroups"),
        ({"storage_kib": 100 * 1024}, {"storage", "storage for updates"}, "board-storage"),
        ({"memory_kib": 64 * 1024}, {"memory", "memory for stream manager"}, "board-memory"),
        (
            {"greengrass": replace(PI.greengrass, root=f"/opt/{'g' * 74}")},
            {"install path"},
            "board-install-path",
        ),
        ({"programs": {**PI.programs, "java8": False}}, set(), None),
        ({"programs": {**PI.programs, "python3.7": False}}, {"python3.7"}, None),
        ({"programs": {**PI.programs, "tar": False}}, {"tools for updates"}, None),
        ({"greengrass": replace(PI.greengrass, network_proxy=True)}, {"network proxy"}, None),
    ],
)
def test_one_change_makes_a_good_board_one_that_a_core_has_no_use_for(
    change: dict[str, Any], fact: set[str], rule: str | None
) -> None:
    always = unmet(PI)
    assert unmet(replace(PI, **change)) - always == fact
    assert rule is None or rule in ids(replace(PI, **change))
    assert ids(PI) == set()


def test_the_text_names_the_cgroups_that_are_missing() -> None:
    facts = replace(PI, cgroups="v2", cgroup_subsystems=None)
    (finding,) = [f for f in findings(facts) if f.id == "board-cgroups"]
    assert finding.aws_text == "The following cgroup subsystems are not mounted: devices, memory"


def test_a_group_without_containers_asks_for_less() -> None:
    facts = replace(PI, kernel="3.18", cgroups="v2")
    assert {"board-kernel", "board-cgroups"} <= ids(facts)
    assert ids(facts, "NoContainer") == set()


def test_what_is_not_known_is_neither_met_nor_unmet() -> None:
    facts = HostFacts(architecture="armv7l", operating_system="raspbian", whole=frozenset())
    assert {need.state for need in requirements(facts) if need.fact != "install path"} == {"unknown"}
    assert ids(facts) == set()


def test_every_profile_states_what_its_core_needs_or_leaves_it_open() -> None:
    lacking = {name: unmet(load_profile(name).facts()) - {"Java", *INTERPRETERS} for name in list_profiles()}
    assert {name: facts for name, facts in lacking.items() if facts} == {
        "openwrt-aarch64": {"tools for updates"},
        "openwrt-armv7": {"tools for updates", "storage for updates"},
    }


@pytest.mark.parametrize(
    ("programs", "state", "has"),
    [
        (dict.fromkeys(UPDATE_TOOLS, True), "met", "all of them"),
        (dict.fromkeys(UPDATE_TOOLS, True) | {"tar": False, "cut": False}, "unmet", "missing or BusyBox's: tar, cut"),
        (dict.fromkeys(UPDATE_TOOLS[:-1], True), "unknown", "not known: bash"),
        ({}, "unknown", "not known"),
    ],
)
def test_the_update_agents_tools_are_judged_by_name(programs: dict[str, bool], state: str, has: str) -> None:
    needs = {need.fact: need for need in requirements(replace(PI, programs=programs))}
    assert (needs["tools for updates"].state, needs["tools for updates"].has) == (state, has)


@pytest.mark.parametrize(("proxy", "state"), [(None, "unknown"), (True, "unmet"), (False, "met")])
def test_updates_do_not_go_through_a_network_proxy(proxy: bool | None, state: str) -> None:
    facts = replace(PI, greengrass=replace(PI.greengrass, network_proxy=proxy))
    assert {need.fact: need.state for need in requirements(facts)}["network proxy"] == state


@pytest.mark.parametrize(
    ("fact", "short", "enough"),
    [
        ("kernel", {"kernel": "3.16.99"}, {"kernel": "3.17.0"}),
        ("kernel for containers", {"kernel": "4.3.9"}, {"kernel": "4.4"}),
        ("C library", {"libc_version": "2.13"}, {"libc_version": "2.14"}),
        ("C library", {"libc": "musl", "libc_version": "1.1.15"}, {"libc": "musl", "libc_version": "1.1.16"}),
        ("umask", {"umask": 0o026}, {"umask": 0o022}),
        ("storage", {"storage_kib": 124_999}, {"storage_kib": 125_000}),
        ("memory", {"memory_kib": 124_999}, {"memory_kib": 125_000}),
        ("memory for stream manager", {"memory_kib": 193_358}, {"memory_kib": 193_360}),
    ],
)
def test_the_least_that_is_enough(fact: str, short: dict[str, Any], enough: dict[str, Any]) -> None:
    states = [{n.fact: n.state for n in requirements(replace(PI, **one))}[fact] for one in (short, enough)]
    assert states == ["unmet", "met"]


def test_only_stream_manager_asks_for_198_mb() -> None:
    small = replace(PI, memory_kib=150_000)
    streams = {"Id": "s", "FunctionArn": "arn:aws:lambda:::function:GGStreamManager:1", "FunctionConfiguration": {}}
    assert "board-memory" not in ids(small)
    told = {f.id: f.message for f in rules.check(group([], [streams]), small)}
    assert "198 MB" in told["board-memory"]


def test_what_mounts_the_cgroups_of_a_pi_is_named() -> None:
    (finding,) = [f for f in findings(replace(PI, cgroup_subsystems=frozenset({"devices"}))) if f.id == "board-cgroups"]
    assert "cgroup_enable=memory cgroup_memory=1" in str(finding.hint)
