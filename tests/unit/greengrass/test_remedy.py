"""Which right comes from what, and which change would turn an answer round."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from edge_sim.facts import AclEntry, Node
from edge_sim.greengrass.access import RIGHTS, Right, View, compute_access
from edge_sim.greengrass.blast import blast_radius
from edge_sim.greengrass.functions import Function
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.matrix import about, questions, row
from edge_sim.greengrass.plan import Content, model_directory, plan
from edge_sim.greengrass.process import FunctionProcess, Identity, function_process
from edge_sim.greengrass.remedy import AccessCase, by, fix
from edge_sim.greengrass.rules import refusals
from tests.unit.greengrass.build import board, char, device, directory, file, function, group, owner, s3, volume

MODEL = "ML_Model.S3_Object model"
Policy = tuple[str, str | None]
AUTO = "AutoAddGroupOwner: true in the GroupOwnerSetting of Local.Device s"
C = "GreengrassContainer"
CONTENTS = {name: (Content(path="weights", type="file"),) for name in ("model", "other")}


def case(made: Group, function_id: str, resource_id: str, **nodes: Node) -> AccessCase:
    chosen = next(f for f in made.functions if f.id == function_id)
    facts = board()
    planned = {entry.path: entry.node for entry in plan(made, facts, CONTENTS)}
    there = {**facts.paths, **planned, **{f"/{path.replace('__', '/')}": node for path, node in nodes.items()}}
    attached = any(r.id == resource_id for r, _ in made.attached(chosen))
    process = function_process(made, chosen, facts)
    return AccessCase(view=View(process, there, facts), resource=made.resource(resource_id), attached=attached)


def model_at(made: Group, resource_id: str) -> str:
    resource = made.resource(resource_id)
    assert resource is not None
    return f"{model_directory(board(), resource, made.artifacts[resource_id])}/weights"


def told(one: AccessCase, path: str, right: Right) -> str | None:
    return fix(one, compute_access(one.process, one.view.nodes, path), right, path)


def models(*functions: dict[str, Any], permission: str = "ro", gid: object = "video") -> Group:
    return group([s3(owner=owner(gid, permission)), s3("other", owner=owner("dialout"), to="/other")], list(functions))


def test_by_attachment_by_a_shared_gid_and_as_root() -> None:
    made = models(
        function("attached", ("model", None)),
        function("stranger"),
        function("sharing", run_as={"Gid": 44}),
        function("root", run_as={"Uid": 0}),
    )
    path = model_at(made, "model")
    assert by(case(made, "attached", "model"), path, "read") == "attachment"
    assert by(case(made, "sharing", "model"), path, "read") == "shared gid"
    assert by(case(made, "root", "model"), path, "read") == "root"
    assert not compute_access(
        case(made, "stranger", "model").process, case(made, "stranger", "model").view.nodes, path
    ).read


def test_by_world_bits_and_as_owner() -> None:
    made = group([volume(source="/srv/x")], [function("f")])
    assert by(case(made, "f", "volume", srv__x=file(0o644)), "/srv/x", "read") == "world bits"
    assert by(case(made, "f", "volume", srv__x=file(0o600, uid=995)), "/srv/x", "write") == "owner"


@pytest.mark.parametrize(
    ("policy", "isolation", "right", "change"),
    [
        (
            ("model", None),
            "NoContainer",
            "write",
            "GroupPermission: rw in the OwnerSetting of ML_Model.S3_Object model",
        ),
        (("model", None), "NoContainer", "execute", "pack the file of ML_Model.S3_Object model as executable"),
        (
            ("model", "ro"),
            C,
            "write",
            (
                "Permission: rw for ML_Model.S3_Object model in the ResourceAccessPolicies of f, "
                "and GroupPermission: rw in the OwnerSetting of ML_Model.S3_Object model"
            ),
        ),
        (None, "NoContainer", "read", "{ResourceId: model} in the ResourceAccessPolicies of f"),
        (
            None,
            C,
            "write",
            (
                "{ResourceId: model, Permission: rw} in the ResourceAccessPolicies of f, "
                "and GroupPermission: rw in the OwnerSetting of ML_Model.S3_Object model"
            ),
        ),
    ],
)
def test_what_would_allow_a_model(
    policy: tuple[str, str | None] | None, isolation: str, right: Right, change: str
) -> None:
    made = models(function("f", *([policy] if policy else []), isolation=isolation))
    path = "/models/digits/weights" if policy and isolation == C else model_at(made, "model")
    assert told(case(made, "f", "model"), path, right) == change


def changed(change: str, definition: dict[str, Any]) -> None:
    """Do what a change says, to a definition of the model ``model`` and the function ``f``."""
    data, policies = definition["model"], definition["policies"]
    for one in change.split(", and "):
        attach = re.fullmatch(
            r"\{ResourceId: model(?:, Permission: (r[ow]))?\} in the ResourceAccessPolicies of f", one
        )
        setting = re.search(r"GroupPermission: (r[ow])", one)
        if attach or one == f"Permission: rw for {MODEL} in the ResourceAccessPolicies of f":
            policies[:] = [("model", attach[1] if attach else "rw")]
        elif setting and one.endswith(f"OwnerSetting of {MODEL}"):
            data["owner"]["GroupPermission"] = setting[1]
        else:
            assert setting, one
            assert one.startswith("an OwnerSetting with a GroupOwner")
            data["owner"] = owner("video", setting[1])


@pytest.mark.parametrize("right", ["read", "write"])
@pytest.mark.parametrize("run_as", [{}, {"Uid": 1000, "Gid": 1000}])
@pytest.mark.parametrize("isolation", ["NoContainer", C])
@pytest.mark.parametrize("permission", [None, "ro", "rw"])
def test_a_definition_changed_as_told_is_one_that_v1_takes(
    permission: str | None, isolation: str, run_as: dict[str, int], right: Right
) -> None:
    """From every form that is taken, attached or not, one or two changes lead to access, and no rule refuses them."""
    tried = 0
    for policy in (None, ("model", None), ("model", "ro"), ("model", "rw")):
        definition: dict[str, Any] = {
            "model": {"owner": None if permission is None else owner("video", permission)},
            "policies": [] if policy is None else [policy],
        }
        for steps in range(4):
            resource = s3(owner=definition["model"]["owner"])
            made = group([resource], [function("f", *definition["policies"], isolation=isolation, run_as=run_as)])
            refused = [finding.message for finding in refusals(made, board())]
            if not steps and refused:
                break
            assert not refused, definition
            here = case(made, "f", "model")
            inside = "/models/digits/weights" if here.attached and isolation == C else model_at(made, "model")
            answer = compute_access(here.process, here.view.nodes, inside)
            if answer.grants(right):
                tried += 1
                break
            changed(str(fix(here, answer, right, inside)), definition)
        else:
            raise AssertionError(f"no end: {definition}")
    assert tried


def test_the_group_of_what_stops_is_lent_and_not_the_sources() -> None:
    made = group([volume(source="/srv/log")], [function("f", ("volume", "ro"), isolation=C)])
    nodes = {"srv__log": directory(0o755, gid=20), "srv__log__catalog": file(0o640, gid=44)}
    lending = "GroupOwner: video in the GroupOwnerSetting of Local.Volume volume"
    assert told(case(made, "f", "volume", **nodes), "/readings/catalog", "read") == lending
    nodes["srv__log__catalog"] = file(0o640, gid=4711)
    by_number = "RunAs with Gid 4711 (4711) for f"
    assert told(case(made, "f", "volume", **nodes), "/readings/catalog", "read") == by_number, "no name to lend it by"


@pytest.mark.parametrize(
    ("nodes", "right", "change"),
    [
        (
            {"dev__ttyAMA0": char(0o660, gid=20)},
            "read",
            AUTO,
        ),
        ({"dev__ttyAMA0": char(0o600)}, "write", "chmod o+w /dev/ttyAMA0"),
        ({"dev__ttyAMA0": char(0o060, gid=995)}, "execute", "chmod g+x /dev/ttyAMA0"),
    ],
)
def test_what_would_allow_a_device(nodes: dict[str, Node], right: Right, change: str) -> None:
    made = group([device("s")], [function("f", ("s", "rw"), isolation=C)])
    assert told(case(made, "f", "s", **nodes), "/dev/ttyAMA0", right) == change


def test_what_would_open_a_directory_on_the_way() -> None:
    made = group([volume(source="/srv/deep/data")], [function("f", ("volume", "ro"), isolation=C)])
    nodes = {"srv__deep": directory(0o750, gid=20), "srv__deep__data": directory(0o700)}
    assert told(case(made, "f", "volume", **nodes), "/readings", "read") == "chmod o+r /srv/deep/data"
    plain = group([], [function("f")])
    assert told(case(plain, "f", "none", **nodes), "/srv/deep/data", "read") == "chmod o+x /srv/deep"
    nodes["srv__deep__data"] = directory(0o755)
    assert told(case(plain, "f", "none", **nodes), "/srv/deep/data", "read") == "RunAs with Gid 20 (dialout) for f"


def test_what_is_missing_must_be_made() -> None:
    made = group([volume(source="/srv/none")], [function("f", ("volume", "ro"), isolation=C)])
    assert told(case(made, "f", "volume"), "/readings", "read") == "create /srv/none on the board before the deployment"


@pytest.mark.parametrize(
    ("run_as", "mode", "change"),
    [
        ({"Uid": 0}, 0o640, "RunAs with a Uid other than 0 for f"),
        ({"Gid": 20}, 0o640, "chgrp /srv/x to a group that f is not in"),
        ({}, 0o644, "chmod o-r /srv/x"),
        ({"Uid": 7}, 0o600, "RunAs with a Uid other than 7 for f"),
    ],
)
def test_what_would_close_an_open_file(run_as: dict[str, int], mode: int, change: str) -> None:
    made = group([volume(source="/srv/x")], [function("f", run_as=run_as)])
    one = case(made, "f", "volume", srv__x=file(mode, uid=7 if mode == 0o600 else 3, gid=20))
    assert told(one, "/srv/x", "read") == change


def test_local_resources_are_for_containers() -> None:
    made = group([volume(source="/srv/x")], [function("f")])
    change = "IsolationMode: GreengrassContainer for f, and volume attached with Permission: ro"
    assert told(case(made, "f", "volume", srv__x=file(0o600)), "/srv/x", "read") == change


def test_listing_a_file_is_no_fault() -> None:
    made = models(function("f", ("model", None)))
    assert told(case(made, "f", "model"), model_at(made, "model"), "list") is None


CHMOD = re.compile(r"chmod ([ugoa])\+([rwx]+) (.+)")


def follow(change: str, nodes: dict[str, Node], process: FunctionProcess) -> FunctionProcess:
    """Do what a change says, to the nodes or to the process."""
    match = CHMOD.fullmatch(change)
    if match:
        whose = {"u": 0o100, "g": 0o010, "o": 0o001, "a": 0o111}[match[1]]
        bits = sum({"r": 4, "w": 2, "x": 1}[letter] for letter in match[2])
        node = nodes[match[3]]
        mode = node.mode | bits * whose
        nodes[match[3]] = Node(type=node.type, uid=node.uid, gid=node.gid, mode=mode, target=node.target)
        return process
    gid = int(re.fullmatch(r"RunAs with Gid (\d+) .*", change)[1])  # type: ignore[index]
    identity = Identity(uid=process.identity.uid, gid=gid, groups=process.identity.groups)
    return FunctionProcess(**{**vars(process), "identity": identity})


@pytest.mark.parametrize("trees", [300, pytest.param(3000, marks=pytest.mark.slow)])
def test_following_the_changes_leads_to_access(trees: int) -> None:
    """On random trees: what is denied by bits is granted after a few of the changes that are named, one at a time."""
    dice = random.Random(20261123)
    followed = 0
    for _ in range(trees):
        nodes = {"/": directory()}
        path = ""
        for depth in range(dice.randrange(1, 5)):
            path += f"/n{depth}"
            mode, ids = dice.randrange(0o1000), (dice.randrange(4), dice.randrange(4))
            nodes[path] = Node(type="directory", uid=ids[0], gid=ids[1], mode=mode)
        if dice.random() < 0.5:
            last = nodes[path]
            nodes[path] = file(last.mode, last.uid, last.gid)
        identity = Identity(uid=dice.randrange(4), gid=dice.randrange(1, 4), groups=())
        process = FunctionProcess(
            function=Function(id="f", arn="arn"),
            isolation="NoContainer",
            identity=identity,
            mounts=(),
            masked=(),
            environment={},
            working_directory="/",
            code_directory="/",
        )
        for right in RIGHTS:
            now, steps = dict(nodes), 0
            one = process
            while not compute_access(one, now, path).grants(right):
                where = AccessCase(view=View(one, now, board()), resource=None, attached=False)
                change = told(where, path, right)
                if change is None:  # listing a file
                    assert (right, now[path].type) == ("list", "file")
                    break
                one = follow(change, now, one)
                steps += 1
                assert steps < 20, (change, now, identity)
            followed += bool(steps)
    assert followed > trees


def test_rows_say_what_each_right_comes_from() -> None:
    made = models(function("f", ("model", None)), function("sharing", run_as={"Gid": 44}), permission="rw")
    facts = board()
    nodes = {**facts.paths, **{entry.path: entry.node for entry in plan(made, facts, CONTENTS)}}
    found = {}
    for one in made.functions:
        process = function_process(made, one, facts)
        for question in questions(made, process, facts, lambda place: iter(("", "/weights")), every=True):
            found[one.id, question.resource and question.resource.id] = row(View(process, nodes, facts), question)
    assert [answer.by for answer in found["f", "model"].answers.values()] == ["attachment"] * 4
    assert (found["f", "model"].ok, found["f", "other"].ok) == (True, True)
    shared = found["sharing", "model"]
    assert (shared.ok, shared.write.by) == (False, "shared gid")
    change = f"attach {MODEL} to sharing, or give it a GroupOwner that sharing is not in"
    assert shared.write.fix == change
    assert shared.chain[0] == "search: / is 0755 0:0; the process uses the other permission bits"
    process = function_process(made, made.functions[0], facts)
    free = row(View(process, nodes, facts), about(made, process, facts, "/dev/ttyAMA0"))
    assert (free.ok, free.list.computed, free.read.computed) == (None, None, False)


def test_a_container_sees_only_what_is_attached() -> None:
    made = group([device("serial"), volume(source="/srv/x")], [function("f", isolation=C)])
    one = case(made, "f", "serial", dev__ttyAMA0=char(0o666), srv__x=file(0o666), sys=directory(), sys__k=file(0o444))
    answer = compute_access(one.process, one.view.nodes, "/dev/ttyAMA0")
    assert (answer.read, answer.reasons) == (False, ("/dev/ttyAMA0: a container's /dev holds only what is attached",))
    assert not compute_access(one.process, one.view.nodes, "/sys/k").read
    assert compute_access(one.process, one.view.nodes, "/srv/x").read, "V1's overlay shows the whole board"


def test_the_blast_radius_names_who_and_what_else() -> None:
    resources = [
        s3(owner=owner("20")),
        s3("second", owner=owner("20"), to="/second"),
        s3("third", owner=owner("995"), to="/3"),
    ]
    policies = [("model", None), ("second", None)]
    made = group(resources, [function("f", *policies), function("boss", run_as={"Uid": 0})])
    found = blast_radius(made, board(members={20: ("pi",)}))
    dialout, own = found.groups
    assert (dialout.gid, dialout.names, dialout.accounts) == (20, ("dialout",), ("pi",))
    assert (dialout.models, dialout.functions, dialout.also) == (
        ("model", "second"),
        ("f",),
        ("/dev/ttyAMA0",),
    )
    assert found.as_json()["shared"] == [{"gid": 20, "models": ("model", "second")}]
    assert found.root_functions == ("boss",)
    assert own.accounts == ("ggc_user",)
    assert "GID 20 (dialout) lets pi open model, second" in dialout.warnings


def test_the_blast_radius_follows_run_as_and_ends_at_a_containers_devices() -> None:
    runs_as = function("f", run_as={"Gid": 20})
    (dialout,) = blast_radius(group([], [runs_as, function("plain")]), board()).groups
    assert (dialout.functions, dialout.also) == (("f",), ("/dev/ttyAMA0",))
    assert dialout.warnings == ("GID 20 (dialout) opens /dev/ttyAMA0 to its functions",)
    boxed = group([s3(owner=owner("20"))], [function("f", ("model", None), isolation=C)])
    (dialout,) = blast_radius(boxed, board()).groups
    assert (dialout.also, dialout.warnings) == ((), ()), "its /dev holds only what is attached"
    everybodys = board(paths={**board().paths, "/dev/ttyAMA0": char(0o666)})
    (dialout,) = blast_radius(group([], [runs_as]), everybodys).groups
    assert dialout.also == (), "it takes no group to open it"


def test_a_volume_of_the_whole_board_attaches_all_of_it() -> None:
    made = group([volume("all", source="/", to="/board")], [function("f", ("all", "rw"), run_as={"Gid": 20})])
    readings = board(paths={**board().paths, "/srv/readings": directory(0o750, gid=20)})
    (dialout,) = blast_radius(made, readings).groups
    assert dialout.also == (), "nothing is beside what it is meant for"


@pytest.mark.parametrize(
    ("acl", "also"),
    [
        ((AclEntry(kind="group", id=20, bits=6), AclEntry(kind="group", id=0, bits=0)), ("/dev/ttyAMA0",)),
        ((AclEntry(kind="user", id=1234, bits=6), AclEntry(kind="group", id=0, bits=0)), ()),
        ((AclEntry(kind="group", id=20, bits=0), AclEntry(kind="group", id=44, bits=6)), ()),
    ],
)
def test_the_blast_radius_follows_acls(acl: tuple[AclEntry, ...], also: tuple[str, ...]) -> None:
    """The group's bits of the mode are only their mask."""
    node = Node(type="char", uid=0, gid=0, mode=0o660, acl=acl)
    named = board(paths={**board().paths, "/dev/ttyAMA0": node})
    (dialout,) = blast_radius(group([], [function("f", run_as={"Gid": 20})]), named).groups
    assert dialout.also == also


def test_an_acl_that_decides_is_what_is_to_be_changed() -> None:
    acl = (AclEntry(kind="user", id=995, bits=0), AclEntry(kind="group", id=0, bits=6))
    node = Node(type="file", uid=0, gid=0, mode=0o660, acl=acl)
    made = group([volume("v", "/srv/x", "/x")], [function("f", ("v", "ro"), isolation=C)])
    one = case(made, "f", "v", srv__x=node)
    answer = compute_access(one.process, one.view.nodes, "/x")
    assert (answer.read, answer.reasons[0]) == (False, "/x is 0660 0:0; its ACL decides")
    assert fix(one, answer, "read", "/x") == "setfacl -m u:995:r /srv/x"
