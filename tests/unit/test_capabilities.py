"""What is said to help where this machine keeps a local board from being whole."""

from __future__ import annotations

import os
from pathlib import Path

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


def test_only_what_is_missing_for_many_ids_is_advised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enough, none = tmp_path / "subuid", tmp_path / "subgid"
    enough.write_text(f"{os.geteuid()}:100000:{capabilities.IDS}\n")
    none.write_text("")
    monkeypatch.setenv("PATH", str(tmp_path))
    alone = capabilities.lacking_ids([enough, enough])
    assert alone is not None
    assert "newuidmap" in alone[0]
    assert "usermod" not in alone[1]
    both = capabilities.lacking_ids([enough, none])
    assert both is not None
    assert "uidmap" in both[1]
    assert "usermod" in both[1]
    for name in ("newuidmap", "newgidmap"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    ids = capabilities.lacking_ids([enough, none])
    assert ids is not None
    assert ids[1].startswith("As root: usermod")
    assert capabilities.lacking_ids([enough, enough]) is None
