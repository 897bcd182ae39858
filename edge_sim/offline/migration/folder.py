"""The folder that a migration or a rescue leaves: open to its owner only, written whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_sim.errors import UsageError, file_error


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield a new folder beside ``folder``, which takes its name at the end; after an error nothing is left.

    Its mode is 0700. Raises UsageError where ``folder`` exists already and is not empty, or cannot be made.
    """
    try:
        if (
            folder.is_symlink()
            or (folder.exists() and not folder.is_dir())
            or (folder.is_dir() and any(folder.iterdir()))
        ):
            raise UsageError(f"{folder}: already exists", hint="Choose a folder that does not exist yet, or is empty.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise file_error(f"{folder}: cannot be created: {error.strerror}", error) from error
    try:
        yield draft
        draft.replace(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
