"""What went wrong, as one of our errors: the same in the terminal and in every format."""

from __future__ import annotations

import errno

import click

from edge_sim.errors import INSTALL, MACHINE, EdgeSimError, UnsupportedEnvironmentError, UsageError

_NAMES = (errno.EACCES, errno.ENAMETOOLONG, errno.ELOOP)
"""What the system says when a name that was given is at fault, and not this program."""
_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)
_LONG = 300
_HOSTS_ALONE = "run.py"
"""A command that no board has: where its file is missing, so are most others, and that is no bug."""


def fault(error: Exception) -> EdgeSimError | None:
    """Return the error to explain, or None for a bug."""
    if isinstance(error, EdgeSimError):
        return error
    if isinstance(error, click.UsageError):
        return UsageError(error.format_message())
    if isinstance(error, ModuleNotFoundError):
        return _missing(error)
    if isinstance(error, OSError) and error.errno in (*MACHINE, *_NAMES):
        return _explained(error)
    return None


def _missing(error: ModuleNotFoundError) -> UnsupportedEnvironmentError | None:
    if (error.name or "").startswith("edge_sim"):
        from pathlib import Path

        if Path(__file__).with_name(_HOSTS_ALONE).exists():
            return None
        return UnsupportedEnvironmentError(
            "this command does not run on a board; only edge-sim agent and edge-sim ota status do",
            hint="Run it on a machine where all of edge-sim is installed.",
        )
    hint = f"A board needs only edge-sim itself; for all other commands: {INSTALL}"
    return UnsupportedEnvironmentError(
        f"this command needs the package {error.name}, which is not installed", hint=hint
    )


def _explained(error: OSError) -> EdgeSimError:
    what = str(error.filename or "could not write the output or a temporary file")
    text = f"{what if len(what) < _LONG else what[:_LONG] + '…'}: {error.strerror}"
    if error.errno in _NAMES:
        return UsageError(text)
    descriptors = error.errno in _DESCRIPTORS
    hint = "Raise the limit: ulimit -n." if descriptors else "Set TMPDIR to choose where a run creates its files."
    return UnsupportedEnvironmentError(text, hint=hint)
