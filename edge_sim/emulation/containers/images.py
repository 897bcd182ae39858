"""The boards' images: which one belongs to which content, and how it is built where it is missing.

An image is made of a Dockerfile, the sources that ``.dockerignore`` lets in, and a base; its tag is a hash of these
three, so what has not changed is not built again. The base is ``--base FILE.tar`` (Debian's, OpenWrt's …), else the
one that ``make base-images`` made, else the Dockerfile's own, which a registry must have. On a base of bullseye
(``bases.OLDER``) the agent is its bundle, which is a source then.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import io
import json
import lzma
import re
import struct
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from edge_sim.arch import ARCHITECTURES
from edge_sim.digests import sha256
from edge_sim.emulation.containers import advice, engine, init
from edge_sim.emulation.containers.bases import NEWEST_FILE, OLDER, SUITE, Base, Progress, cached, digest
from edge_sim.errors import MACHINE, UnsupportedEnvironmentError, UsageError, file_error

BUILD_LIMIT_S = 1200.0
"""For one image. On a base of ours it takes seconds; apt under QEMU takes minutes."""
SILENCE_LIMIT_S = 300
"""How long a step may say nothing: an illegal instruction under QEMU can hang instead of ending."""
_ROOT = Path(__file__).resolve().parents[3]
"""A checkout, or where edge_sim is installed; its sources have the same names below both."""
_OPENERS: Mapping[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


@dataclass(frozen=True, kw_only=True)
class _Image:
    """What an image is made from. ``base`` None: the Dockerfile's own; ``from_file``: the base is the user's file."""

    architecture: str
    content: bytes
    base: Base | None
    from_file: bool

    @property
    def tag(self) -> str:
        identity = self.base.content if self.base else "registry"
        digits = hashlib.sha256(self.content + identity.encode()).hexdigest()[:12]
        return f"edge-sim-board-{self.architecture}:{digits}"

    @property
    def network(self) -> str:
        """A base of ours holds all that is needed, and a build without a network proves it."""
        return "none" if self.base and not self.from_file else "host"


def image_for(architecture: str, base: Path | None = None, bundle: bytes | None = None) -> str:
    """Return the name of the image for ``architecture`` as the sources are now. Needs no engine.

    Raises UsageError when ``base`` cannot be read.
    """
    return _image(architecture, base, bundle).tag


def build(
    architecture: str, base: Path | None, progress: Progress, client: Any = None, *, bundle: bytes | None = None
) -> str:
    """Return the name of the image for ``architecture``, built now if the engine has not got it.

    ``base`` is a root file system as a tar file, plain or compressed by gzip, bzip2 or xz; ``client`` a
    docker.DockerClient in use; with ``bundle``, the agent's as a tar.gz, the image is one of bullseye. Raises
    UsageError for a base that is none or another processor's, and UnsupportedEnvironmentError when engine, QEMU or
    registry is missing or the build fails.
    """
    if base:
        _check_machine(base, architecture)
    image = _image(architecture, base, bundle)
    if client is not None:
        return _build_image(image, client, progress)
    with engine.connected() as own:
        return _build_image(image, own, progress)


def import_base(base: Base, client: Any, progress: Progress) -> str:
    """Return the engine's name for ``base``, brought in now if it is not there, with its platform on it.

    Loaded, not imported: ``docker import`` records this machine's processor and the time, and ``--platform`` then
    goes to a registry instead of finding it.
    """
    name = f"edge-sim-base-{base.architecture}:{base.content}"
    if _has(client, name):
        return name
    progress(f"{base.architecture}: loading {base.path.name} into the engine")
    with _plain(base.path) as layer, tempfile.TemporaryFile() as archive:
        _write_archive(archive, layer, name, platform(base.architecture))
        archive.seek(0)
        try:
            client.images.load(archive)
        except engine.failures() as error:
            raise UnsupportedEnvironmentError(
                f"{base.path}: Docker refused to load this base", details=str(error)
            ) from error
    return name


def context(architecture: str, bundle: bytes | None = None) -> bytes:
    """Return what an image is built from as a tar archive: the same sources, the same bytes."""
    if bundle is None:
        files = {"Dockerfile": dockerfile(architecture), **{name: _ROOT / name for name in _sources()}}
    else:
        files = {"Dockerfile": _recipe(f"Dockerfile.{OLDER}"), "init.py": Path(init.__file__)}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, path in files.items():
            _add(tar, name, path.read_bytes())
        if bundle is not None:
            _add(tar, "bundle.tar.gz", bundle)
    return archive.getvalue()


def dockerfile(architecture: str) -> Path:
    """Return the architecture's Dockerfile: ``Dockerfile.armv7`` for armv7l."""
    return _recipe(f"Dockerfile.{architecture.removesuffix('l')}")


