"""Build the image of the cloud and command line, and use it: ``make image``. Needs root, a Docker engine, mmdebstrap.

Debian's own packages are its base, made here, and PyPI's wheels lie in the build's context: no registry of images is
asked, and the build has no network. It prints the image's size and how long the first answers take. ``.venv`` has to be
Debian's Python, whose wheels these are.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import boto3

from edge_sim.emulation.containers import bases
from tests.ports import port_of_nobody

ROOT = Path(__file__).parents[1]
PACKAGES = ("usr-is-merged", "python3", "python3-venv", "mosquitto", "ca-certificates")
CONTEXT = (
    "Dockerfile",
    "Dockerfile.*",
    ".dockerignore",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "requirements/*.txt",
)
TAG, VOLUME = "edge-sim", "edge-sim-tried"
LIMIT_S = 900


def run(*argv: str | Path, stdin: bytes | None = None) -> str:
    """Return what a program prints; raises CalledProcessError."""
    return (
        subprocess.run(argv, input=stdin, check=True, stdout=subprocess.PIPE, timeout=LIMIT_S).stdout.decode().strip()
    )


def base(folder: Path) -> str:
    """Return the engine's name for a Debian with Python and mosquitto, made now where it is missing."""
    argv = ["mmdebstrap", "--quiet", "--variant=minbase", "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"]
    argv += [f"--include={','.join(PACKAGES)}", '--customize-hook=rm "$1"/etc/apt/sources.list "$1"/etc/resolv.conf']
    argv += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc", "locale", "info")]
    name = f"edge-sim-cloud-base:{hashlib.sha256(' '.join(argv).encode()).hexdigest()[:12]}"
    if not run("docker", "images", "--quiet", name):
        print("making a base of Debian's packages", flush=True)
        file = folder / "base.tar"
        run(*argv, bases.SUITE, file, f"deb {bases.mirror()} {bases.SUITE} main")
        run("docker", "import", file, name)
    return name


def context(folder: Path, requirements: str) -> bytes:
    """Return what the image is built from: sources, and the wheels of all that they stand on."""
    wheels = folder / "wheels"
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(
        *pip,
        "download",
        "--require-hashes",
        "--requirement",
        ROOT / f"requirements/{requirements}.txt",
        "--dest",
        wheels,
    )
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, ROOT)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path in sorted(path for pattern in CONTEXT for path in ROOT.glob(pattern)):
            tar.add(path, path.relative_to(ROOT))
        tar.add(wheels, "wheels")
    return archive.getvalue()


@contextmanager
def cloud(port: int) -> Iterator[float]:
    """Serve the cloud from the image; yield the seconds from the container's start to its first answer."""
    argv = ["docker", "run", "--detach", "--network", "host", "--volume", f"{VOLUME}:/data", TAG]
    container = run(*argv, "cloud", "serve", "--port", str(port), "--state", "/data/cloud.sqlite")
    begin = time.monotonic()
    try:
        while True:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/edge-sim/health") as answer:
                health = json.load(answer)
                break
            if time.monotonic() - begin > 60:
                raise TimeoutError(run("docker", "logs", container))
            time.sleep(0.01)
        seconds = time.monotonic() - begin
        if not health["connected"]:
            raise ValueError(f"the cloud in the container has no broker: {health}")
        yield seconds
    finally:
        run("docker", "stop", container)
        run("docker", "rm", container)


def groups(port: int) -> Sequence[str]:
    """Return the names of the cloud's groups, after another one was made there by boto3."""
    access = {"aws_access_key_id": "edge-sim", "aws_secret_access_key": "edge-sim", "region_name": "us-east-1"}
    client = boto3.client("greengrass", endpoint_url=f"http://127.0.0.1:{port}", **access)
    count = len(client.list_groups()["Groups"])
    client.create_group(Name=f"group {count + 1}")
    return sorted(group["Name"] for group in client.list_groups()["Groups"])


def build(tag: str = TAG, requirements: str = "sim") -> None:
    """Build the image of this checkout, with the packages of ``requirements``."""
    with tempfile.TemporaryDirectory(prefix="edge-sim-image-") as name:
        folder = Path(name)
        values = (f"BASE={base(folder)}", f"REQUIREMENTS={requirements}")
        arguments = [word for value in values for word in ("--build-arg", value)]
        print("building the image", flush=True)
        built = ("docker", "build", "--quiet", "--network", "none", *arguments, "--tag", tag, "-")
        run(*built, stdin=context(folder, requirements))


def seconds(*argv: str) -> float:
    """Return how long a command takes."""
    begin = time.monotonic()
    run(*argv)
    return time.monotonic() - begin


def works() -> bool:
    """Use the image, print what was measured, and return whether it does what docs/image.md says."""
    size = int(run("docker", "image", "inspect", "--format", "{{.Size}}", TAG))
    answered = seconds("docker", "run", "--rm", TAG, "--version")
    engine = seconds("docker", "run", "--rm", "--entrypoint", "true", TAG)
    user = run("docker", "run", "--rm", "--entrypoint", "id", TAG, "-un")
    with port_of_nobody() as port:
        pass
    try:
        with cloud(port) as first:
            before = groups(port)
        with cloud(port):
            after = groups(port)
    finally:
        run("docker", "volume", "rm", "--force", VOLUME)
    print(
        f"image: {size / 1e6:.0f} MB, as {user}; --version after {answered:.2f} s, the engine's own part {engine:.2f} s"
    )
    print(f"cloud: first answer after {first:.2f} s; boto3 made {before}; after a restart {after}")
    return user != "root" and before == ["group 1"] and after == ["group 1", "group 2"]


def main() -> None:
    """Build the image and use it; end with 1 where something is wrong."""
    build()
    sys.exit(not works())


if __name__ == "__main__":
    main()
