"""A board's directory with a group deployed to it, for the tests of rescue; and what a rescue wrote. Needs root."""

from __future__ import annotations

import os
from pathlib import Path

from tests.small_group import edge, make_root, ml, write_group
from tests.unit.greengrass.build import device, function, volume

C = "GreengrassContainer"


def deployed(folder: Path) -> Path:
    """A board with models of all kinds of owners, executables, an empty folder, code, a volume and a secret."""
    root = make_root(folder / "root", groups={"root": 0, "dialout": 20, "video": 44, "ml": 5150, "ggc_group": 997})
    (root / "dev").mkdir()
    os.mknod(root / "dev/ttyAMA0", 0o020660, os.makedev(1, 3))
    os.chown(root / "dev/ttyAMA0", 0, 20)
    (root / "dev/ttyAMA0").chmod(0o660)
    (root / "srv/readings").mkdir(parents=True)
    os.chown(root / "srv/readings", 998, 997)
    (root / "readings").mkdir()
    resources = [ml("a"), ml("b", "video", "rw"), ml("c", None), volume(), device(AutoAddGroupOwner=True)]
    functions = [
        function("f", ("a", None), ("b", None), Executable="main.handler"),
        function("g", ("c", "ro"), ("volume", "rw"), ("serial", "rw"), isolation=C, variables={"MODE": "é: {x}"}),
    ]
    more = {"packages": {"entries": 5000}}
    group = write_group(folder / "group", resources, functions, boards=["generic-x86_64"], more=more)
    (group / "a/run.sh").write_text("#!/bin/sh\n")
    (group / "a/run.sh").chmod(0o755)
    (group / "a/empty").mkdir()
    edge("apply", group, "--root", root)
    (root / "greengrass/config").mkdir()
    (root / "greengrass/config/config.json").write_text('{"runtime": {"maxConcurrentLimit": 3}}')
    return root


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
