"""The start of ``edge-sim``, before anything is imported that takes time."""

from __future__ import annotations

import signal


def main() -> None:
    """Run the command line; Ctrl-C during its imports ends it as it ends any program, without a traceback."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # a shell may have it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from edge_sim.cli import main as command_line

    signal.signal(signal.SIGINT, before)
    command_line.main()


if __name__ == "__main__":
    main()
