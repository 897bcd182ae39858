"""The four images in real containers: the processor each one shows, what it holds and lacks, its size, its building."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edge_sim.arch import ARCHITECTURES
from edge_sim.emulation.containers import bases, images
from edge_sim.errors import UnsupportedEnvironmentError
from tests.emulated.containers import LIMIT_S, image_of, in_image

pytestmark = pytest.mark.emulated
ROOT = Path(__file__).resolve().parents[2]
SLIM_BYTES = {"armv6l": 65_900_000, "armv7l": 55_600_000, "aarch64": 96_400_000, "x86_64": 74_000_000}
"""What bases.py makes without the agent's packages: bookworm-slim. Measured on 2026-11-23."""
ADDED_BYTES = 80_000_000
INSTRUCTIONS = 6
"""RUN, COPY, RUN, CMD and two labels: what stands on the base."""


@pytest.fixture(scope="module", params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def image(architecture: str, client: Any) -> str:
    return image_of(client, architecture)


def test_the_board_shows_its_own_processor(image: str, architecture: str) -> None:
    assert in_image(image, "uname", "-m").strip() == architecture
    header = in_image(image, "od", "-An", "-tx1", "-N40", "/usr/bin/python3").split()
    elf = bytes.fromhex("".join(header))
    (machine,) = struct.unpack_from("<H", elf, 18)
    assert machine == ARCHITECTURES[architecture].elf_machine
    if machine == 40:  # EF_ARM_ABI_FLOAT_HARD or _SOFT
        assert struct.unpack_from("<I", elf, 36)[0] & 0x600 == {"armv6l": 0x200, "armv7l": 0x400}[architecture]


def test_the_agent_and_its_packages_are_there(image: str) -> None:
    assert in_image(image, "edge-sim", "--version").startswith("edge-sim, version")
    assert "Connect and carry out" in in_image(image, "edge-sim", "agent", "run", "--help")
    assert in_image(image, "python3", "-c", "import paho.mqtt.client, psutil, yaml, click; print('all')") == "all\n"
    said = in_image(image, "edge-sim", "agent", "run", "--config", "/nonexistent", check=False)
    assert "Traceback" not in said
    assert "error: /nonexistent" in said


def test_nothing_is_compiled_again_at_each_start(image: str) -> None:
    program = (
        "import sys, importlib.util as u, pathlib\n"
        "files = [*pathlib.Path('/usr/lib/edge-sim').rglob('*.py'), *pathlib.Path('/usr/lib/python3').rglob('*.py')]\n"
        "print(len(files), [str(f) for f in files if not pathlib.Path(u.cache_from_source(str(f))).exists()])"
    )
    count, missing = in_image(image, "python3", "-c", program).split(" ", 1)
    assert int(count) > 100
    assert missing == "[]\n"


def test_there_is_no_compiler_no_pip_and_nothing_of_this_machine(image: str) -> None:
    tools = "gcc cc c++ tcc pip pip3 perl5.36 docker"
    assert in_image(image, "sh", "-c", f"for tool in {tools}; do command -v $tool; done; true") == ""
    left = "/etc/apt/sources.list /var/lib/apt/lists/*Packages* /var/cache/apt/archives/*.deb /root/.cache"
    assert in_image(image, "sh", "-c", f"ls -d {left} 2>/dev/null; true") == ""


def test_the_image_is_small_and_says_what_it_is(image: str, architecture: str, client: Any) -> None:
    found = client.images.get(image)
    added = found.attrs["Size"] - SLIM_BYTES[architecture] if bases.cached(architecture) else _own_layers(found)
    print(f"{architecture}: {found.attrs['Size'] / 1e6:.1f} MB, {added / 1e6:.1f} MB of it on top of bookworm-slim")
    assert added <= ADDED_BYTES
    platform = "/".join(filter(None, ("linux", found.attrs["Architecture"], found.attrs.get("Variant"))))
    assert platform == images.platform(architecture)
    assert found.labels["edge-sim.architecture"] == architecture
    # It is found by its platform, without asking a registry.
    options = ("--platform", ARCHITECTURES[architecture].oci_platform)
    assert in_image(image, "uname", "-m", options=options).strip() == architecture


def _own_layers(image: Any) -> int:
    """Return the bytes that the Dockerfile's RUN and COPY add to a registry's base; the newest come first."""
    return sum(layer["Size"] for layer in image.history()[:INSTRUCTIONS])


def test_what_is_there_is_not_built_again(image: str, architecture: str, client: Any) -> None:
    before = client.images.get(image).id
    said: list[str] = []
    assert images.build(architecture, None, said.append, client) == image
    assert client.images.get(image).id == before
    assert said == [f"{architecture}: {image} already exists"]


@pytest.fixture
def native(client: Any) -> str:
    """This machine's own architecture, where no emulation is in the way."""
    native = os.uname().machine
    if bases.cached(native) is None:
        pytest.skip(f"{native} has no base; make base-images")
    return native


def test_a_base_is_the_same_image_wherever_it_is_loaded(native: str, client: Any) -> None:
    """Gone and brought in again it has the same id: nothing of the time or this machine is in it."""
    base = bases.cached(native)
    assert base is not None
    other = bases.Base(architecture=native, path=base.path, content=f"{base.content}-again")
    once = client.images.get(images.import_base(base, client, print))
    again = client.images.get(images.import_base(other, client, print))
    client.images.remove(f"edge-sim-base-{native}:{other.content}")
    assert once.id == again.id


def test_docker_build_by_hand_makes_the_same_from_the_clone(native: str, client: Any) -> None:
    """The Dockerfile and .dockerignore are enough."""
    base = bases.cached(native)
    assert base is not None
    tag = f"edge-sim-test:{os.getpid()}"
    file = images.dockerfile(native).name
    arguments = ["--build-arg", f"BASE_IMAGE={images.import_base(base, client, print)}", "--network", "none"]
    try:
        command = ["docker", "build", "--tag", tag, "--file", file, *arguments, "."]
        environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300, env=environment)
        digest = ["sh", "-c", "cd /usr/lib/edge-sim && find . -name '*.py' | sort | xargs sha256sum"]
        assert in_image(tag, *digest) == in_image(images.build(native, None, print, client), *digest)
    finally:
        subprocess.run(["docker", "rmi", "--force", tag], capture_output=True, timeout=LIMIT_S)


