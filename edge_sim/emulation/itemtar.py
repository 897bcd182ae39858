"""Items as a tar archive, with exact owners and modes."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from edge_sim.emulation.boarditems import Item


def archive(items: Iterable[Item], form: int = tarfile.PAX_FORMAT) -> IO[bytes]:
    """Return the archive, open at its beginning; closing it removes it. ``form`` is one of tarfile's."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    try:
        with tarfile.open(fileobj=file, mode="w", format=form) as into:
            for item in items:
                _add(into, item)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def _add(into: tarfile.TarFile, item: Item) -> None:
    entry = tarfile.TarInfo(item.path.lstrip("/"))
    entry.uid, entry.gid, entry.mode, entry.mtime = item.uid, item.gid, item.mode, int(time.time())
    if item.type == "directory":
        entry.type = tarfile.DIRTYPE
        into.addfile(entry)
    elif item.type == "link":
        entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, item.target or "", 0o777
        into.addfile(entry)
    elif item.source:
        with Path(item.source).open("rb") as content:
            entry.size = os.fstat(content.fileno()).st_size
            into.addfile(entry, content)
    else:
        data = item.text.encode()
        entry.size = len(data)
        into.addfile(entry, io.BytesIO(data))
