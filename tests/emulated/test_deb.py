"""The agent as a Debian package: installed in a clean container, configured, and taken away without a trace."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from edge_sim.emulation.bundle import archive, deb
from edge_sim.emulation.containers import bases, images
from tests import needs

pytestmark = pytest.mark.emulated
LISTING = (
    "find / -xdev -not -path '/proc/*' -not -path '/var/lib/dpkg/*' -not -path '/var/log/*' -not -path /opt | sort"
)
"""Without /opt, which belongs to no package: dpkg removes it where it is empty."""


def test_a_package_is_installed_configured_and_purged_without_a_trace(client: Any) -> None:
    base = bases.cached("x86_64")
    if base is None:
        pytest.skip("no base of x86_64 is cached: make base-images")
    image = images.import_base(base, client, print)
    bundle = archive.bundle("x86_64", print, newest=False)
    package = deb.package(bundle)
    assert package == deb.package(bundle), "the same bytes"
    container = client.containers.create(image, ["3600"], entrypoint="sleep", network_mode="none")

    def do(command: str, status: int = 0) -> str:
        done = container.exec_run(["sh", "-c", command])
        said = str(done.output.decode())
        assert done.exit_code == status, said
        return said

    try:
        container.start()
        before = do(LISTING)
        container.put_archive("/", _tar("agent.deb", package))
        do("dpkg --install /agent.deb && rm /agent.deb")
        assert "ConditionPathExists=/opt/edge-sim/agent.json" in do("cat /lib/systemd/system/edge-sim-agent.service")
        assert f"installed {bundle.version}" in do(
            "sh /opt/edge-sim/bundle/install.sh --thing core --broker mqtt://127.0.0.1:1"
        )
        do("/opt/edge-sim/bundle/bin/edge-sim agent --help")  # compiles modules, which dpkg does not know
        do("cd /opt/edge-sim/bundle && sha256sum --quiet --check sums")
        refused = do("sh /opt/edge-sim/bundle/install.sh --remove", 2)
        assert "the agent is installed as a Debian package; remove it with apt-get purge edge-sim-agent" in refused
        do("dpkg --remove edge-sim-agent")
        assert do("ls /opt/edge-sim").split() == ["agent.json", "greengrass"]
        do("dpkg --purge edge-sim-agent")
        assert do(LISTING) == before
    finally:
        container.remove(force=True, v=True)


@needs.program("lintian")
def test_lintian_finds_neither_an_error_nor_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "agent.deb"
    file.write_bytes(deb.package(archive.bundle("x86_64", print, newest=False)))
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", file], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def _tar(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
