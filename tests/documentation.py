"""Try what the README shows: ``python -m tests.documentation`` runs its commands and compares what they print.

A block marked ``console`` has commands after ``$`` and their output below; a line ``…`` stands for any lines, and at a
line's end for its rest. It says how many commands of how many did as shown, and ends with 1 where one did not.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge_sim.errors import UnsupportedEnvironmentError

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = (*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("[bde]*/**/README.md")))
LIMIT_S = 600


@dataclass(frozen=True)
class Example:
    """A command that a page shows, the folder to call it in, and the lines that it prints there."""

    command: str
    folder: Path
    output: tuple[str, ...]

    def difference(self, printed: str) -> str | None:
        """Return the first line that was not printed where the page has it, or None."""
        pattern, printed = "", re.sub(r" +$", "", printed, flags=re.MULTILINE)
        for line in self.output:
            pattern += r"(?:.*\n)*?" if line == "…" else re.escape(line.removesuffix("…"))
            pattern += "" if line == "…" else r".*\n" if line.endswith("…") else r"\n"
            if not re.match(pattern, printed):
                return line
        return None if re.fullmatch(pattern, printed) else "(the end)"


def examples(page: Path, top: Path = ROOT) -> Iterator[Example]:
    """Yield the commands of a page's blocks marked ``console``, begun in ``top``; ``cd`` holds within its block."""
    for block in re.findall(r"(?ms)^```console\n(.*?)^```", page.read_text("utf-8")):
        folder = top
        for called in re.split(r"(?m)^\$ ", block)[1:]:
            command, *output = called.splitlines()
            if command.startswith("cd "):
                folder = folder / command.removeprefix("cd ")
            else:
                yield Example(command=command, folder=folder, output=tuple(output))


def main() -> None:
    """Run the README's commands one after the other, with this environment's edge-sim first on the PATH."""
    good = 0
    with tempfile.TemporaryDirectory(prefix="edge-sim-readme-") as top:
        shutil.copytree(ROOT / "examples", Path(top) / "examples")
        shown = [*examples(README, Path(top))]
        for example in shown:
            printed, status = _called(example)
            difference = example.difference(printed)
            good += difference is None
            if status == UnsupportedEnvironmentError.exit_status:
                print(f"not proven here: {example.command}")
            elif difference:
                print(f"{example.command}: not printed: {difference}\n{printed}")
    print(f"README: {good} of {len(shown)} commands did as shown")
    sys.exit(good != len(shown))


def _called(example: Example) -> tuple[str, int]:
    """Return what a command printed, and its exit status."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    called = ["sh", "-c", example.command]
    done = subprocess.run(
        called, cwd=example.folder, env=environment, stdout=subprocess.PIPE, text=True, timeout=LIMIT_S, check=False
    )
    return done.stdout, done.returncode


if __name__ == "__main__":
    main()
