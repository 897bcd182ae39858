"""Unpacks every archive of the catalogue where it is started, and prints what came out other than it should.

``python3 -m tests.archive_run`` needs edge_sim and the standard library only, so that it runs on a board as well.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from edge_sim.agent.archives import ArchiveError, Limits, unpack
from tests.archive_build import OURS
from tests.archive_cases import Case, cases

SMALL = Limits(entries=2000, total_bytes=80 << 20)


def outcome(case: Case, top: Path) -> str | None:
    """Return the code with which an archive was refused, None when it was unpacked."""
    archive, destination = top / "archive", top / "dest"
    archive.write_bytes(case.data)
    destination.mkdir()
    try:
        unpack(archive, destination, file_name=case.file_name, limits=SMALL, modes=OURS)
    except ArchiveError as error:
        return "something is left" if list(destination.iterdir()) else error.code
    return None


def main() -> None:
    wrong, count, ids = [], 0, set()
    for case in cases():
        with tempfile.TemporaryDirectory() as top:
            found = outcome(case, Path(top))
        if found not in case.codes and (found is not None or case.codes):
            wrong.append([str(case), list(case.codes), found])
        count += 1
        ids.add(case.id)
    json.dump({"machine": os.uname().machine, "cases": count, "ids": len(ids), "wrong": wrong}, sys.stdout)


if __name__ == "__main__":
    main()
