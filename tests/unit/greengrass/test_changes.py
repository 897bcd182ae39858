"""The difference between a plan and a disk, written by hand."""

from __future__ import annotations

from edge_sim.facts import Node
from edge_sim.greengrass.changes import compare, differ
from edge_sim.greengrass.plan import Entry
from tests.unit.greengrass.build import directory, file


def link(target: str, mode: int = 0o777) -> Node:
    return Node(type="link", uid=0, gid=0, mode=mode, target=target)


def entries(**nodes: Node) -> list[Entry]:
    return [Entry(path=f"/{name}", node=node, rule="rule", reason="reason") for name, node in nodes.items()]


def test_every_kind_of_change_in_the_order_of_the_paths() -> None:
    planned = entries(d=directory(0o755), b=file(0o440, gid=44), a=file(), c=link("/x"), e=file())
    disk = {
        "/a": file(),
        "/b": file(0o640, uid=7),
        "/c": link("/y", mode=0o755),
        "/d": file(),
        "/ours": file(),
        "/foreign": file(),
    }
    lines = compare(planned, disk, ours={"/ours", "/b", "/long-gone"})
    assert [(line.path, line.kind, line.words) for line in lines] == [
        ("/a", None, ()),
        ("/b", "change", ("uid 7 → 0", "gid 0 → 44", "mode 0640 → 0440")),
        ("/c", "change", ("target /y → /x",)),
        ("/d", "change", ("type file → directory",)),
        ("/e", "create", ()),
        ("/ours", "remove", ()),
    ]


def test_children_follow_their_parents_whatever_the_letters() -> None:
    planned = [*entries(a=directory()), *(Entry(path=p, node=file(), rule="r", reason="") for p in ("/a-b", "/a/z"))]
    assert [line.path for line in compare(planned, {})] == ["/a", "/a/z", "/a-b"]


def test_new_content_is_a_change_though_the_node_is_the_same() -> None:
    (line,) = compare(entries(a=file()), {"/a": file()}, rewritten={"/a"})
    assert (line.kind, line.words) == ("change", ("new content",))


def test_a_links_own_mode_means_nothing() -> None:
    assert not differ(link("/x", mode=0o777), link("/x", mode=0o700))
    assert differ(link("/x"), link("/y"))
