"""What a folder holds."""

from __future__ import annotations

import os
from pathlib import Path


def below(folder: Path) -> list[Path]:
    """Return every path below ``folder``, sorted, parents first; links are not followed.

    Raises OSError for what cannot be read: a folder left out in silence would be an empty one on a board.
    """

    def fail(error: OSError) -> None:
        raise error

    found = [Path(at, name) for at, folders, files in os.walk(folder, onerror=fail) for name in (*folders, *files)]
    return sorted(found, key=lambda path: path.relative_to(folder).parts)
