"""The bundle as a Debian package, built with dpkg-deb: the same bundle gives the same bytes.

It lays what ``install.sh`` lays, and a systemd unit that waits for ``/opt/edge-sim/agent.json``. It depends on nothing.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tempfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from edge_sim.arch import ARCHITECTURES
from edge_sim.emulation.bundle.archive import Bundle
from edge_sim.emulation.containers.bases import NEWEST_FILE
from edge_sim.greengrass.tree import BESIDE_V1
from edge_sim.process import run

NAME = "edge-sim-agent"
_BUILD_S = 300.0
_CONTROL = """\
Package: {name}
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Installed-Size: {kib}
Section: net
Priority: optional
Description: simulated AWS IoT Greengrass V1 core, for a board
 The agent of edge-sim with a C library and a Python of its own, below
 /opt/edge-sim. It starts once /opt/edge-sim/agent.json is there:
 sh /opt/edge-sim/bundle/install.sh --thing NAME --broker mqtt://HOST:PORT
 .
 An installation of Greengrass V1 on the same board is neither read nor
 changed.
"""
_COPYRIGHT = """\
Copyright 2026 the authors of edge-sim.
Its agent is licensed under the Apache License, version 2.0; see
/opt/edge-sim/bundle/licenses/edge-sim.

The package holds parts of Debian's packages. The copyright file of each is in
/opt/edge-sim/bundle/licenses; the licences that these refer to are in
/opt/edge-sim/bundle/licenses/common, and on a Debian system in
/usr/share/common-licenses (Apache-2.0, GPL-2, GPL-3, LGPL-2.1).
"""
_CHANGELOG = """\
{name} ({version}) unstable; urgency=medium

  * The bundle {version}.

 -- {maintainer}  Sat, 10 Jun 2023 00:00:00 +0000
"""
_OVERRIDES = {
    "A tree of its own beside a V1 core, with its own C library and Python, is what the package is for.": (
        *("dir-or-file-in-opt", "embedded-library", "hardening-no-pie", "shared-library-is-executable"),
        *("shared-library-lacks-prerequisites", "undeclared-elf-prerequisites"),
        *("interpreter-in-usr-local", "python3-script-but-no-python3-dep", "unusual-interpreter"),
    ),
    "deb-systemd-helper is of another package, and this one depends on none.": ("maintainer-script-calls-systemctl",),
    "Whoever builds the package has no mail address here.": ("bogus-mail-host", "bogus-mail-host-in-debian-changelog"),
}
"""lintian's tags that are meant, by the reason."""
_SCRIPTS = {
    "preinst": """\
#!/bin/sh
set -e
if [ "$1" = install ] && [ -e /opt/edge-sim/bundle/about ]; then
    echo "install.sh has installed the agent here; remove it first: sh /opt/edge-sim/bundle/install.sh --remove" >&2
    exit 1
fi
""",
    "postinst": """\
#!/bin/sh
set -e
mkdir -p /opt/edge-sim/greengrass
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl enable --quiet edge-sim-agent
    systemctl restart edge-sim-agent
fi
""",
    "prerm": """\
#!/bin/sh
set -e
if [ -d /opt/edge-sim/run ]; then
    echo "a run of edge-sim is in progress on this board, or was interrupted; end it first: edge-sim board restore" >&2
    exit 1
fi
if [ -d /run/systemd/system ]; then
    systemctl stop edge-sim-agent
    [ "$1" != remove ] || systemctl disable --quiet edge-sim-agent
fi
find /opt/edge-sim/bundle -name __pycache__ -prune -exec rm -rf {} +
""",
    "postrm": """\
#!/bin/sh
set -e
[ "$1" != purge ] || rm -rf /opt/edge-sim
[ ! -d /run/systemd/system ] || systemctl daemon-reload
""",
}


def package(bundle: Bundle) -> bytes:
    """Return the bundle as a .deb; raises UnsupportedEnvironmentError where dpkg-deb or tar fails."""
    with tempfile.TemporaryDirectory() as folder:
        packed, stage, built = Path(folder, "bundle.tar.gz"), Path(folder, "stage"), Path(folder, f"{NAME}.deb")
        place = stage / BESIDE_V1.lstrip("/") / "bundle"
        place.mkdir(parents=True)
        packed.write_bytes(bundle.packed)
        unpack = ["tar", "-xzf", packed, "--strip-components=1", "--no-same-owner", "-C", place]
        run([*map(str, unpack)], timeout=_BUILD_S)
        _lay(stage, bundle)
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(NEWEST_FILE)}
        build = ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(stage), str(built)]
        run(build, timeout=_BUILD_S, env=environment)
        return built.read_bytes()


def _lay(stage: Path, bundle: Bundle) -> None:
    """Add what a package has beside the bundle's files."""
    about = {
        "name": NAME,
        "version": bundle.version,
        "architecture": ARCHITECTURES[bundle.architecture].debian,
        "maintainer": "edge-sim <edge-sim@localhost>",
        "kib": bundle.unpacked // 1024,
    }
    docs = f"usr/share/doc/{NAME}"
    unit = resources.files(__package__).joinpath(f"{NAME}.service").read_bytes()
    texts = {
        f"lib/systemd/system/{NAME}.service": unit,
        f"{docs}/copyright": _COPYRIGHT.encode(),
        f"{docs}/changelog.Debian.gz": _zipped(_CHANGELOG.format(**about)),
        f"usr/share/lintian/overrides/{NAME}": "".join(_overrides()).encode(),
    }
    for name, text in texts.items():
        _write(stage / name, text, 0o644)
    files = sorted(path for path in stage.rglob("*") if path.is_file())
    sums = (
        f"{hashlib.md5(p.read_bytes(), usedforsecurity=False).hexdigest()}  {p.relative_to(stage)}\n" for p in files
    )
    _write(stage / "DEBIAN/md5sums", "".join(sums).encode(), 0o644)
    _write(stage / "DEBIAN/control", _CONTROL.format(**about).encode(), 0o644)
    for name, script in _SCRIPTS.items():
        _write(stage / "DEBIAN" / name, script.encode(), 0o755)
    for path in (stage, *stage.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)


def _overrides() -> Iterator[str]:
    for reason, tags in _OVERRIDES.items():
        yield f"# {reason}\n"
        yield from (f"{NAME}: {tag}\n" for tag in tags)


def _write(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def _zipped(text: str) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=buffer, mode="wb", mtime=0) as zipped:
        zipped.write(text.encode())
    return buffer.getvalue()
