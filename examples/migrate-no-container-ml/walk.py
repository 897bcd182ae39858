"""From a V1 board by rescue and migrate to both V2 trees, and the function's predictions on all three.

    sudo python3 walk.py FOLDER [--root BOARD]

Lays a V1 board below FOLDER (or takes BOARD, which the group has been applied to), rescues its group, migrates that to
nucleus classic and nucleus lite, lays the artifacts out as each nucleus would, and calls the handler on all three
trees, as the account that it would have there. Needs root, for other accounts' files, and ``edge-sim`` on PATH.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
EVENT = json.dumps({"images": 60})
BOARDS = ("--from-profile", "raspberry-pi-3", "--to-profile", "raspberry-pi-4")
ROOTS = {"classic": "greengrass/v2", "lite": "var/lib/greengrass"}
ACCOUNTS = {"v1": (998, 997, [100]), "classic": (998, 997, []), "lite": (996, 996, [])}
"""UID, GID and further groups of the function's process: V1 lends it the model's group, V2 does not."""
NUCLEUS = {"classic": (0, 0), "lite": (995, 995)}
"""Whose the nucleus's own folders are; on lite the group of components' files as well."""
FILE, FOLDER = 0o440, 0o755
"""Modes of an artifact with Read OWNER, Execute NONE, and of every folder above it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--root", type=Path)
    given = parser.parse_args()
    given.folder.mkdir(exist_ok=True)
    root = given.root or v1_board(given.folder / "v1")
    edge_sim("rescue", "--root", root, "-o", given.folder / "rescued", "--profile", "raspberry-pi-3")
    answers = {}
    for nucleus in ROOTS:
        out = given.folder / f"to-{nucleus}"
        edge_sim("migrate", given.folder / "rescued", *BOARDS, "--target", nucleus, "-o", out, status=3)
        answers[nucleus] = on_v2(nucleus, out, given.folder / nucleus)
    answers["v1"] = on_v1(root, given.folder / "to-classic")
    for tree, answer in sorted(answers.items()):
        print(f"{tree:<8} {answer}")
    if len({json.dumps(answer) for answer in answers.values()}) > 1:
        sys.exit("the predictions differ")


def edge_sim(*words: object, status: int = 0) -> None:
    command = [sys.executable, "-m", "edge_sim", *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL)
    if done.returncode != status:
        sys.exit(f"edge-sim {words[0]} ended with status {done.returncode}, not {status}")


def v1_board(root: Path) -> Path:
    for name in ("etc", "greengrass/ggc"):
        (root / name).mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nggc_user:x:998:997::/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nggc_group:x:997:\nusers:x:100:\n")
    edge_sim("apply", HERE, "--root", root)
    return root


def on_v1(root: Path, out: Path) -> Any:
    """Call the handler with the prefix directory that V1 made, whose links lead to the model below the board's root."""
    deployed = root / "greengrass/ggc/deployment"
    prefix = root / "prefix"
    link = deployed / "workdir/read-digits/models/digits"
    (prefix / "models").mkdir(parents=True, exist_ok=True)
    (prefix / "models/digits").symlink_to(root / str(link.readlink()).lstrip("/"))
    code = next((deployed / "lambda").iterdir())
    environment = {"AWS_GG_RESOURCE_PREFIX": str(prefix), "EDGE_SIM_HANDLER": "read_digits.function_handler"}
    return call("v1", out / "components/read-digits/artifacts/entry_point.py", code, environment)


def on_v2(nucleus: str, out: Path, root: Path) -> Any:
    """Lay the component's artifacts out as the nucleus does, and call the handler with its recipe's environment."""
    recipe = yaml.safe_load((out / "components/read-digits/recipe.yaml").read_text())
    name, version, manifest = recipe["ComponentName"], recipe["ComponentVersion"], recipe["Manifests"][0]
    packages = root / ROOTS[nucleus] / "packages"
    plain, unpacked = (packages / part / name / version for part in ("artifacts", "artifacts-unarchived"))
    for artifact in manifest["Artifacts"]:
        source = out / "components" / name / "artifacts" / artifact["Uri"].rpartition("/")[2]
        if artifact["Unarchive"] == "ZIP":
            with zipfile.ZipFile(source) as archive:
                archive.extractall(unpacked / source.stem)
        else:
            plain.mkdir(parents=True)
            (plain / source.name).write_bytes(source.read_bytes())
    own(nucleus, root, (plain, unpacked))
    texts = {key: str(value) for key, value in manifest["Lifecycle"]["Setenv"].items()}
    environment = {key: text.replace("{artifacts:decompressedPath}", str(unpacked)) for key, text in texts.items()}
    return call(nucleus, plain / "entry_point.py", unpacked / "code", environment)


def own(nucleus: str, root: Path, component: tuple[Path, ...]) -> None:
    """Give the nucleus's folders and the component's files their owners and modes."""
    owner, group = NUCLEUS[nucleus]
    uid, gid, _ = ACCOUNTS[nucleus]
    for path in [root, *sorted(root.rglob("*"))]:
        inside = any(path != top and top in path.parents for top in component)
        os.chown(path, uid if inside else owner, gid if inside and nucleus == "classic" else group)
        path.chmod(FOLDER if path.is_dir() else FILE)


def call(tree: str, entry: Path, code: Path, environment: dict[str, str]) -> Any:
    uid, gid, groups = ACCOUNTS[tree]
    command = [sys.executable, "-B", "-c", entry.read_text(), str(code), "--once", EVENT]
    done = subprocess.run(
        command, env=environment, user=uid, group=gid, extra_groups=groups, stdout=subprocess.PIPE, check=True, cwd="/"
    )
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
