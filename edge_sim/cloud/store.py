"""What the local cloud remembers, in one SQLite file, so that a restart forgets nothing.

A document is a JSON object with a kind, an id unique within the kind, and an optional parent (a definition for its
versions, a group for its deployments). What is searched by more than that has a table of its own: ``jobs.records``
keeps jobs and executions, ``jobs.outbox`` messages. The layout is ``statefile``'s.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from edge_sim.cloud import statefile

Document = dict[str, Any]
Documents = list[Document]
Row = tuple[Any, ...]
Rows = list[Row]
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
Value = str | int | float | bytes | None


class DocumentPage(NamedTuple):
    """Some of the documents of a kind, and the position to continue from; None when there are no more."""

    documents: Documents
    position: int | None


class Store:
    """Documents by kind and id, and the door to the other tables. Every method may be called from any thread.

    ``path`` is the SQLite file; None keeps everything in memory. Raises UsageError when the file cannot be used.
    A write that fails (sqlite3.Error: a full disk, a broken one) leaves nothing of its transaction.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._committed: list[Callable[[], None]] = []
        self._db = statefile.connect(path)

    def put(self, kind: str, id: str, body: Document, parent: str | None = None) -> None:  # noqa: A002
        """Write a document; an existing one keeps its place in the order, and its parent unless given."""
        self.execute(
            "INSERT INTO documents (kind, id, parent, body) VALUES (?, ?, ?, ?) ON CONFLICT (kind, id) "
            "DO UPDATE SET body = excluded.body, parent = coalesce(excluded.parent, parent)",
            (kind, id, parent, dump(body)),
        )

    def get(self, kind: str, id: str) -> Document | None:  # noqa: A002
        """Return a document, or None."""
        rows = self.execute("SELECT body FROM documents WHERE kind = ? AND id = ?", (kind, id))
        return load(rows[0][0]) if rows else None

    def list(self, kind: str, parent: str | None = None) -> Documents:
        """Return the documents of a kind (of one parent) in the order they were first written."""
        rows = self.select("body", "documents", {"kind": kind, "parent": parent})
        return [load(body) for _, body in rows]

    def page(
        self, kind: str, parent: str | None = None, *, limit: int, position: int = 0, newest_first: bool = False
    ) -> DocumentPage:
        """Return at most ``limit`` documents of a kind (of one parent), in the order they were first written.

        ``position`` is the last page's, 0 for the first page. What is written or deleted between two pages moves no
        other document from one page to another, and a page costs the same wherever it lies.
        """
        where = {"kind": kind, "parent": parent}
        rows = self.select("body", "documents", where, limit=limit + 1, position=position, newest_first=newest_first)
        rows_of_page, more = cut(rows, limit)
        return DocumentPage([load(body) for _, body in rows_of_page], more)

    def delete(self, kind: str, id: str) -> bool:  # noqa: A002
        """Remove a document; False when there was none."""
        with self._lock:
            before = self.changes
            self.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, id))
            return self.changes > before

    def select(
        self,
        columns: str,
        table: str,
        where: Mapping[str, Value],
        *,
        limit: int | None = None,
        position: int = 0,
        newest_first: bool = False,
    ) -> Rows:
        """Return ``position`` and ``columns`` of the rows whose columns are as in ``where``, in order of position.

        A column that is None in ``where`` may be anything. Names are the caller's own constants.
        """
        known = {name: value for name, value in where.items() if value is not None}
        conditions, values = [f"{name} = ?" for name in known], list(known.values())
        if position:
            conditions.append("position < ?" if newest_first else "position > ?")
            values.append(position)
        order = "DESC" if newest_first else "ASC"
        query = f"SELECT position, {columns} FROM {table} WHERE {' AND '.join(conditions) or 1} "  # noqa: S608
        query += f"ORDER BY position {order}"
        if limit is not None:
            query += " LIMIT ?"
            values.append(limit)
        return self.execute(query, values)

    def execute(self, statement: str, values: Sequence[Value] | Mapping[str, Value] = ()) -> Rows:
        """Carry out one statement and return its rows."""
        with self._lock:
            if self._depth and not self._db.in_transaction:  # a failing statement may undo the whole transaction
                raise sqlite3.OperationalError("the transaction was undone by an earlier error")
            return self._db.execute(statement, values).fetchall()

    @property
    def changes(self) -> int:
        """How many rows have been written so far: two readings tell whether anything was in between."""
        return self._db.total_changes

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything written inside visible at once, or not at all when the block raises.

        Other threads wait meanwhile. Blocks may nest: an inner one that raises is undone alone, the outermost one
        decides about all.
        """
        with self._lock:
            depth, waiting = self._depth, len(self._committed)
            self._begin(depth)
            self._depth += 1
            try:
                yield
                self._depth = depth
                self._commit(depth)
            except BaseException:
                self._depth = depth
                del self._committed[waiting:]
                self._undo(depth)
                raise
            if depth == 0:
                callbacks, self._committed = self._committed, []
                for callback in callbacks:
                    callback()

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when the open transaction is stored, in the order of transactions; never if it is undone.

        Without a transaction that is now. Other threads still wait while it runs: it must be short and not raise.
        """
        with self._lock:
            if self._depth:
                self._committed.append(callback)
            else:
                callback()

    def close(self) -> None:
        """Write everything out and let the file go."""
        with self._lock:
            self._db.close()

    def _begin(self, depth: int) -> None:
        self.execute(f"SAVEPOINT level{depth}" if depth else "BEGIN IMMEDIATE")

    def _commit(self, depth: int) -> None:
        if not self._db.in_transaction:
            raise sqlite3.OperationalError("the transaction was undone by an earlier error")
        self._db.execute(f"RELEASE level{depth}" if depth else "COMMIT")

    def _undo(self, depth: int) -> None:
        if not self._db.in_transaction:
            return
        if depth == 0:
            self._db.execute("ROLLBACK")
        else:
            self._db.execute(f"ROLLBACK TO level{depth}")
            self._db.execute(f"RELEASE level{depth}")


def cut(rows: Sequence[Row], limit: int) -> tuple[Sequence[Row], int | None]:
    """Return the rows of a page and the position to continue from; ``rows`` were asked for with one more than that."""
    return rows[:limit], rows[limit - 1][0] if len(rows) > limit else None


def dump(body: object) -> str:
    """Return a value as it is stored."""
    return _ENCODER.encode(body)


def load(text: str) -> Document:
    """Return what was stored."""
    body: Document = json.loads(text)
    return body
