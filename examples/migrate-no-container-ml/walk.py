"""From a V1 board by rescue and migrate to a V2 board: the function's predictions on V1, on classic and on lite.

    sudo python3 walk.py FOLDER [--root BOARD]

Lays a V1 board below FOLDER (or takes BOARD, which the group has been applied to) and calls the handler there. Then
rescues the group from the board, migrates it to nucleus classic and nucleus lite, and runs what came of it on the
stand-in for a V2 core, as an armv7l and as an x86_64 board: a message on images/new, and the answer on images/digits.
Needs root, for other accounts' files, and the packages of edge-sim's extra dev (awsiotsdk).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
EVENT = json.dumps({"images": 60})
BOARDS = ("--from-profile", "raspberry-pi-3", "--to-profile", "raspberry-pi-4")
USERS = "root:x:0:0::/root:/bin/sh\nggc_user:x:998:997::/:/bin/sh\ngg_component:x:996:996::/:/bin/sh\n"
GROUPS = "root:x:0:\nggc_group:x:997:\ngg_component:x:996:\nusers:x:100:\n"
V1_PROCESS = (998, 997, [100])
"""UID, GID and further groups of the function's process on V1, which lends it the model's group."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--root", type=Path)
    given = parser.parse_args()
    given.folder.mkdir(exist_ok=True)
    root = given.root or board(given.folder / "v1")
    if not given.root:
        edge_sim("apply", HERE, "--root", root)
    edge_sim("rescue", "--root", root, "-o", given.folder / "rescued", "--profile", "raspberry-pi-3")
    answers = {}
    for nucleus in ("classic", "lite"):
        out = given.folder / f"to-{nucleus}"
        edge_sim("migrate", given.folder / "rescued", *BOARDS, "--target", nucleus, "-o", out, status=3)
        for architecture in ("armv7l", "x86_64"):
            there = board(given.folder / f"{nucleus}-{architecture}")
            answers[f"{nucleus} {architecture}"] = on_v2(nucleus, architecture, out, there)
    entry = given.folder / "to-classic/components/read-digits/artifacts/entry_point.py"
    answers["v1"] = on_v1(root, entry)
    for tree, answer in sorted(answers.items()):
        print(f"{tree:<15} {json.dumps(answer)}")
    if len({json.dumps(answer) for answer in answers.values()}) > 1:
        sys.exit("the predictions differ")


def edge_sim(*words: object, status: int = 0) -> str:
    command = [sys.executable, "-m", "edge_sim", *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != status:
        sys.exit(f"edge-sim {words[0]} ended with status {done.returncode}, not {status}\n{done.stdout}")
    return done.stdout


def board(root: Path) -> Path:
    """Make a board with the accounts that V1 and, by board.sh, V2 have."""
    for name in ("etc", "greengrass/ggc"):
        (root / name).mkdir(parents=True)
    (root / "etc/passwd").write_text(USERS)
    (root / "etc/group").write_text(GROUPS)
    return root


def on_v1(root: Path, entry: Path) -> Any:
    """Call the handler as V1's process, with a prefix whose links lead to the model below the board's root."""
    deployed = root / "greengrass/ggc/deployment"
    prefix = root / "prefix"
    link = deployed / "workdir/read-digits/models/digits"
    (prefix / "models").mkdir(parents=True, exist_ok=True)
    (prefix / "models/digits").symlink_to(root / str(link.readlink()).lstrip("/"))
    code = next((deployed / "lambda").iterdir())
    environment = {"AWS_GG_RESOURCE_PREFIX": str(prefix), "EDGE_SIM_HANDLER": "read_digits.function_handler"}
    uid, gid, groups = V1_PROCESS
    command = [sys.executable, "-B", "-c", entry.read_text(), str(code), "--once", EVENT]
    done = subprocess.run(
        command, env=environment, user=uid, group=gid, extra_groups=groups, stdout=subprocess.PIPE, check=True, cwd="/"
    )
    return json.loads(done.stdout)


def on_v2(nucleus: str, architecture: str, out: Path, root: Path) -> Any:
    """Run the migrated components, send the event, and return what they answer."""
    words = ("--root", root, "--target", nucleus, "--architecture", architecture)
    told = json.loads(
        edge_sim("nucleus", out, *words, "--send", f"images/new={EVENT}", "--answers", 1, "--format", "json")
    )
    (sent,) = told["sent"]
    assert (sent["to"], sent["topic"]) == ("IoT Core", "images/digits"), sent
    return json.loads(sent["payload"])


if __name__ == "__main__":
    main()
