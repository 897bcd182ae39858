"""The deployer on a board in a temporary directory, as whoever runs the tests."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_sim.agent import crashpoints
from edge_sim.agent.archives import ArchiveError
from edge_sim.agent.deployment import changeover, state
from edge_sim.agent.deployment.deployer import DeploymentResult, deploy, group_of
from edge_sim.agent.deployment.layout import differences, layout
from edge_sim.agent.host import HostError
from edge_sim.agent.http_error import HttpError
from edge_sim.errors import EdgeSimError, InvalidDefinitionError, UnsupportedEnvironmentError
from edge_sim.facts import HostFacts
from edge_sim.greengrass.tree import BELOW
from tests.archive_build import entry, tgz
from tests.deployments import CODE, FLAT_ZIP, MODEL, OTHER, Artifacts, board, document, owner, picture
from tests.fakes_host import RecordingHost

TOP = "/greengrass/ggc/deployment"


class Board:
    """A root directory, its facts, and a store to deploy from."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.facts: HostFacts = board(root)
        self.store = Artifacts()

    def deploy(self, made: dict[str, Any], *, host: RecordingHost | None = None, **more: Any) -> DeploymentResult:
        host = host or RecordingHost(self.root)
        return deploy(group_of(made), made, self.root, self.facts, host, self.store.fetch, **more)

    def document(self, *ids: str, data: bytes = MODEL) -> dict[str, Any]:
        """Models of the test's own group (so that a plain user may set it), one No-container function."""
        mine = str(os.getgid() or 997)
        models = {id_: (data, f"{id_}.tar.gz", owner(mine)) for id_ in ids}
        return document(self.store, models, functions={"predict": ("NoContainer", ids)})

    def picture(self) -> dict[str, tuple[object, ...]]:
        return picture(self.root)


@pytest.fixture
def on(tmp_path: Path) -> Board:
    return Board(tmp_path)


def test_first_deployment(on: Board) -> None:
    result = on.deploy(on.document("m1", "m2"))
    assert (result.unpacked, result.reused) == (3, 0)
    assert [c.path for c in result.contents["m1"]] == ["net", "net/weights.bin", "net/run.sh"]
    top = on.root / TOP[1:]
    link = top / "workdir/predict/models/m1"
    assert link.is_symlink()
    assert (on.root / str(link.readlink())[1:] / "net/weights.bin").read_bytes() == b"w" * 3000
    code = top / "lambda/arn:aws:lambda:eu-west-1:123456789012:function:predict:1/handler.py"
    assert code.read_bytes().startswith(b"def handler")
    assert json.loads((top / "group/group.json").read_text())["GroupDefinitions"]
    assert not (on.root / "greengrass" / BELOW.staging).exists()


def test_every_package_is_reported_while_it_is_unpacked(on: Board) -> None:
    steps: list[str] = []
    made = on.document("m1")
    on.deploy(made, progress=steps.append)
    whole = {f"unpacking resource m1: {entry['Size']} bytes so far" for entry in made["Artifacts"].values()}
    assert whole & {*steps}
    assert "unpacking function predict: 0 bytes so far" in steps


def test_the_disk_is_as_planned(on: Board) -> None:
    result = on.deploy(on.document("m1"))
    rows = layout(on.root, on.facts, result.group, result.entries)
    found = differences(result.entries, rows, TOP)
    if os.geteuid() != 0:  # a plain user may not give files to root, and says so
        found = [text for text in found if "uid " not in text and "gid " not in text]
        assert result.not_proven
    assert found == []
    weights = next(row for row in rows if row.path.endswith("weights.bin")).as_json()
    assert (weights["resource"], weights["mode"], weights["type"]) == ("m1", "0440", "file")
    handler = next(row for row in rows if row.path.endswith("handler.py"))
    assert handler.function == "predict"
    assert [row.path for row in rows] == sorted((row.path for row in rows), key=lambda p: p.split("/"))


def test_differences_name_what_is_wrong(on: Board) -> None:
    result = on.deploy(on.document("m1"))
    top = on.root / TOP[1:]
    (top / "stray").write_text("x")
    (top / "group/group.json").chmod(0o644)
    link = top / "workdir/predict/models/m1"
    link.unlink()
    link.symlink_to("/etc")
    (top / "lambda").rename(top / "gone")
    rows = layout(on.root, on.facts, result.group, result.entries)
    found = differences(result.entries, rows, TOP, owners=os.geteuid() == 0)
    assert f"{TOP}/stray: is not part of the deployment" in found
    assert f"{TOP}/group/group.json: mode 0644 → 0600" in found
    assert any(text.startswith(f"{TOP}/workdir/predict/models/m1: target /etc → ") for text in found)
    assert f"{TOP}/lambda: is missing" in found