def test_a_root_file_system_of_somebody_else_that_lacks_python_fails_with_a_reason(
    native: str, client: Any, tmp_path: Path
) -> None:
    file = tmp_path / "rootfs.tar.gz"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/true").write_bytes(Path("/bin/true").resolve().read_bytes())
    (tmp_path / "bin/true").chmod(0o755)
    subprocess.run(["tar", "-C", str(tmp_path), "-czf", str(file), "bin"], check=True, timeout=LIMIT_S)
    name = f"edge-sim-base-{native}:{bases.digest(file)}"
    try:
        with pytest.raises(UnsupportedEnvironmentError, match=f"image for {native} could not be built") as caught:
            images.build(native, file, print, client)
        assert "--base" not in (caught.value.hint or "")
        assert "Python 3.10" in (caught.value.hint or "")
    finally:
        client.images.remove(name, force=True)


OPKG = """
FROM {base}
WORKDIR /usr/lib/python3/dist-packages
RUN mkdir /feed && mv click* paho* psutil* yaml* _yaml* /feed/ && rm /usr/bin/apt-get
RUN echo '#!/bin/sh\\necho "$*" >>/said' >/bin/opkg && chmod +x /bin/opkg \\
    && echo '[ $1 = update ] || mv /feed/* /usr/lib/python3/dist-packages/' >>/bin/opkg
"""


def test_a_base_with_opkg_gets_its_packages_from_its_feed(native: str, client: Any, tmp_path: Path) -> None:
    """OpenWrt's own root file system cannot be had here: Debian's, with a program of that name in its place."""
    base = bases.cached(native)
    assert base is not None
    tag, file = f"edge-sim-test-opkg:{os.getpid()}", tmp_path / "rootfs.tar"
    (tmp_path / "Dockerfile").write_text(OPKG.format(base=images.import_base(base, client, print)), encoding="utf-8")
    made: list[str] = [tag]
    try:
        client.images.build(path=str(tmp_path), tag=tag, network_mode="none", rm=True, forcerm=True, timeout=LIMIT_S)
        container = client.containers.create(tag, ["true"])
        try:
            file.write_bytes(b"".join(container.export()))
        finally:
            container.remove()
        made += [f"edge-sim-base-{native}:{bases.digest(file)}", images.build(native, file, print, client)]
        said = in_image(made[-1], "cat", "/said").splitlines()
        assert said == ["update", "install python3 python3-click python3-paho-mqtt python3-psutil python3-yaml"]
        assert in_image(made[-1], "edge-sim", "--version").startswith("edge-sim, version")
    finally:
        for name in reversed(made):
            client.images.remove(name, force=True)


def test_a_step_that_hangs_is_ended_and_leaves_no_container(
    native: str, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(f"ARG BASE_IMAGE\nFROM ${{BASE_IMAGE}}\nRUN sleep 300.{os.getpid()}\n", encoding="utf-8")
    monkeypatch.setattr(images, "dockerfile", lambda _: file)
    monkeypatch.setattr(images, "SILENCE_LIMIT_S", 3)
    with pytest.raises(UnsupportedEnvironmentError, match="a build step printed nothing for 3 s"):
        images.build(native, None, print, client)
    deadline = time.monotonic() + 30
    while hanging(client) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not hanging(client)


def hanging(client: Any) -> list[str]:
    found = client.containers.list(all=True, ignore_removed=True)
    return [c.id for c in found if f"sleep 300.{os.getpid()}" in (c.attrs["Config"]["Cmd"] or ())]


def test_base_images_a_second_time_makes_nothing(client: Any) -> None:
    if any(bases.cached(architecture) is None for architecture in ARCHITECTURES):
        pytest.skip("not all four bases are there; make base-images")
    argv = [sys.executable, "-m", "edge_sim.emulation.containers.baseimages"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=LIMIT_S, check=True)
    assert done.stdout.count("already exists") == len(ARCHITECTURES)
