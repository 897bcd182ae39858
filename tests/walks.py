"""Count the four walks of docs/architecture.md: ``python -m tests.walks [WALK...]``.

A file counts where a function of it takes or returns the thing that walks, known by a text that stands in nothing else;
what only carries bytes is not counted. A reading makes something else of a text or a JSON value: ``text`` of its
characters, ``group`` of the API's definitions.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import dropwhile, groupby, takewhile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
PACKAGE = f"{ROOT}/edge_sim/"
PROFILE = ("--profile", "raspberry-pi-3")
CALLS = """
from edge_sim.cloud.server import Cloud
from tests.integration.cloud_client import client
resource = {"Id": "r", "Name": "walking-volume", "ResourceDataContainer": {"LocalVolumeResourceData": {
    "SourcePath": "/srv/walking-volume", "DestinationPath": "/walking-volume"}}}
with Cloud() as cloud:
    api = client(cloud, "greengrass")
    api.create_resource_definition(Name="walking-volume", InitialVersion={"Resources": [resource]})
"""


@dataclass(frozen=True)
class Step:
    """A function that met a mark; ``reading`` is empty where it read nothing."""

    at: float
    mark: str
    file: str
    function: str
    reading: str


def steps(command: Sequence[str], marks: Mapping[str, str]) -> list[Step]:
    """Run a command of Python's with the hook in all its processes; return what they met, in order.

    The hook's folder lies in the checkout, which is on a simulated board as well.
    """
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".walk-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        shutil.copy(Path(__file__).with_name("walk_hook.py"), folder / "sitecustomize.py")
        (folder / "marks").write_text(json.dumps(marks))
        (folder / "walk").touch()
        (folder / "walk").chmod(0o666)
        environment = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}"}
        subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        lines = (line.split(" ") for line in (folder / "walk").read_text().splitlines())
        found = [Step(float(at), mark, file, function, reading) for at, mark, file, function, reading in lines]
    return sorted((step for step in found if "/site-packages/" not in step.file), key=lambda step: step.at)


def show(name: str, walk: Iterable[Step]) -> None:
    """Print how many files a walk has, how many of them in which part, and how often who reads it."""
    walk = [replace(step, file=step.file.removeprefix(PACKAGE)) for step in walk if step.file.startswith(PACKAGE)]
    files = {step.file for step in walk}
    print(f"{name}: {len(files)} files")
    for part, those in groupby(sorted(files, key=_place), _folder):
        names = [PurePosixPath(file).name for file in those]
        print(f"  {len(names)} of {part}: {' '.join(names)}")
    for (kind, file), count in Counter((step.reading, step.file) for step in walk if step.reading).items():
        print(f"  {count} × {kind} read in {file}")


def _folder(file: str) -> str:
    return str(PurePosixPath(file).parent)


def _place(file: str) -> tuple[str, str]:
    return _folder(file), file


def run() -> None:
    """Walk the example's definition and its first update: the second one comes to the same files."""
    marks = {"definition": "Wine_Cultivar_Model", "job": "GreengrassUpdateJob_", "version": r"1\.11\.6"}
    with tempfile.TemporaryDirectory() as folder:
        scenario = shutil.copytree(ROOT / "examples/no-container-ml", Path(folder) / "scenario") / "edge-sim.yaml"
        scenario.write_text(scenario.read_text().partition("  - version: 1.11.7")[0])
        met = steps(("-m", "edge_sim", "run", str(scenario.parent), *PROFILE), marks)
    definition = [step for step in met if step.mark == "definition"]
    show("definition", takewhile(lambda step: "functions/deployed" not in step.file, definition))
    later = dropwhile(lambda step: step.mark != "job", (step for step in met if step.mark != "definition"))
    until = takewhile(lambda step: step.mark != "job" or "runs/boardrun" not in step.file, later)
    update = [step for step in until if "/runs/" not in step.file]  # the run looks on
    job = [step for step in update if step.mark == "job"]
    show("update, its job", job)
    files = {step.file for step in job}
    show("update, its version elsewhere", (s for s in update if s.mark == "version" and s.file not in files))


def call() -> None:
    show("call", steps(("-c", CALLS), {"call": "walking-volume"}))


def profile() -> None:
    show("profile", steps(("-m", "edge_sim", "doctor", *PROFILE), {"profile": r"/dev/vcsm-cma|5\.10\.63-v7"}))


WALKS = {"run": run, "call": call, "profile": profile}


def main() -> None:
    """Count the walks that are named, or all."""
    for name in sys.argv[1:] or WALKS:
        WALKS[name]()


if __name__ == "__main__":
    main()