def test_what_did_not_change_is_not_fetched_again(on: Board) -> None:
    on.deploy(on.document("m1"))
    before = on.picture()
    on.store.fetched.clear()
    result = on.deploy(on.document("m1"))
    assert (result.unpacked, result.reused, on.store.fetched) == (0, 2, [])
    after = on.picture()
    assert before.keys() == after.keys()
    assert [p for p in before if before[p] != after[p] and not p.endswith(".json")] == []
    assert result.contents == state.read(on.root / "greengrass").contents(result.group, on.facts)


def test_what_was_tampered_with_is_fetched_again(on: Board) -> None:
    result = on.deploy(on.document("m1"))
    weights = next(on.root.rglob("weights.bin"))
    weights.chmod(0o666)
    assert on.deploy(on.document("m1")).unpacked == 1
    assert next(on.root.rglob("weights.bin")).stat().st_mode & 0o777 == 0o440
    assert result.contents


def test_new_content_replaces_old_and_the_rest_goes(on: Board) -> None:
    on.deploy(on.document("m1", "m2"))
    foreign = on.root / TOP[1:] / "mlmodel_public/by-hand"
    foreign.mkdir()
    result = on.deploy(on.document("m1", data=OTHER))
    assert (result.unpacked, result.reused) == (1, 1)
    assert not list(on.root.rglob("weights.bin"))
    assert len(list(on.root.rglob("other.bin"))) == 1
    assert sorted(p.name for p in (on.root / TOP[1:] / "workdir/predict/models").iterdir()) == ["m1"]
    assert foreign.is_dir()


def test_reset_removes_everything_of_ours(on: Board) -> None:
    on.deploy(on.document("m1"))
    on.deploy(document(Artifacts(), {}))
    kept = {p.name for p in (on.root / TOP[1:]).rglob("*")}
    assert kept == {"group", "group.json", "lambda", "mlmodel", "mlmodel_public", "workdir"}


def nested_without_directory(on: Board) -> dict[str, Any]:
    return on.document("m1", data=tgz(entry("squeezenet/net.params", b"x")))


def unknown_group(on: Board) -> dict[str, Any]:
    return document(on.store, {"m1": (MODEL, "m.tar.gz", owner("nosuchgroup"))})


def enormous_gid(on: Board) -> dict[str, Any]:
    return document(on.store, {"m1": (MODEL, "m.tar.gz", owner("4294967295"))})


def hostile_archive(on: Board) -> dict[str, Any]:
    return on.document("m1", data=tgz(entry("good"), entry("../evil")))


def missing_artifact(on: Board) -> dict[str, Any]:
    return {**on.document("m3"), "Artifacts": {}}


def gone_from_the_store(on: Board) -> dict[str, Any]:
    made = on.document("m4")
    on.store.by_url.clear()
    return made


def other_digest(on: Board) -> dict[str, Any]:
    made = on.document("m1", data=OTHER)
    for one in made["Artifacts"].values():
        one["Sha256"] = "0" * 64
    return made


def escaping_id(on: Board) -> dict[str, Any]:
    made = on.document("m1", data=OTHER)
    resource = made["Group"]["GroupDefinitions"]["Resources"]["Content"][0]
    made["Artifacts"][".."] = made["Artifacts"][resource["ArtifactArn"]]
    resource["ArtifactArn"] = ".."
    return made


Make = Callable[[Board], dict[str, Any]]


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (unknown_group, InvalidDefinitionError, "resource m1: group 'nosuchgroup' does not exist on this board"),
        (enormous_gid, InvalidDefinitionError, "resource m1: its GroupOwner is larger than any GID"),
        (
            nested_without_directory,
            ArchiveError,
            (
                r"Error while processing\. Error while unpacking the file from /tmp/greengrass/artifacts/\S+ to "
                r"(/greengrass/ggc/deployment/mlmodel_public/\S+), error: "
                r"open \1/squeezenet/net\.params: no such file or directory$"
            ),
        ),
        (hostile_archive, ArchiveError, "resource m1: unable to download the artifact .*the name “../evil”"),
        (missing_artifact, InvalidDefinitionError, "has no artifact arn:"),
        (gone_from_the_store, HttpError, "resource m4: .*error while downloading: .*404"),
        (other_digest, InvalidDefinitionError, "is not the one that the group names"),
        (escaping_id, InvalidDefinitionError, "would lie outside"),
        (lambda on: {}, InvalidDefinitionError, "has no Group"),
    ],
)
def test_a_refusal_leaves_the_board_as_it_was(on: Board, make: Make, kind: type[EdgeSimError], words: str) -> None:
    on.deploy(on.document("m1"))
    before = on.picture()
    on.store.fetched.clear()
    with pytest.raises(kind, match=words):
        on.deploy(make(on))
    assert on.picture() == before
    if make in (unknown_group, enormous_gid):
        assert on.store.fetched == [], "refused before anything is fetched"


