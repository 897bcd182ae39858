"""A core whose disk cannot be written, or is full: real ones, a tmpfs in a mount namespace of the test's own."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from edge_sim.agent import linux
from edge_sim.agent.update.supervisor import Supervisor
from tests import needs
from tests.factory import install_core
from tests.root.functions_board import private_mounts

pytestmark = [needs.mounts]

VERSION = "1.10.0"


@pytest.mark.parametrize("disk", ["read-only", "full"])
def test_a_core_is_started_again_on_a_disk_that_takes_nothing_more(tmp_path: Path, disk: str) -> None:
    """What the core that died has said of itself lies there still."""
    with private_mounts(tmp_path):
        linux.mount("none", tmp_path, kind="tmpfs", data="size=2m,mode=0755")
        install_core(tmp_path, "/greengrass", VERSION)
        core = Supervisor(tmp_path, sleep=lambda _: None)
        first, said = core.start(VERSION), (tmp_path / "greengrass/ggc/var/state/core.json").read_text()
        core.kill()
        (tmp_path / "greengrass/ggc/var/state/core.json").write_text(said)
        if disk == "full":
            with (tmp_path / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while file.write(b"x" * 4096):
                    pass
        else:
            linux.mount("none", tmp_path, flags=linux.MS_REMOUNT | linux.MS_RDONLY)
        try:
            assert core.running() is None
            again = core.start(VERSION)
            assert (again.version, again.pid != first.pid) == (VERSION, True)
            assert core.unhealthy(VERSION) is None
        finally:
            core.kill()
        assert core.running() is None
