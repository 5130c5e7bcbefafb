"""The work list: what is to be done, by whom, and what came of it, in a file that outlives every process.

Tasks go in under keys, each is taken by one process at a time, and ends as `done`, `failed` or `cancelled`. Several
processes may work off one list. A process that dies, however it dies, lets go of what it had taken: the next one that
looks queues it again, once; a task whose processes have died twice is `failed`, so that it harms nothing else. This
module knows neither pictures nor what a task means.

The list is an SQLite database (WAL, every change forced to the disk). That a process lives is told by a lock which the
system takes from it when it ends (`files.lock`), not by its number, which another may get.
"""

from __future__ import annotations

import contextlib
import glob
import json
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from danqing.errors import RunFailed
from danqing.files import lock, shown, write_failure
from danqing.messages import text

State = Literal["queued", "running", "done", "failed", "cancelled"]

TRIES = 2
"""How often a task is begun at most."""

_PATIENCE = 30.0  # s that a process waits for the others
_FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS item (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    task TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued',
    tries INTEGER NOT NULL DEFAULT 0,
    holder TEXT,
    result TEXT,
    problem TEXT
);
CREATE INDEX IF NOT EXISTS item_by_state ON item (state, id);
"""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One entry of the list.

    Attributes:
        key: what it is called; no two have the same.
        task: what is to be done, as JSON has it.
        state: where it stands.
        tries: how often it was begun.
        result: what came of it, as JSON has it; None until it is done.
        problem: why it failed, one line.
    """

    key: str
    task: Mapping[str, Any]
    state: State
    tries: int
    result: Mapping[str, Any] | None = None
    problem: str | None = None


