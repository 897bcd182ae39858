"""The start of ``edge-sim``, before anything is imported that takes time."""

from __future__ import annotations

import gc
import os
import signal
import sys


def main() -> None:
    """Run the command line; Ctrl-C during its imports ends it as it ends any program, without a traceback."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # a shell may have it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    _start_in_utf8()
    gc.disable()  # all that imports create stays; to search it for garbage would cost a twentieth of --help
    from edge_sim.cli import main as command_line

    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGINT, before)
    command_line.main()


def _start_in_utf8() -> None:
    """Restart in UTF-8 mode where the locale has ASCII alone and Python is set to keep to it.

    Otherwise file names would be text that JSON cannot hold, and those in a scenario could not be opened.
    https://docs.python.org/3/library/os.html#utf8-mode
    """
    if not sys.flags.utf8_mode and sys.getfilesystemencoding() == "ascii":
        os.environ["PYTHONUTF8"] = "1"  # for the programs that a run starts
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - this program itself


if __name__ == "__main__":
    main()
