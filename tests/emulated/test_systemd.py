"""install.sh under a systemd that runs: installed, killed, installed again and taken away without a trace."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edge_sim.emulation.bundle import archive
from edge_sim.emulation.bundle.packages import File, packages
from tests.emulated.containers import image_of
from tests.emulated.ssh_boards import files_tar

pytestmark = pytest.mark.emulated
SYSTEMD = (
    *("systemd", "libsystemd-shared", "libsystemd0", "libacl1", "libapparmor1", "libaudit1", "libblkid1", "libcap2"),
    *("libcrypt1", "libcryptsetup12", "libfdisk1", "libgcrypt20", "libkmod2", "liblz4-1", "liblzma5", "libmount1"),
    *("libp11-kit0", "libseccomp2", "libselinux1", "libssl3", "libzstd1", "libcap-ng0", "libdevmapper1.02.1"),
    *("libjson-c5", "libpcre2-8-0", "libgpg-error0", "libffi8", "libuuid1", "libargon2-1", "libip4tc2", "libpam0g"),
)
LISTING = "find / -xdev -not -path '/proc/*' -not -path '/var/log/*' -not -path '/var/lib/systemd/*' | sort"
INSTALL = "sh /tmp/edge-sim/install.sh --thing core --broker mqtt://127.0.0.1:1"
LIMIT_S = 120.0
Do = Callable[..., str]


@pytest.fixture
def do(client: Any) -> Iterator[Do]:
    """Run a command in a container whose first process is Debian's systemd."""
    files: dict[str, File] = {}
    for package in packages("x86_64", SYSTEMD, print, newest=False):
        files |= {path: file for path, file in package.files().items() if not path.startswith("/usr/share")}
    container = client.containers.create(
        image_of(client, "x86_64"),
        entrypoint="/lib/systemd/systemd",
        environment={"container": "docker"},
        cap_add=["SYS_ADMIN"],
        security_opt=["apparmor=unconfined", "seccomp=unconfined"],
        cgroupns="private",
        tmpfs={"/run": "", "/run/lock": "", "/tmp": "exec"},
        network_mode="none",
        labels=["edge-sim.test"],
    )

    def run(command: str, status: int | None = 0) -> str:
        done = container.exec_run(["sh", "-c", command])
        said = str(done.output.decode())
        assert status in (None, done.exit_code), said
        return said.strip()

    try:
        with files_tar(files) as tar:
            container.put_archive("/", tar)
        container.start()
        _until(lambda: run("systemctl is-system-running", None) in ("running", "degraded"))
        yield run
    finally:
        container.remove(force=True, v=True)


def _until(question: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_service_starts_comes_back_and_is_taken_away_without_a_trace(client: Any, do: Do) -> None:
    bundle = archive.bundle("x86_64", print, newest=False)
    place = client.containers.get(do("hostname"))
    before, units = do(LISTING), do("systemctl list-unit-files --no-legend")

    def process() -> str:
        return do("systemctl show --property MainPID --value edge-sim-agent")

    def running() -> bool:
        return "edge_sim.cli.main agent run" in do(f"tr '\\0' ' ' </proc/{process()}/cmdline", None)

    do("mkdir -p /srv/bundle")
    with files_tar({"/srv/bundle/agent.tar.gz": File(content=bundle.packed)}) as tar:
        place.put_archive("/", tar)
    do("tar -xzf /srv/bundle/agent.tar.gz -C /tmp && rm -r /srv/bundle")
    do("cd /tmp/edge-sim/lib && mv loader real && echo other >loader && chmod 755 loader")
    refused = do(INSTALL, 6)
    assert "install.sh: the bundle for x86_64 does not run on this board (x86_64): " in refused
    assert do("ls -A /opt") == ""
    do("mv /tmp/edge-sim/lib/real /tmp/edge-sim/lib/loader")
    assert f"installed {bundle.version}" in do(INSTALL)
    assert do("systemctl is-enabled edge-sim-agent") == "enabled"
    _until(running)
    first = process()
    do(f"kill -9 {first}")
    _until(lambda: process() not in ("0", first) and running())
    assert "started the service edge-sim-agent; its log: journalctl -u edge-sim-agent" in do(INSTALL)
    _until(running)
    do("rm -r /tmp/edge-sim")
    assert "removed /opt/edge-sim and its service" in do("sh /opt/edge-sim/bundle/install.sh --remove")
    assert do(LISTING) == before
    assert do("systemctl list-unit-files --no-legend") == units
    assert do("systemctl is-active edge-sim-agent", None) == "inactive"
    assert do("grep -l ^/opt/edge-sim /proc/[0-9]*/cmdline", None) == ""
