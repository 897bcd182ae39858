"""The layout that a deployment makes, and who may open what in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_sim.errors import InvalidDefinitionError
from edge_sim.facts import Node
from edge_sim.greengrass import groupfile
from edge_sim.greengrass.access import compute_access
from edge_sim.greengrass.group import Group
from edge_sim.greengrass.plan import Content, paths_of_interest, plan
from edge_sim.greengrass.process import Identity, function_process
from tests.unit.greengrass.build import board, char, device, directory, file, function, group, owner, s3, secret, volume

C = "GreengrassContainer"
CONTENTS = {
    "model": (
        Content(path="digits", type="directory"),
        Content(path="digits/weights.json", type="file"),
        Content(path="digits/run.sh", type="file", executable=True),
    )
}
TOP = "/greengrass/ggc/deployment"


def example(permission: str = "ro", owned: bool = True) -> Group:
    setting = owner("video", permission) if owned else None
    functions = [function("c", ("model", permission), ("volume", "rw"), ("serial", "ro"), isolation=C)]
    if owned:
        functions.append(function("n", ("model", None)))
    functions.append(function("stranger"))
    resources = [s3(owner=setting), volume(GroupOwner="dialout"), device(AutoAddGroupOwner=True), secret()]
    return group(resources, functions)


def nodes(made: Group) -> dict[str, Node]:
    return {**board().paths, **{e.path: e.node for e in plan(made, board(), CONTENTS)}}


def shown(made: Group) -> dict[str, str]:
    return {
        e.path.removeprefix(TOP): f"{e.node.mode:04o} {e.node.uid}:{e.node.gid} {e.node.target or e.node.type}"
        for e in plan(made, board(), CONTENTS)
    }


def test_a_model_with_an_owner_is_public_and_read_only_for_its_group() -> None:
    layout = shown(example("ro"))
    base = "/mlmodel_public/uuid-model"
    assert layout[base] == "0550 0:44 directory"
    assert layout[f"{base}/digits/weights.json"] == "0440 0:44 file"
    assert layout[f"{base}/digits/run.sh"] == "0550 0:44 file"
    assert layout["/mlmodel_public"] == "0755 0:0 directory"


def test_rw_gives_the_group_write_and_keeps_it_on_new_files() -> None:
    layout = shown(example("rw"))
    assert layout["/mlmodel_public/uuid-model/digits"] == "2770 0:44 directory"
    assert layout["/mlmodel_public/uuid-model/digits/weights.json"] == "0660 0:44 file"


def test_a_model_without_an_owner_lies_below_a_directory_of_root() -> None:
    layout = shown(example(owned=False))
    assert layout["/mlmodel"] == "0700 0:0 directory"
    assert layout["/mlmodel/uuid-model/digits/weights.json"] == "0644 995:995 file"


def test_a_no_container_function_has_one_link_below_its_prefix() -> None:
    layout = shown(example())
    assert layout["/workdir/n/models"] == "0755 0:0 directory"
    assert layout["/workdir/n/models/digits"].endswith(f"{TOP}/mlmodel_public/uuid-model")
    assert not [p for p in layout if p.startswith("/workdir/c")]


def test_parents_come_before_children() -> None:
    seen: set[str] = {"/greengrass/ggc"}
    for entry in plan(example(), board(), CONTENTS):
        assert entry.path.rsplit("/", 1)[0] in seen, entry.path
        seen.add(entry.path)


def test_a_zip_without_directory_entries_gets_its_parents() -> None:
    made = plan(example(), board(), {"model": (Content(path="a/b/c", type="file"),)})
    assert {e.path.rsplit("model/", 1)[-1] for e in made if "uuid-model/" in e.path} == {"a", "a/b", "a/b/c"}


def test_every_rule_of_the_plan_stands_in_the_fidelity_page() -> None:
    page = (Path(__file__).parents[3] / "docs/fidelity.md").read_text(encoding="utf-8")
    owned, bare = plan(example(), board(), CONTENTS), plan(example(owned=False), board(), CONTENTS)
    named = {entry.rule for entry in (*owned, *bare)}
    assert len(named) == 7
    assert {rule for rule in named if f"`{rule}`" not in page} == set()


def test_an_unknown_group_is_named() -> None:
    with pytest.raises(InvalidDefinitionError, match="resource model: group 'video' does not exist"):
        plan(example(), board(groups={"ggc_group": 995}), CONTENTS)


def test_identities() -> None:
    made = example()
    found = {f.id: function_process(made, f, board()).identity for f in made.functions}
    # video by OwnerSetting; dialout by the device's group (AutoAdd) and by the volume's GroupOwner
    assert found["c"] == Identity(uid=995, gid=995, groups=(20, 44))
    assert found["n"] == Identity(uid=995, gid=995, groups=(44,))
    assert found["stranger"] == Identity(uid=995, gid=995)


def test_run_as_wins_over_the_groups_default_half_by_half() -> None:
    made = group([], [function("f", run_as={"Gid": 7})], {"Execution": {"RunAs": {"Uid": 5, "Gid": 6}}})
    assert function_process(made, made.functions[0], board()).identity == Identity(uid=5, gid=7)


def test_environment_of_both_modes() -> None:
    made = example()
    contained, plain, _ = (function_process(made, f, board()) for f in made.functions)
    assert contained.environment["AWS_GG_RESOURCE_PREFIX"] == "/"
    assert plain.environment["AWS_GG_RESOURCE_PREFIX"] == f"{TOP}/workdir/n" == plain.working_directory
    assert contained.masked == ("/greengrass",)


def test_a_users_python_path_comes_first() -> None:
    made = group([], [function("f", isolation=C, variables={"PYTHONPATH": "/models/lib"})])
    assert function_process(made, made.functions[0], board()).environment["PYTHONPATH"] == "/models/lib:/lambda"


WEIGHTS = f"{TOP}/workdir/n/models/digits/digits/weights.json"


def access(made: Group, function_id: str, path: str) -> tuple[bool, bool]:
    chosen = next(f for f in made.functions if f.id == function_id)
    answer = compute_access(function_process(made, chosen, board()), nodes(made), path)
    assert answer.reasons
    return answer.read, answer.write


def test_access_through_a_link_follows_the_models_group() -> None:
    assert access(example("ro"), "n", WEIGHTS) == (True, False)
    assert access(example("rw"), "n", WEIGHTS) == (True, True)
    assert access(example("rw"), "stranger", WEIGHTS) == (False, False)


def test_access_in_a_container_is_bounded_by_the_mount() -> None:
    assert access(example("ro"), "c", "/models/digits/digits/weights.json") == (True, False)
    assert access(example("rw"), "c", "/models/digits/digits") == (True, True)
    assert access(example("ro"), "c", f"{TOP}/mlmodel_public/uuid-model") == (False, False)


def test_a_container_reaches_a_model_that_only_root_reaches_on_the_host() -> None:
    made = example("rw", owned=False)
    assert access(made, "c", "/models/digits/digits/weights.json") == (True, True)
    assert access(made, "stranger", f"{TOP}/mlmodel/uuid-model/digits") == (False, False)


def test_reasons_name_the_component_that_blocks() -> None:
    made = example("ro", owned=False)
    stranger = function_process(made, made.functions[-1], board())
    answer = compute_access(stranger, nodes(made), f"{TOP}/mlmodel/uuid-model/digits")
    assert answer.reasons == (
        f"no search permission: {TOP}/mlmodel is 0700 0:0; the process uses the other permission bits",
    )


def test_the_owner_is_judged_by_the_owners_bits_alone() -> None:
    made = group([], [function("f")])
    process = function_process(made, made.functions[0], board())
    tree = {"/": directory(), "/x": file(0o077, uid=995, gid=995), "/tty": char(0o060, gid=995)}
    assert not compute_access(process, tree, "/x").read
    assert compute_access(process, tree, "/tty").write


def test_links_that_loop_end() -> None:
    made = group([], [function("f")])
    tree = {"/": directory(), "/a": Node(type="link", uid=0, gid=0, mode=0o777, target="a")}
    answer = compute_access(function_process(made, made.functions[0], board()), tree, "/a")
    assert "too many levels" in answer.reasons[-1]


def test_group_json_keeps_everything() -> None:
    made = example()
    assert groupfile.decode(groupfile.encode(made, region="eu-west-1")) == made


def test_a_real_volume_entry_is_read() -> None:
    """The one published encoding (GGC 1.3-1.5): no Name, no Id on the function."""
    content = {
        "Id": "v",
        "Type": "LOCAL_VOLUME",
        "Data": {
            "type": "LocalVolumeResourceData",
            "SourcePath": "/a",
            "DestinationPath": "/b",
            "GroupOwnerSetting": {"AutoAddGroupOwner": True},
        },
    }
    made = groupfile.decode({"GroupDefinitions": {"Resources": {"ref": None, "Content": [content]}}})
    assert made.resources[0].id == "v"


@pytest.mark.parametrize(
    "bad", [{"GroupDefinitions": []}, {"GroupDefinitions": {"Resources": {"Content": [{"Type": "X"}]}}}]
)
def test_a_broken_group_json_is_one_sentence(bad: dict[str, object]) -> None:
    with pytest.raises(InvalidDefinitionError, match=r"^group\.json: "):
        groupfile.decode(bad)


def test_paths_of_interest_come_with_their_parents() -> None:
    assert {"/", "/dev", "/dev/ttyAMA0", "/srv", "/srv/readings"} <= set(paths_of_interest(example(), "/greengrass"))


def test_the_group_of_a_linked_device_is_that_of_the_node_it_leads_to() -> None:
    paths = {**board().paths, "/dev/serial0": Node(type="link", uid=0, gid=0, mode=0o777, target="ttyAMA0")}
    attached = function("c", ("serial", "rw"), isolation=C)
    made = group([device(source="/dev/serial0", AutoAddGroupOwner=True)], [attached])
    assert function_process(made, made.functions[0], board(paths=paths)).identity.groups == (20,)


def test_the_group_of_what_lies_behind_a_linked_directory_is_its_own() -> None:
    """Where only the place behind the link is known: a profile's, that a scenario lays files on."""
    link = Node(type="link", uid=0, gid=0, mode=0o777, target="srv")
    paths = {**board().paths, "/data": link, "/srv/readings": directory(0o750, gid=20)}
    made = group(
        [volume(source="/data/readings", AutoAddGroupOwner=True)], [function("c", ("volume", "ro"), isolation=C)]
    )
    facts = board(paths=paths)
    process = function_process(made, made.functions[0], facts)
    assert (facts.at("/data/readings"), process.identity.groups) == (paths["/srv/readings"], (20,))
    assert compute_access(process, paths, "/readings").read
