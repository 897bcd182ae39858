"""What is said to help where this machine keeps a local board from being whole."""

from __future__ import annotations

import os

import pytest

from edge_sim.emulation import capabilities

NOTHING = {"owners": False, "identities": False, "mounts": False}
REFUSED = "a user namespace: Operation not permitted"


@pytest.mark.parametrize(
    ("mode", "failures", "reason", "helps"),
    [
        ("single", {}, "newuidmap is not installed", "apt-get install uidmap"),
        (
            "plain",
            {"single": REFUSED},
            f"refuses it here ({REFUSED}), as it does in every chroot",
            "Run as root, or outs",
        ),
        ("plain", {"single": "/proc: busy"}, "newuidmap is not installed", "apt-get install uidmap"),
    ],
)
def test_uidmap_is_advised_where_it_would_help(
    monkeypatch: pytest.MonkeyPatch,
    mode: capabilities.Mode,
    failures: dict[capabilities.Mode, str],
    reason: str,
    helps: str,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(capabilities, "_sysctl", lambda _: "")
    monkeypatch.setenv("PATH", "/nowhere")
    for missing in capabilities.judge(mode, NOTHING, failures).missing:
        assert reason in missing.reason
        assert missing.help.startswith(helps)


def test_the_words_of_a_refused_namespace_are_those_of_the_boards_process() -> None:
    from edge_sim.emulation.local import init

    assert capabilities._NO_NAMESPACE.removesuffix(": ") in init._new_user_namespace.__code__.co_consts
