"""The agent for a board in one file, with a Python and a C library of its own: it needs a kernel of the board.

packages (Debian's, by apt) ──┐
                              ├─ content: what of them, and where ─► archive: FILE.tar.gz
edge_sim, install.sh ─────────┘
"""
