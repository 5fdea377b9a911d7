"""SQLite by Python's own driver, for who loads no more than that: settings, statements, and a transaction of them."""

import contextlib
import datetime as dt
import os
import sqlite3
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final, TypeVar
from urllib.parse import quote

import orjson

from tracklog.ingester.decode import written

T = TypeVar("T")

BUSY_SECONDS: Final = 30
"""How long SQLite waits for another writer; longer than any transaction of ours, so only a stuck one is an error."""

_WRITER: Final = (
    # Of a database that is empty: most LLM calls go onto one page, and a commit writes a third of the pieces. The WAL
    # is copied after a thousand pages, which are then 16 MiB.
    "PRAGMA page_size = 16384",
    "PRAGMA synchronous = NORMAL",  # A power cut may undo the last commits, never half of one.
    "PRAGMA journal_size_limit = 67108864",  # A WAL that a slow reader made long is cut to 64 MiB afterwards.
)

_CACHE_KIB: Final = 8192
"""What a connection keeps of pages: the inner ones of the indexes of millions of rows, and those of small batches."""

_BACKLOG_CACHE_KIB: Final = 16384
"""The same and those of large batches, for who writes a backlog."""

_NULLS: Final[dict[None, None]] = {}


def set_up_writer(connection: Any, cache_kib: int = _CACHE_KIB) -> None:
    """Set a connection up that writes."""
    # Python's driver asks whether a null is to be adapted, and makes an exception to say no: a third of a microsecond
    # each, of which a row has several. Where it finds that null stays null, it is done in a third of that.
    sqlite3.register_adapter(type(None), _NULLS.get)
    cursor = connection.cursor()
    for statement in (*_WRITER, f"PRAGMA cache_size = -{cache_kib}"):
        cursor.execute(statement)
    cursor.close()


def insert_sql(table: str, columns: Sequence[str], conflict: str, number: int = 1) -> str:
    """Give the statement that inserts so many rows, with what follows `ON CONFLICT`; the row that is there is `t`."""
    marks = ", ".join([f"({', '.join('?' * len(columns))})"] * number)
    return f"INSERT INTO {table} AS t ({', '.join(columns)}) VALUES {marks} ON CONFLICT {conflict}"


_TOGETHER: Final = 50
"""So many rows of a line or a call go into one statement, which takes a fifth less than one for each."""

_NARROW: Final = 24
"""Rows of more columns, such as those of executions, gain nothing by that."""


def _joined(rows: Sequence[Sequence[Any]], number: int) -> Iterable[Sequence[Any]]:
    """Give the values of so many rows at a time."""
    return zip(*[chain.from_iterable(rows)] * (len(rows[0]) * number), strict=True) if number > 1 else rows


def update_sql(table: str, key: str, columns: Sequence[str]) -> str:
    """Give the statement that sets columns of a row, whose key comes last."""
    return f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in columns)} WHERE {key} = ?"


def with_keys(sql: str, keys: Iterable[str], values: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """Give a statement, in which `{keys}` is a list of texts and `$2`, `$3` … are values, and its parameters."""
    text = sql.replace("{keys}", "SELECT value FROM json_each(?1)")
    for place in range(len(values), 0, -1):
        text = text.replace(f"${place + 1}", f"?{place + 1}")
    return text, (orjson.dumps(list(keys)).decode(), *map(value_of, values))


def value_of(value: Any) -> Any:
    """Give a value as SQLite keeps it: a time as text."""
    return written(value) if isinstance(value, dt.datetime) else value


class Direct:
    """A transaction by a connection of this thread; what it is asked is done when it returns."""

    is_sqlite = True

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def fetch(self, sql: str, keys: Iterable[str], *values: Any) -> Sequence[Sequence[Any]]:
        """Run a statement; see `with_keys`."""
        return self._connection.execute(*with_keys(sql, keys, values)).fetchall()

    async def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], conflict: str) -> int:
        """Insert rows; give how many were inserted or changed."""
        whole = len(rows) // _TOGETHER * _TOGETHER if len(columns) <= _NARROW else 0
        return sum(
            self._connection.executemany(insert_sql(table, columns, conflict, number), _joined(some, number)).rowcount
            for some, number in ((rows[:whole], _TOGETHER), (rows[whole:], 1))
            if some
        )

    async def update(self, table: str, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
        """Set columns of rows whose keys come last; give how many were there."""
        return self._connection.executemany(update_sql(table, key, columns), rows).rowcount if rows else 0

    async def copied(self, *_parts: Any) -> bool:
        """Tell that nothing was copied: SQLite has no COPY."""
        return False


@dataclass(slots=True)
class Database:
    """A database that is there, to be written to by a process of its own.

    The WAL is copied by who asks for it with `checkpoint`, and here only where that does not keep up.
    """

    path: str
    patience: float
    """How long to wait for another writer, in seconds."""
    _connection: sqlite3.Connection | None = field(default=None, init=False)

    def begin(self, _work: Any) -> set[str]:
        """Do nothing yet: there is one lock for all who write."""
        return set()

    def write(self, work: Callable[[Direct], Coroutine[Any, Any, T]]) -> T:
        """Do something in a transaction, and give its result; what fails on the way is rolled back."""
        if self._connection is None:
            self._connection = _opened(self.path, self.patience)
            set_up_writer(self._connection, _BACKLOG_CACHE_KIB)
            self._connection.execute(f"PRAGMA wal_autocheckpoint = {_MOST_WAL_PAGES}")
        with _transaction(self._connection) as transaction:
            return _done(work(transaction))

    def take_back(self) -> None:
        """Do nothing, as nothing has begun."""


_MOST_WAL_PAGES: Final = 4000
"""64 MiB of ours; SQLite's own limit is a quarter of that."""


def checkpoint(path: str) -> None:
    """Copy what others wrote from the WAL into the database, as far as that goes without anybody waiting for it."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(_opened(path, BUSY_SECONDS)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


def shorten_wal(path: str) -> None:
    """Have a long WAL written from its beginning again, although there is always somebody who reads.

    Else it grows for as long as one begins to read before another has ended. Whoever writes waits for those who read.
    """
    with contextlib.suppress(OSError, sqlite3.Error):
        if os.path.getsize(f"{path}-wal") > _LONG_WAL_BYTES:
            with contextlib.closing(_opened(path, _WAL_SECONDS)) as connection:
                connection.execute("PRAGMA wal_checkpoint(RESTART)")


_LONG_WAL_BYTES: Final = 128 << 20
"""Twice what SQLite cuts a WAL to that was long."""

_WAL_SECONDS: Final = 1.0
"""So long those who read are waited for; answers take less."""


def _opened(path: str, patience: float) -> sqlite3.Connection:
    uri = f"file:{quote(path)}?mode=rw"  # Not made, where it was taken away.
    return sqlite3.connect(uri, timeout=patience, isolation_level=None, uri=True)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[Direct]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield Direct(connection)
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.rollback()
        raise


def _done(work: Coroutine[Any, Any, T]) -> T:
    """Do what waits for nothing, as all does that is done by a `Direct`, and give its result."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    work.close()
    raise RuntimeError("it waits for something")
