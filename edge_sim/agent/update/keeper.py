"""Starts one command of a build and stays the parent of all it leaves behind: ``python3 -I -S keeper.py …``.

    keeper.py LABEL STATUS-DESCRIPTOR NUMBER-OF-CGROUPS [CGROUP.PROCS …] COMMAND [ARGUMENT …]

A daemon ends its starter's parentage with a second fork; the kernel gives it to the nearest process that asked to be a
subreaper, which is this one. So whatever a build starts is below it, with whichever session, group or environment. It
joins the cgroups first, writes down the command's exit status, and ends with the last process it has.

Standard library only, nothing of edge_sim, few imports: it lives as long as the core does.
"""

# pathlib would cost more than the rest.

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_CHILD_SUBREAPER = 36
CANNOT_RUN = 127


def main(_label: str, status_descriptor: str, count: str, *words: str) -> None:
    number, status_file = int(count), int(status_descriptor)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for procs in words[:number]:
        with open(procs, "w") as file:
            file.write("0")
    os.set_inheritable(status_file, False)
    child = os.fork()
    if child == 0:
        become(words[number:])
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:
            return
        if pid == child:
            os.write(status_file, b"%d" % os.waitstatus_to_exitcode(status))
            os.close(status_file)


def become(command: tuple[str, ...]) -> None:
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        os.write(2, f"cannot be run: {error.strerror}\n".encode())
    os._exit(CANNOT_RUN)


if __name__ == "__main__":
    main(*sys.argv[1:])
