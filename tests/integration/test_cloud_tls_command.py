"""``cloud serve --tls``, ``env`` and ``certs`` as programs: what they print, and what they keep to themselves."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from tests import needs

pytestmark = [pytest.mark.network, pytest.mark.process, needs.program("mosquitto")]
EDGE_SIM = [sys.executable, "-m", "edge_sim.cli.main", "cloud"]
LIMIT_S = 60.0


def test_the_secret_is_in_env_and_in_no_output_of_the_server(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    argv = [*EDGE_SIM, "serve", "--tls", "--port", "0", "--mqtt-port", "0", "--state", str(tmp_path / "c.sqlite")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as cloud:
        assert cloud.stdout is not None
        lines = []
        for line in cloud.stdout:
            lines.append(line)
            if line.startswith("#"):
                break
        folder = tmp_path / "core"
        made = subprocess.run(
            [*EDGE_SIM, "certs", "core", "--out", str(folder), "--host", "localhost"],
            capture_output=True,
            text=True,
            env=environment,
            timeout=LIMIT_S,
            check=True,
        )
        env = subprocess.run(
            [*EDGE_SIM, "env", "--format", "json"],
            capture_output=True,
            text=True,
            env=environment,
            timeout=LIMIT_S,
            check=True,
        )
        cloud.terminate()
        rest, errors = cloud.communicate(timeout=LIMIT_S)
    secret = (tmp_path / "c.sqlite.d" / "ca" / "secret-access-key").read_text()
    key = next(folder.glob("certs/*.private.key")).read_text().splitlines()[1]
    assert json.loads(env.stdout)["AWS_SECRET_ACCESS_KEY"] == secret
    for text in (*lines, rest, errors, made.stdout, made.stderr):
        assert secret not in text
        assert key not in text
    assert errors == ""
    assert sorted(made.stdout.splitlines()) == sorted(str(path) for path in folder.rglob("*") if path.is_file())
    core = json.loads((folder / "config" / "config.json").read_text())["coreThing"]
    assert core["iotHost"] == "localhost"
    ssl.create_default_context(cafile=str(folder / "certs" / core["caPath"]))
