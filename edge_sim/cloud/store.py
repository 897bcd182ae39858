"""What the local cloud remembers: documents in one SQLite file, so that a restart forgets nothing.

A document is a JSON object with a kind, an id unique within the kind, and an optional parent (a definition for its
versions, a group for its deployments). The layout is simulator-defined; ``PRAGMA user_version`` names it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from edge_sim.errors import UsageError

Document = dict[str, Any]
Documents = list[Document]

SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 5.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL, id TEXT NOT NULL, parent TEXT, body TEXT NOT NULL,
    UNIQUE (kind, id)
);
CREATE INDEX IF NOT EXISTS by_kind ON documents (kind, position);
CREATE INDEX IF NOT EXISTS by_parent ON documents (kind, parent, position);
"""


class Page(NamedTuple):
    """Some of the documents of a kind, and the position to continue from; None when there are no more."""

    documents: Documents
    position: int | None


class Store:
    """Documents by kind and id. Every method may be called from any thread.

    ``path`` is the SQLite file; None keeps everything in memory. Raises UsageError when the file cannot be opened or
    was written by something else.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        try:
            self._db = sqlite3.connect(
                path or ":memory:", timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            self._prepare()
        except sqlite3.Error as error:
            raise UsageError(f"{path}: cannot be used as the cloud's state: {error}") from error

    def _prepare(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version not in (0, SCHEMA_VERSION):
            raise sqlite3.DatabaseError(f"it has layout {version}, this program writes {SCHEMA_VERSION}")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.executescript(_SCHEMA)
        self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def put(self, kind: str, id: str, body: Document, parent: str | None = None) -> None:  # noqa: A002
        """Write a document; one that is there already keeps its place in the order, and its parent unless given."""
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        with self._lock:
            self._db.execute(
                "INSERT INTO documents (kind, id, parent, body) VALUES (?, ?, ?, ?) ON CONFLICT (kind, id) "
                "DO UPDATE SET body = excluded.body, parent = coalesce(excluded.parent, parent)",
                (kind, id, parent, text),
            )

    def get(self, kind: str, id: str) -> Document | None:  # noqa: A002
        """Return a document, or None."""
        with self._lock:
            query = "SELECT body FROM documents WHERE kind = ? AND id = ?"
            row = self._db.execute(query, (kind, id)).fetchone()
        return _load(row[0]) if row else None

    def list(self, kind: str, parent: str | None = None) -> Documents:
        """Return the documents of a kind (of one parent) in the order they were first written."""
        with self._lock:
            if parent is None:
                query = "SELECT body FROM documents WHERE kind = ? ORDER BY position"
                rows = self._db.execute(query, (kind,)).fetchall()
            else:
                query = "SELECT body FROM documents WHERE kind = ? AND parent = ? ORDER BY position"
                rows = self._db.execute(query, (kind, parent)).fetchall()
        return [_load(row[0]) for row in rows]

    def page(
        self, kind: str, parent: str | None = None, *, limit: int, position: int = 0, newest_first: bool = False
    ) -> Page:
        """Return at most ``limit`` documents of a kind (of one parent), in the order they were first written.

        ``position`` is the last page's, 0 for the first page. What is written or deleted between two pages moves no
        other document from one page to another, and a page costs the same wherever it lies.
        """
        query = "SELECT position, body FROM documents WHERE kind = ?"
        values: list[str | int] = [kind]
        if parent is not None:
            query += " AND parent = ?"
            values.append(parent)
        if position:
            query += " AND position < ?" if newest_first else " AND position > ?"
            values.append(position)
        query += " ORDER BY position DESC LIMIT ?" if newest_first else " ORDER BY position LIMIT ?"
        with self._lock:
            rows = self._db.execute(query, (*values, limit + 1)).fetchall()
        more = len(rows) > limit
        return Page([_load(body) for _, body in rows[:limit]], rows[limit - 1][0] if more else None)

    def delete(self, kind: str, id: str) -> bool:  # noqa: A002
        """Remove a document; False when there was none."""
        with self._lock:
            done = self._db.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, id))
        return done.rowcount > 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything written inside visible at once, or not at all when the block raises.

        Other threads wait meanwhile. Blocks may nest; the outermost one decides.
        """
        with self._lock:
            if self._depth == 0:
                self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._db.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._db.execute("COMMIT")

    def close(self) -> None:
        """Write everything out and let the file go."""
        with self._lock:
            self._db.close()


def _load(text: str) -> Document:
    body: Document = json.loads(text)
    return body
