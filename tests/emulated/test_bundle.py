"""The agent's bundle where there is nothing but a kernel: an empty root of each architecture."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from edge_sim.arch import ARCHITECTURES
from edge_sim.emulation.bundle import archive, content
from edge_sim.emulation.containers import bases, engine
from edge_sim.errors import UnsupportedEnvironmentError

pytestmark = pytest.mark.emulated
LIB = "/edge-sim/lib"
PYTHON = [
    *(f"{LIB}/loader", "--inhibit-cache", "--argv0", "/edge-sim/bin/python3.11", "--library-path", LIB),
    *(f"{LIB}/python", "-I", "-X", "utf8", "-c"),
]
LOOK = """
import glob, importlib, json, os, platform, sys
wrong = {}
for path in glob.glob(sys.prefix + "/lib/python3.11/lib-dynload/*.so"):
    name = os.path.basename(path).partition(".")[0]
    try:
        importlib.import_module(name)
    except Exception as error:
        wrong[name] = str(error)
import click, paho.mqtt.client, psutil, ssl, yaml, yaml._yaml
import edge_sim.agent.program, edge_sim.cli.agent, edge_sim.cli.main
from edge_sim.agent.deployment import libcrypto
key, text = bytes(32), b"a secret"
assert libcrypto.decrypt(key, libcrypto.encrypt(key, text, b""), b"") == text
print(json.dumps({"machine": platform.machine(), "prefix": sys.prefix, "wrong": wrong, "file": ssl.__file__}))
"""


@pytest.fixture(scope="module", params=list(ARCHITECTURES))
def bundle(request: pytest.FixtureRequest, client: Any) -> archive.Bundle:
    try:
        engine.require(request.param, client)
    except UnsupportedEnvironmentError as error:
        pytest.skip(f"no program of {request.param} runs here: {error.brief}")
    return archive.bundle(request.param, print, newest=False)


@pytest.fixture
def image(bundle: archive.Bundle, client: Any) -> Iterator[str]:
    """An image that holds the unpacked bundle and not a file more."""
    name = f"edge-sim-test-bundle:{os.getpid()}-{bundle.architecture}"
    client.api.import_image_from_data(gzip.decompress(bundle.packed), *name.split(":"))
    yield name
    client.images.remove(name, force=True)


def test_everything_in_the_bundle_works_in_an_empty_root(bundle: archive.Bundle, image: str, client: Any) -> None:
    cpu = ARCHITECTURES[bundle.architecture].qemu_cpu
    options = {"environment": {"QEMU_CPU": cpu} if cpu else {}, "network_mode": "none", "remove": True}
    said = json.loads(client.containers.run(image, [*PYTHON, LOOK], **options))
    assert said == {
        "machine": bundle.architecture,
        "prefix": "/edge-sim",
        "wrong": {},
        "file": "/edge-sim/lib/python3.11/ssl.py",
    }


def test_the_bundle_is_small_and_has_a_licence_for_each_part_and_no_key(bundle: archive.Bundle) -> None:
    assert len(bundle.packed) <= 15_000_000
    assert bundle.unpacked <= 40_000_000
    members = gzip.decompress(bundle.packed)
    for name in (*content.PACKAGES, "edge-sim", "common/LGPL-2.1"):
        assert f"edge-sim/licenses/{name}".encode() in members
    assert b"-----BEGIN RSA PRIVATE KEY-----\nMII" not in members
    folder = bases.cache_directory("bundles")
    assert folder
    (folder / f"{bundle.version}-{bundle.architecture}.tar.gz").unlink()
    assert archive.bundle(bundle.architecture, print) == bundle
