"""From a V1 board by rescue and migrate to V2 boards: the function's predictions on V1, on classic and on lite.

    sudo python3 walk.py FOLDER [--driver docker]

Runs the scenario on a simulated V1 board and keeps its root directory; rescues the group from there; migrates it to
nucleus classic and nucleus lite; runs what came of it on the stand-in for a V2 core, on boards of an armv7l and of an
x86_64 profile: board.sh, then a message on images/new, and the answer on images/digits. With ``--driver docker`` the V2
boards are containers of their own architecture (QEMU where needed), else namespaces of this machine.
Needs root, for other accounts' files, and the packages of edge-sim's extra dev (awsiotsdk).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
V1 = "raspberry-pi-3"
V2 = {"armv7l": "raspberry-pi-3", "x86_64": "generic-x86_64"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--driver", choices=["local", "docker"], default="local")
    arguments = parser.parse_args()
    folder, driver = arguments.folder.resolve(), arguments.driver
    folder.mkdir(exist_ok=True)
    answers = {"v1": on_v1(folder)}
    (root,) = folder.glob(f"edge-sim-*/{V1}")
    edge_sim("rescue", "--root", root, "-o", folder / "rescued", "--profile", V1)
    for nucleus in ("classic", "lite"):
        for architecture, profile in V2.items():
            out = folder / f"{nucleus}-{architecture}"
            boards = ("--from-profile", V1, "--to-profile", profile)
            edge_sim("migrate", folder / "rescued", *boards, "--target", nucleus, "-o", out, status=3)
            answers[f"{nucleus} {architecture}"] = on_v2(out, nucleus, profile, driver)
    for board, answer in sorted(answers.items()):
        print(f"{board:<15} {json.dumps(answer)}")
    if len({json.dumps(answer) for answer in answers.values()}) > 1:
        sys.exit("the predictions differ")


def edge_sim(*words: object, status: int = 0, **variables: str) -> str:
    command = [sys.executable, "-m", "edge_sim", *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **variables})
    if done.returncode != status:
        sys.exit(f"edge-sim {words[0]} ended with status {done.returncode}, not {status}\n{done.stdout}")
    return done.stdout


def on_v1(folder: Path) -> Any:
    """Deploy and invoke on a simulated V1 board, whose root directory stays in the folder; return the answer."""
    report = json.loads(edge_sim("run", HERE, "--profile", V1, "--keep", "--format", "json", TMPDIR=str(folder)))
    (function,) = report["boards"][0]["functions"]
    return function["result"]


def on_v2(out: Path, nucleus: str, profile: str, driver: str) -> Any:
    """Run the migrated components on a board of the profile, send the event, and return what they answer."""
    event = json.dumps({"images": 60})
    boards = ("--target", nucleus, "--profile", profile, "--driver", driver)
    waits = ("--answers", 1, "--wait", 120, "--format", "json")
    outcome = json.loads(edge_sim("nucleus", out, *boards, "--send", f"images/new={event}", *waits))
    (sent,) = outcome["sent"]
    assert (sent["to"], sent["topic"]) == ("IoT Core", "images/digits"), sent
    return json.loads(sent["payload"])


if __name__ == "__main__":
    main()
