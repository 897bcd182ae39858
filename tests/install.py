"""Install edge-sim as people do, and use it: ``make install-check``. What it stands on comes from PyPI.

The wheel is built from the source distribution, and must hold what the one from the checkout holds. Then it goes into
fresh places by ``pip --user``, ``pip --target``, pipx, and ``uvx --from FILE``, the last with everything that a run
needs. It prints a line for each place, and ends with 1 where something is missing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_sim.emulation.containers import images
from edge_sim.profiles import list_profiles

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples/no-container-ml"
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")
OFFLINE = ("--no-deps", "--no-build-isolation")
LIMIT_S = 600


@dataclass(frozen=True, kw_only=True)
class Place:
    """One way to install: how edge-sim is called there, and which extra it has."""

    name: str
    call: Sequence[str]
    extra: str = ""
    environment: dict[str, str] = field(default_factory=dict)


def run(argv: Sequence[str | Path], environment: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Return what a program prints; raises CalledProcessError, and its errors stay on standard error."""
    env = {**os.environ, **(environment or {})}
    return subprocess.run(
        [*argv], env=env, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True, timeout=LIMIT_S
    ).stdout


def distributions(folder: Path) -> Path:
    """Build the source distribution and the wheel of it; return the wheel. Raises ValueError where that lacks files."""
    run([sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder / "sdist"], cwd=ROOT)
    (source,) = (folder / "sdist").iterdir()
    for origin, into in ((source, "wheel"), (ROOT, "checkout")):
        run([sys.executable, *PIP, "wheel", *OFFLINE, "-w", folder / into, origin])
    (wheel,), (other,) = ((folder / name).iterdir() for name in ("wheel", "checkout"))
    names, expected = ({*zipfile.ZipFile(file).namelist()} for file in (wheel, other))
    if names != expected:
        raise ValueError(f"sdist and checkout make different wheels: {sorted(names ^ expected)}")
    return wheel


def places(wheel: Path, folder: Path) -> Iterator[Place]:
    """Install the wheel in each way, and yield how to call it."""
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    pip = [sys.executable, *PIP, "--python", python]  # Debian's Python has no pip of its own
    user = {"PYTHONUSERBASE": str(folder / "user"), "PIP_BREAK_SYSTEM_PACKAGES": "1"}
    run([*pip, "install", "--user", f"{wheel}[report]"], user)
    yield Place(name="pip --user", call=[str(folder / "user/bin/edge-sim")], extra="report", environment=user)
    run([*pip, "install", "--target", folder / "target", wheel])
    target = {"PYTHONPATH": str(folder / "target")}
    yield Place(name="pip --target", call=[python, "-m", "edge_sim"], environment=target)
    tools = folder / "tools"
    run([python, "-m", "venv", tools])
    run([tools / "bin/python", *PIP, "install", "pipx", "uv"])
    pipx = {"PIPX_HOME": str(folder / "pipx"), "PIPX_BIN_DIR": str(folder / "bin"), "PIPX_DEFAULT_PYTHON": python}
    run([tools / "bin/pipx", "install", "--quiet", wheel], pipx)
    yield Place(name="pipx", call=[str(folder / "bin/edge-sim")], environment=pipx)
    uvx = [str(tools / "bin/uvx"), "--quiet", "--python", python, "--from", f"edge-sim[sim] @ {wheel.as_uri()}"]
    yield Place(name="uvx --from FILE", call=[*uvx, "edge-sim"], extra="sim")


def lacking(place: Place, folder: Path) -> Iterator[str]:
    """Use edge-sim in a folder of its own, without the checkout, and yield what is not as it should be."""

    def call(*words: str | Path) -> str:
        return run([*place.call, *words], place.environment, folder)

    profiles = json.loads(call("profiles", "list", "--format", "json"))
    if [profile["name"] for profile in profiles] != [*list_profiles()]:
        yield "profiles"
    if not json.loads(call("validate", EXAMPLE, "--profile", "raspberry-pi-3", "--format", "json"))["findings"]:
        yield "rules"
    if "#!/bin/sh" not in call("snapshot-script"):
        yield "the script for real boards"
    if place.extra and not call("validate", EXAMPLE, "--format", "html").rstrip().endswith("</html>"):
        yield "the report's templates"
    if place.extra == "sim":
        name = "from edge_sim.emulation.containers.images import image_for; print(image_for('armv7l'))"
        if run([*place.call[:-1], "python", "-c", name], place.environment, folder).strip() != images.image_for(
            "armv7l"
        ):
            yield "what boards' images are built from"
        report = json.loads(call("run", EXAMPLE, "--profile", "raspberry-pi-3", "--format", "json"))
        if not report["ok"]:
            yield f"a run: {report['boards']}"


def main() -> None:
    """Print for each way whether everything is there."""
    good = True
    with tempfile.TemporaryDirectory(prefix="edge-sim-install-") as name:
        wheel = distributions(Path(name))
        print(f"{wheel.name}: {wheel.stat().st_size / 1024:.0f} KiB, the same from the source distribution", flush=True)
        for place in places(wheel, Path(name)):
            try:
                missing = [*lacking(place, Path(name))]
            except subprocess.CalledProcessError as error:
                missing = [str(error)]
            good = good and not missing
            print(f"{place.name}{f' [{place.extra}]' * bool(place.extra)}: {', '.join(missing) or 'ok'}", flush=True)
    sys.exit(not good)


if __name__ == "__main__":
    main()