def platform(architecture: str) -> str:
    """Return the platform of an image's user land: ``linux/arm/v5`` for armv6l, as Debian's armel is."""
    match = re.search(r"^ARG PLATFORM=(\S+)$", dockerfile(architecture).read_text(encoding="utf-8"), re.MULTILINE)
    return match[1] if match else ARCHITECTURES[architecture].oci_platform


def _sources() -> list[str]:
    from docker.utils.build import exclude_paths

    lines = _recipe(".dockerignore").read_text(encoding="utf-8").splitlines()
    paths = exclude_paths(str(_ROOT), [line for line in lines if line and not line.startswith("#")])
    # It gives directories as well, and .dockerignore itself.
    return sorted(name for name in paths if name.startswith("edge_sim/") and (_ROOT / name).is_file())


def _recipe(name: str) -> Path:
    """Return a file that images are built by: at the top of a checkout, or in the installed package."""
    checkout = _ROOT / name
    return checkout if checkout.is_file() else _ROOT / "edge_sim/dockerfiles" / name


def _image(architecture: str, file: Path | None, bundle: bytes | None) -> _Image:
    suite = SUITE if bundle is None else OLDER
    try:
        base = Base(architecture=architecture, path=file, content=digest(file)) if file else cached(architecture, suite)
    except OSError as error:
        raise file_error(f"{file}: cannot be read: {error.strerror}", error) from error
    return _Image(
        architecture=architecture, content=context(architecture, bundle), base=base, from_file=file is not None
    )


def _has(client: Any, name: str) -> bool:
    import docker

    try:
        client.api.inspect_image(name)
    except docker.errors.ImageNotFound:
        return False
    return True


def _build_image(image: _Image, client: Any, progress: Progress) -> str:
    if _has(client, image.tag):
        progress(f"{image.architecture}: {image.tag} already exists")
        return image.tag
    engine.require(image.architecture, client)
    if image.base is None:
        progress(f"{image.architecture}: no base was built here, so asking the registry for the Dockerfile's")
    name = import_base(image.base, client, progress) if image.base else None
    started = time.monotonic()
    log: list[str] = []
    try:
        for event in _events(image, name, client):
            log += _lines(event, image.architecture, progress)
            if "error" in event:
                raise _failed(image, log, event["error"])
            if time.monotonic() - started > BUILD_LIMIT_S:
                raise _failed(image, log, f"timed out after {BUILD_LIMIT_S:g} s")
    except engine.failures() as error:
        silent = "timed out" in str(error)
        raise _failed(
            image, log, f"a build step printed nothing for {SILENCE_LIMIT_S} s" if silent else str(error)
        ) from error
    progress(f"{image.architecture}: built {image.tag} in {time.monotonic() - started:.0f} s")
    return image.tag


def _events(image: _Image, base: str | None, client: Any) -> Any:
    """Have the engine build, and return what it says. It stops building when nobody listens any more."""
    return client.api.build(
        fileobj=io.BytesIO(image.content),
        custom_context=True,
        tag=image.tag,
        buildargs={"PLATFORM": platform(image.architecture), **({"BASE_IMAGE": base} if base else {})},
        network_mode=image.network,
        labels={"edge-sim.architecture": image.architecture, "edge-sim.base": base or "registry"},
        rm=True,
        forcerm=True,
        decode=True,
        timeout=SILENCE_LIMIT_S,
    )


