"""``cloud serve --tls``, ``env`` and ``certs`` as programs: what they print, and what they keep to themselves."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import needs

pytestmark = [pytest.mark.network, pytest.mark.process, needs.program("mosquitto")]
EDGE_SIM = [sys.executable, "-m", "edge_sim.cli.main"]
LIMIT_S = 60.0


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Yield a ``cloud serve --tls`` that is starting, and the environment in which others find it."""
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder / "run")}
    argv = [*EDGE_SIM, "cloud", "serve", "--tls", "--port", "0", "--mqtt-port", "0", *options]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as cloud:
        try:
            yield cloud, environment
        finally:
            cloud.terminate()


def until_it_serves(cloud: subprocess.Popen[str]) -> list[str]:
    """Return what the cloud has printed when it is ready."""
    assert cloud.stdout is not None
    lines = []
    for line in cloud.stdout:
        lines.append(line)
        if line.startswith("#"):
            break
    return lines


def edge_sim(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    argv = [*EDGE_SIM, *words]
    return subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=LIMIT_S, check=True)


def test_the_secret_is_in_env_and_in_no_output_of_the_server(tmp_path: Path) -> None:
    with serving(tmp_path, "--state", str(tmp_path / "c.sqlite")) as (cloud, environment):
        lines = until_it_serves(cloud)
        folder = tmp_path / "core"
        made = edge_sim(environment, "cloud", "certs", "core", "--out", str(folder), "--host", "localhost")
        env = edge_sim(environment, "cloud", "env", "--format", "json")
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


def test_a_release_is_offered_and_an_update_created_at_a_cloud_of_another_address(tmp_path: Path) -> None:
    """The build goes to /edge-sim/, which asks for the cloud's secret."""
    with serving(tmp_path, "--bind", "127.0.0.2") as (cloud, environment):
        until_it_serves(cloud)
        edge_sim(environment, "cloud", "certs", "core", "--out", str(tmp_path / "core"))
        words = ("ota", "create", "--thing", "core", "--for", "raspbian/armv7l", "--version", "1.10.4")
        made = edge_sim(environment, *words, "--format", "json")
    assert json.loads(made.stdout)["version"] == "1.10.4"


def test_a_board_gets_no_name_that_it_could_not_trust(tmp_path: Path) -> None:
    with serving(tmp_path, "--name", "bench.local") as (cloud, environment):
        until_it_serves(cloud)

        def certs(host: str) -> subprocess.CompletedProcess[str]:
            argv = [*EDGE_SIM, "cloud", "certs", "core", "--out", str(tmp_path / "core"), "--host", host]
            return subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=LIMIT_S, check=False)

        for host in ("https://bench.local:8443", "a b", "::1", ""):
            done = certs(host)
            assert done.returncode == 2
            assert done.stderr == f"error: --host {host!r}: neither a host name nor an IPv4 address\n"
        done = certs("other.local")
        assert done.returncode == 2
        assert done.stderr.startswith("error: --host other.local: the cloud's certificate is for other names\n")
        assert not (tmp_path / "core").exists()
        assert certs("bench.local").returncode == 0
