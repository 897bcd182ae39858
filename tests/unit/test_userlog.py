"""A function's log file, without a function."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_sim.agent.functions.userlog import UserLog
from edge_sim.facts import HostFacts
from edge_sim.greengrass.functions import Function

READER = Function(id="reader", arn="arn:aws:lambda:eu-central-1:123456789012:function:reader:1")


def test_a_file_that_cannot_be_set_aside_is_told_as_that(tmp_path: Path) -> None:
    log = UserLog(READER, tmp_path, HostFacts(architecture="armv7l", operating_system="raspbian"), space=4)
    log.open()
    log.write(b"line\n")
    (path,) = tmp_path.rglob("*.log")
    path.with_name("reader.log.1").mkdir()
    with pytest.raises(IsADirectoryError):
        log.write(b"line\n")
