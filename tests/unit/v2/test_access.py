"""Who can open what on V2, against V1: every reason with a case where it applies, and one where it must not."""

from __future__ import annotations

from typing import Any

import pytest

from edge_sim.facts import User
from edge_sim.greengrass.access import Right
from edge_sim.greengrass.plan import Content
from edge_sim.greengrass.rows import Answer
from edge_sim.v2.access import REASONS, WHY, AccessCell, cell
from edge_sim.v2.components import components
from edge_sim.v2.move import Move, PackageFacts
from edge_sim.v2.nucleus import MODES
from edge_sim.v2.tree import file_mode, ids, tree
from tests.unit.greengrass.build import access, char, device, directory, function, owner, s3, secret, volume
from tests.unit.v2.build import CONTAINER, move, new_board

MODEL = s3("m", owner=owner("video"), to="/models/m")
WRITABLE = s3("m", owner=owner("video", "rw"), to="/models/m")
ROBOT = {"Uid": 1001, "Gid": 1001}
KNOWN = {"m": PackageFacts(file_name="m.zip", contents=(Content(path="net/w.bin", type="file"),))}
NONE: tuple[Right, ...] = ()
READ: tuple[Right, ...] = ("read",)
FOLDER: tuple[Right, ...] = ("read", "list", "execute")
FULL: tuple[Right, ...] = ("read", "write", "list", "execute")
LITE: dict[str, Any] = {"nucleus": "lite"}


def of(given: Move, rights: tuple[Right, ...] | None, fid: str = "f") -> AccessCell:
    """What the nucleus gives function ``fid`` with the only resource, where V1 gave ``rights``."""
    chosen = next(one for one in given.group.functions if one.id == fid)
    answers = {right: Answer(computed=right in (rights or ())) for right in FULL}
    before = access(**answers, unknown=None if rights is not None else "nobody looked")
    return cell(given, chosen, given.group.resources[0], before, tree(given))


def model(permission: str | None = None, **more: Any) -> Move:
    return move(
        functions=[function("f", ("m", permission)), function("g")], resources=[MODEL], models_known=KNOWN, **more
    )


def local(resource: dict[str, Any], *, gid: int = 20, mode: int = 0o660, **more: Any) -> Move:
    paths = {"/": directory(), "/dev": directory(), "/dev/ttyAMA0": char(mode, gid), "/srv": directory()}
    paths["/srv/readings"] = directory(0o750, 0, gid)
    boards = new_board(paths=paths, **more.pop("to", {}))
    functions = [function("f", (resource["Id"], "rw"), **CONTAINER)]
    return move(functions=functions, resources=[resource], to=boards, **more)


def shared(first: str, second: str, run_as: dict[str, int]) -> Move:
    """A model of two functions, the second of which runs as ``run_as``, and a third that does not have it."""
    functions = [
        function(first, ("m", None)),
        function(second, ("m", None), run_as=run_as),
        function("g", run_as=ROBOT),
    ]
    return move(functions=functions, resources=[MODEL], models_known=KNOWN)


NAMED = device(GroupOwner="dialout")
MINE = {"users": {"root": User(uid=0, gid=0), "gg_component": User(uid=7, gid=20)}, "members": {}}
APPLIES: dict[str, tuple[AccessCell, AccessCell]] = {
    "same": (of(model(), FULL, "g"), of(model(), NONE)),
    "group owner lost": (of(local(NAMED), ("read", "write")), of(local(NAMED, mode=0o666), ("read", "write"))),
    "files are read-only": (
        of(move(functions=[function("f", ("m", None))], resources=[WRITABLE], models_known=KNOWN), FULL),
        of(model(), FOLDER),
    ),
    "files are open": (of(shared("f", "h", {"Uid": 7}), NONE, "g"), of(shared("f", "h", {}), NONE, "g")),
    "it owns the folders": (of(model(), FOLDER), of(model(), FULL)),
    "one account owns it": (of(model(), NONE, "g"), of(model(), FULL, "g")),
    "folders are open": (of(shared("f", "h", {}), NONE, "g"), of(shared("f", "h", {"Uid": 7}), NONE, "g")),
    "container lost": (
        of(local(volume(), gid=0, **LITE), FULL),
        of(local(volume(), gid=20, **LITE, to=MINE), FOLDER),
    ),
    "account differs": (
        of(local(device(), to={"users": {"root": User(uid=0, gid=0)}, "groups": {}}), ("read", "write")),
        of(local(device(), mode=0o666), ("read", "write")),
    ),
    "cannot be moved": (
        of(move(functions=[function("f", ("m", None), ("secret", "ro"))], resources=[MODEL, secret()], **LITE), FOLDER),
        of(model(**LITE), FOLDER),
    ),
    "not known": (of(local(device(AutoAddGroupOwner=True)), ("read", "write")), of(model(), FOLDER)),
}


@pytest.mark.parametrize("reason", REASONS)
def test_a_reason_applies_and_does_not(reason: str) -> None:
    applies, not_here = APPLIES[reason]
    assert applies.reason == reason
    assert not_here.reason != reason


def test_the_list_of_reasons_is_closed() -> None:
    assert set(APPLIES) == set(REASONS) == set(WHY)


def test_a_lost_group_is_restored_by_a_line_for_the_right_account() -> None:
    assert APPLIES["group owner lost"][0].restores == "usermod -aG dialout ggc_user"
    odd = device(GroupOwner="a b;c")
    found = of(local(odd, to={"groups": {"a b;c": 20, "ggc_group": 995, "root": 0}}), ("read", "write"))
    assert found.restores == "usermod -aG 'a b;c' ggc_user"


def test_the_tree_is_the_sheets() -> None:
    for nucleus, group in (("classic", 995), ("lite", 998)):
        given = model(nucleus=nucleus)
        nodes, top = tree(given), f"{given.nucleus.root}/packages/artifacts-unarchived/f/1.0.0"
        who = ids(given)
        assert (nodes[top].uid, nodes[top].mode) == ({"classic": 0, "lite": 998}[nucleus], 0o755)
        file = nodes[f"{top}/models/models/m/net/w.bin"]
        assert (file.uid, file.gid, file.mode) == (who.uid, group, 0o440)
        inner = nodes[f"{top}/models/models/m/net"]
        assert (inner.uid, inner.mode) == (who.uid, 0o755)
        assert nodes[given.nucleus.work("f")].mode == 0o700


def test_the_permission_decides_the_mode() -> None:
    assert {read: MODES[read, "NONE"] for read in ("NONE", "OWNER", "ALL")} == {
        "NONE": 0o400,
        "OWNER": 0o440,
        "ALL": 0o444,
    }
    runs = PackageFacts(file_name="m.zip", contents=(Content(path="run", type="file", executable=True),))
    given = move(functions=[function("f", ("m", None))], resources=[MODEL], models_known={"m": runs})
    assert file_mode(components(given)[0], "models.zip") == 0o550
