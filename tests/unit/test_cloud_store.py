from __future__ import annotations

import threading
from pathlib import Path

import pytest

from edge_sim.cloud.store import Store
from edge_sim.errors import UsageError


def test_a_new_process_finds_everything_in_the_order_it_was_written(tmp_path: Path) -> None:
    first = Store(tmp_path / "state.db")
    for name in ("b", "a", "c"):
        first.put("thing", name, {"name": name}, parent="group")
    first.put("thing", "b", {"name": "b", "again": True})
    first.close()
    again = Store(tmp_path / "state.db")
    assert [d["name"] for d in again.list("thing", parent="group")] == ["b", "a", "c"]
    assert again.get("thing", "b") == {"name": "b", "again": True}
    assert again.get("thing", "nobody") is None


def test_a_failed_transaction_leaves_nothing_even_when_nested() -> None:
    store = Store()
    store.put("k", "kept", {"v": 1})

    def fail() -> None:
        with store.transaction():
            store.put("k", "outer", {})
            with store.transaction():
                store.put("k", "inner", {})
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        fail()
    assert store.list("k") == [{"v": 1}]
    with store.transaction():
        store.put("k", "later", {"v": 2})
    assert store.list("k") == [{"v": 1}, {"v": 2}]


def test_two_threads_never_lose_an_increment() -> None:
    store = Store()
    store.put("n", "count", {"value": 0})

    def add() -> None:
        for _ in range(50):
            with store.transaction():
                value = (store.get("n", "count") or {})["value"]
                store.put("n", "count", {"value": value + 1})

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert store.get("n", "count") == {"value": 200}


def test_a_file_that_is_no_state_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database, but long enough to be looked at " * 40)
    with pytest.raises(UsageError, match=r"notes\.txt: cannot be used"):
        Store(path)


def test_delete_says_whether_there_was_something() -> None:
    store = Store()
    store.put("k", "a", {})
    assert store.delete("k", "a")
    assert not store.delete("k", "a")