def _lines(event: Mapping[str, Any], architecture: str, progress: Progress) -> list[str]:
    lines = [line for line in str(event.get("stream", "")).splitlines() if line.strip()]
    for line in lines:
        if line.startswith("Step "):
            progress(f"{architecture}: {line[:100]}")
    return lines


def _failed(image: _Image, log: list[str], why: str) -> UnsupportedEnvironmentError:
    hint = None
    if image.base is None:
        hint = f"Without a registry: {advice.BASES}, or give a root file system with --base FILE.tar."
    elif image.from_file:
        hint = "A base must hold Python 3.10 or newer and the agent's packages, or reach its own package feed."
    return UnsupportedEnvironmentError(
        f"the image for {image.architecture} could not be built: {why}",
        details="\n".join(log[-8:]) or None,
        hint=hint,
    )


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = len(content), NEWEST_FILE, 0o644
    tar.addfile(member, io.BytesIO(content))


def _write_archive(target: IO[bytes], layer: Path, name: str, on: str) -> None:
    """Write what ``docker save`` would: one layer and a configuration. The image's id depends on nothing else."""
    os_name, machine, *variant = on.split("/")
    with layer.open("rb") as stream:
        diff = sha256(stream)
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NEWEST_FILE))
    config = {
        "architecture": machine,
        **({"variant": variant[0]} if variant else {}),
        "os": os_name,
        "created": created,
        "history": [{"created": created, "created_by": "edge-sim"}],
        "config": {"Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff}"]},
    }
    with tarfile.open(fileobj=target, mode="w") as tar:
        _add(tar, "config.json", json.dumps(config).encode())
        tar.add(layer, "layer.tar")
        manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
        _add(tar, "manifest.json", json.dumps(manifest).encode())


@contextlib.contextmanager
def _plain(path: Path) -> Iterator[Path]:
    """Give the tar file without its compression."""
    with path.open("rb") as stream:
        start = stream.read(8)
    opener = next((opener for magic, opener in _OPENERS.items() if start.startswith(magic)), None)
    if opener is None:
        yield path
        return
    with tempfile.NamedTemporaryFile(suffix=".tar") as plain:
        try:
            with opener(path) as compressed:
                while block := compressed.read(1 << 20):
                    plain.write(block)
        except (OSError, EOFError, lzma.LZMAError) as error:
            if getattr(error, "errno", None) in MACHINE:
                raise
            raise UsageError(f"{path}: cannot be unpacked: {error}") from error
        plain.flush()
        yield Path(plain.name)


def _check_machine(path: Path, architecture: str) -> None:
    """Refuse a file that is no tar archive, holds no program, or programs for another processor."""
    row = ARCHITECTURES[architecture]
    try:
        with tarfile.open(path) as tar:
            machine = next((machine for member in tar if (machine := _machine(tar, member)) is not None), None)
    except (OSError, EOFError, tarfile.TarError, lzma.LZMAError) as error:
        if getattr(error, "errno", None) in MACHINE:
            raise
        raise UsageError(f"{path}: not a root file system: {error}") from error
    if machine != row.elf_machine:
        what = "holds no program" if machine is None else f"is for another processor (ELF machine {machine})"
        raise UsageError(
            f"{path}: {what}; {architecture} is ELF machine {row.elf_machine}",
            hint="A base is a whole root file system, such as OpenWrt's …-rootfs.tar.gz for the same processor.",
        )


def _machine(tar: tarfile.TarFile, member: tarfile.TarInfo) -> int | None:
    """Return the ELF machine of a program below a bin directory, None for anything else."""
    if not (member.isfile() and member.mode & 0o111 and "bin/" in member.name):
        return None
    stream = tar.extractfile(member)
    header = stream.read(20) if stream else b""
    return struct.unpack_from("<H", header, 18)[0] if header[:4] == b"\x7fELF" and len(header) == 20 else None
