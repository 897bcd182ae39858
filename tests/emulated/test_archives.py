"""The hostile archives on 32-bit boards: every one is refused or unpacked there as it is here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.archive_cases import cases
from tests.emulated.containers import image_of, in_image

pytestmark = pytest.mark.emulated
TESTS = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("architecture", ["armv7l", "armv6l"])
def test_hostile_archives(architecture: str, client: Any) -> None:
    image = image_of(client, architecture)
    options = ("--volume", f"{TESTS}:/t/tests:ro", "--tmpfs", "/tmp", "--env", "PYTHONPATH=/t", "--workdir", "/t")
    told = json.loads(in_image(image, "python3", "-m", "tests.archive_run", options=options))
    assert told["machine"] == architecture
    assert told["wrong"] == []
    assert told["cases"] == len(list(cases()))
    print(f"{architecture}: {told['cases']} archives of {told['ids']} case ids")
