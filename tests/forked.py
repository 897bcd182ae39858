"""A test's work in a child of its own, which may take another identity or root directory and come to no harm by it."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Callable, Sequence
from typing import Any


def result_of(work: Callable[[], object]) -> Any:
    """Return what ``work`` returns in a forked child, as JSON brings it here; it fails where the child does.

    A fork without exec: the running Python may lie where the child's identity cannot go.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with os.fdopen(write_end, "wb") as pipe:
                pipe.write(json.dumps(work()).encode())
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        text = pipe.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return json.loads(text)


def become(uid: int, gid: int, groups: Sequence[int] = ()) -> None:
    """Take an identity for good."""
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