class WorkList:
    """A work list in a file; may be used by several threads and several processes at once.

    Args:
        path: of the database, made where there is none; its folder must exist. Files beside it begin with its name.

    Raises:
        RunFailed: it cannot be written, is no work list, or is of a later version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._own = secrets.token_hex(8)
        self._guard = threading.RLock()
        self._alive = contextlib.ExitStack()
        try:
            with self._told(), lock(self.path, timeout=_PATIENCE):
                self._sweep()
                self._alive.enter_context(lock(self._life_of(self._own)))
                self._db = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
                self._db.row_factory = sqlite3.Row
                self._alive.callback(self._db.close)
                self._prepare()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> WorkList:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the list; what this process had taken and not finished is queued again by whoever looks next."""
        self._alive.close()
        _forget(self._life_of(self._own))

    # ── what is to be done ──────────────────────────────────────────────────────────────────────────────────────────

    def put(self, tasks: Mapping[str, Mapping[str, Any]], *, keep: Callable[[Item], bool] | None = None) -> None:
        """Queue tasks, in their order, all of them or none.

        A key that is there already keeps its place. What is running is left alone, and so is what `keep` says is to
        stay as it is; by default everything is.
        """
        with self._transaction() as db:
            for key, task in tasks.items():
                there = self._one(key)
                if there is None:
                    db.execute("INSERT INTO item (key, task) VALUES (?, ?)", (key, json.dumps(task)))
                elif there.state != "running" and keep is not None and not keep(there):
                    db.execute(
                        "UPDATE item SET task = ?, state = 'queued', tries = 0, result = NULL, problem = NULL"
                        " WHERE key = ?",
                        (json.dumps(task), key),
                    )

    def take(self, key: str | None = None) -> Item | None:
        """Begin what has been queued for longest, or what is queued under a key; None if nothing is."""
        with self._transaction() as db:
            if key is None:
                oldest = db.execute("SELECT key FROM item WHERE state = 'queued' ORDER BY id LIMIT 1").fetchone()
                key = oldest["key"] if oldest else None
            changed = db.execute(
                "UPDATE item SET state = 'running', holder = ?, tries = tries + 1 WHERE key = ? AND state = 'queued'",
                (self._own, key),
            ).rowcount
            return self._one(key) if changed and key is not None else None

    # ── what came of it ─────────────────────────────────────────────────────────────────────────────────────────────

    def finish(self, key: str, result: Mapping[str, Any]) -> bool:
        """A task that this process had taken is done; False if it was called off meanwhile."""
        return self._settle(key, "done", result=json.dumps(result))

    def fail(self, key: str, problem: str, *, again: bool = False) -> bool:
        """A task that this process had taken has failed; with `again` it is queued once more if it may be begun again.

        Returns:
            Whether that is the end of it.
        """
        there = self.get(key)
        once_more = again and there is not None and there.tries < TRIES
        self._settle(key, "queued" if once_more else "failed", problem=problem)
        return not once_more

    def release(self, key: str) -> None:
        """Give back a task that this process had taken, as if it had not been begun."""
        self._settle(key, "queued", unbegun=1)

    def cancel(self, key: str) -> State | None:
        """Call off what is queued or running; where it stood before, None if there is no such task.

        Whoever is at it learns of it when he wants to say what came of it, unless he is told otherwise.
        """
        with self._transaction() as db:
            there = self._one(key)
            db.execute(
                "UPDATE item SET state = 'cancelled', holder = NULL WHERE key = ? AND state IN ('queued', 'running')",
                (key,),
            )
        return there.state if there else None

    def recover(self) -> int:
        """Queue again what processes that have died were at, or let it fail where that was the second time.

        Returns:
            How many tasks that were.
        """
        count = 0
        with self._transaction() as db:
            rows = db.execute("SELECT DISTINCT holder FROM item WHERE state = 'running'").fetchall()
            for holder in [row["holder"] for row in rows]:
                if holder != self._own and self._is_gone(holder):
                    count += db.execute(
                        "UPDATE item SET state = CASE WHEN tries < ? THEN 'queued' ELSE 'failed' END,"
                        " problem = ?, holder = NULL WHERE holder = ? AND state = 'running'",
                        (TRIES, text("work.died"), holder),
                    ).rowcount
        return count

    def forget(self, keys: Iterable[str]) -> None:
        """Strike tasks off the list that are over."""
        with self._transaction() as db:
            db.executemany(
                "DELETE FROM item WHERE key = ? AND state NOT IN ('queued', 'running')", [(key,) for key in keys]
            )

    # ── looking ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def get(self, key: str) -> Item | None:
        """The item of a key, or None."""
        with self._guard, self._told():
            return self._one(key)

    def items(self) -> list[Item]:
        """Everything on the list, in its order."""
        with self._guard, self._told():
            rows = self._db.execute("SELECT * FROM item ORDER BY id").fetchall()
        return [_item(row) for row in rows]

    def count(self) -> dict[State, int]:
        """How many there are of each state that there are any of."""
        with self._guard, self._told():
            return {row[0]: row[1] for row in self._db.execute("SELECT state, count(*) FROM item GROUP BY state")}

    # ── inside ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _prepare(self) -> None:
        version: int = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > _FORMAT:
            raise RunFailed(text("work.later", path=shown(self.path)))
        self._db.execute("PRAGMA journal_mode = WAL").fetchone()
        self._db.execute("PRAGMA synchronous = FULL")
        if version < _FORMAT:
            self._db.executescript(f"{_SCHEMA} PRAGMA user_version = {_FORMAT};")

    def _one(self, key: str) -> Item | None:
        row = self._db.execute("SELECT * FROM item WHERE key = ?", (key,)).fetchone()
        return _item(row) if row is not None else None

    def _settle(
        self, key: str, state: State, *, result: str | None = None, problem: str | None = None, unbegun: int = 0
    ) -> bool:
        """Let go of what this process has taken; False if it is no longer this process's."""
        with self._transaction() as db:
            changed = db.execute(
                "UPDATE item SET state = ?, result = ?, problem = ?, tries = tries - ?, holder = NULL"
                " WHERE key = ? AND holder = ? AND state = 'running'",
                (state, result, problem, unbegun, key, self._own),
            ).rowcount
        return changed == 1

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._guard, self._told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise RunFailed(text("work.broken", path=shown(self.path), reason=error)) from error
        except OSError as error:
            raise write_failure(self.path, error) from error

    # ── who lives ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _life_of(self, holder: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{holder}")

    def _is_gone(self, holder: str) -> bool:
        """Whether a process that has taken something no longer lives: then its lock is to be had."""
        life = self._life_of(holder)
        try:
            with lock(life, timeout=0):
                pass
        except RunFailed:
            return False
        _forget(life)
        return True

    def _sweep(self) -> None:
        """Remove the locks of the dead; only under the list's own lock, since a lock is made before it is held."""
        for file in self.path.parent.glob(f"{glob.escape(self.path.name)}.*.lock"):
            self._is_gone(file.name.removeprefix(f"{self.path.name}.").removesuffix(".lock"))


def _forget(life: Path) -> None:
    """Remove a lock's file that nobody holds any longer."""
    with contextlib.suppress(OSError):
        life.with_name(f"{life.name}.lock").unlink()


def _item(row: sqlite3.Row) -> Item:
    return Item(
        key=row["key"],
        task=json.loads(row["task"]),
        state=row["state"],
        tries=row["tries"],
        result=json.loads(row["result"]) if row["result"] is not None else None,
        problem=row["problem"],
    )