def test_v1s_words_hold_the_boards_path(on: Board) -> None:
    with pytest.raises(ArchiveError) as refused:
        on.deploy(nested_without_directory(on))
    assert refused.value.code == "NO_PARENT"
    assert refused.value.hint is not None
    assert "tar -zcvf" in refused.value.hint
    assert not (on.root / TOP[1:]).exists(), "not even the skeleton is left"


@pytest.mark.parametrize("verb", ["chown", "sync"])
@pytest.mark.parametrize("fresh", [True, False])
def test_a_failing_verb_takes_everything_back(on: Board, fresh: bool, verb: str) -> None:
    """Whatever call of the verb fails: the old layout, byte for byte, until the deployment stands."""
    if not fresh:
        on.deploy(on.document("m1", "m2"))
    before = on.picture()
    made = on.document("m2", "m3", data=OTHER)
    for number in range(1, 100):
        try:
            result = on.deploy(made, host=RecordingHost(on.root, fail_on=(verb, number)))
        except HostError:
            assert on.picture() == before, number
        else:
            break
    assert number > (2 if verb == "chown" else 5)
    if verb == "sync":  # group.json's own directory comes last, when the deployment stands
        assert any("EIO" in sentence for sentence in result.not_proven), "what failed after the commit is said"
    assert len(list(on.root.rglob("other.bin"))) == 2


class Killed(BaseException):
    """Stands for a power cut: nothing that cleans up may run."""


@pytest.mark.slow
def test_killed_anywhere_is_old_or_new(on: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on.deploy(on.document("m1", "m2"))
    before = on.picture()
    made = on.document("m2", "m3", data=OTHER)
    points: list[str] = []
    for number in range(100):
        reached: list[str] = []

        def cut(point: str, reached: list[str] = reached, number: int = number) -> None:
            reached.append(point)
            if len(reached) == number + 1:
                raise Killed(point)

        with monkeypatch.context() as patched:
            patched.setattr(changeover, "recover", _only_at_the_start())
            try:
                with crashpoints.armed(cut):
                    on.deploy(made)
            except Killed as killed:
                points.append(str(killed))
            else:
                break
        changeover.recover(on.root / "greengrass")
        committed = points[-1] == "committed"
        assert committed or on.picture() == before, points[-1]
    assert points[0] == "journal"
    assert points[-1] == "committed"
    verbs = {point.lstrip("0123456789 ") for point in points}
    assert verbs - set(crashpoints.DEPLOYMENT_POINTS) == set()
    assert {"journal", "aside", "in place", "synced", "committed"} <= verbs
    assert len(list(on.root.rglob("other.bin"))) == 2


def _only_at_the_start() -> Callable[[Path], None]:
    """Let the first recovery (at the start of the run) happen, and none after the kill."""
    real = changeover.recover
    calls: list[Path] = []

    def recover(gg: Path) -> None:
        calls.append(gg)
        if len(calls) == 1:
            real(gg)

    return recover


def test_stale_staging_is_swept(on: Board) -> None:
    stale = on.root / "greengrass" / BELOW.staging
    (stale / "new/0/deep").mkdir(parents=True)
    (stale / "new/0/deep").chmod(0o500)
    on.deploy(on.document("m1"))
    assert not stale.exists()


def test_one_at_a_time(on: Board) -> None:
    with changeover.exclusive(on.root / "greengrass"), pytest.raises(UnsupportedEnvironmentError, match="another"):
        on.deploy(on.document("m1"))


def test_ctrl_c_while_fetching(on: Board) -> None:
    on.deploy(on.document("m1"))
    before = on.picture()

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    made = on.document("m2")
    with pytest.raises(KeyboardInterrupt):
        deploy(group_of(made), made, on.root, on.facts, RecordingHost(on.root), interrupted)
    assert on.picture() == before


def test_unreadable_record(on: Board) -> None:
    on.deploy(on.document("m1"))
    (on.root / "greengrass" / BELOW.record).write_text("{")
    with pytest.raises(EdgeSimError, match="record cannot be read"):
        on.deploy(on.document("m1"))


def test_a_group_this_process_may_not_give_is_said(on: Board) -> None:
    made = document(on.store, {"m1": (FLAT_ZIP, "m.zip", owner("ml", "rw"))})
    host = RecordingHost(on.root, fail_on="chown", error=1)
    result = on.deploy(made, host=host)
    assert "resource m1: the owner 0:5150 is not proven here: this process may not set the user and the group" in (
        result.not_proven
    )
    labels = next(on.root.rglob("labels.txt")).stat()
    assert (labels.st_uid, labels.st_mode & 0o777) == (os.geteuid(), 0o660)
    assert state.read(on.root / "greengrass").not_proven == result.not_proven


def test_no_account_for_models_without_owner(on: Board) -> None:
    on.facts = replace(on.facts, users={})
    made = document(on.store, {"m1": (MODEL, "m.tar.gz", None)})
    with pytest.raises(InvalidDefinitionError, match="ggc_user"):
        on.deploy(made)
    assert CODE
