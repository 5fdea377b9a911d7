"""PostgreSQL by asyncpg itself, for who loads no more than that: statements, and a transaction of them."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import asyncpg

from tracklog.ingester.decode import moment_of

T = TypeVar("T")

Kinds = Mapping[str, Mapping[str, str]]
"""Of each table, the types of its columns."""

TIME: Final = "timestamptz"
JSON: Final = "json"


class Direct:
    """A transaction by a connection of asyncpg."""

    is_sqlite = False

    def __init__(self, connection: Any, kinds: Kinds) -> None:
        self._connection = connection
        self._kinds = kinds

    async def fetch(self, sql: str, keys: Iterable[str], *values: Any) -> Sequence[Sequence[Any]]:
        """Run a statement in which `{keys}` stands for a list of texts, and `$2`, `$3` … for values; give its rows."""
        sql = sql.replace("{keys}", "SELECT unnest($1::text[])")
        rows: Sequence[Sequence[Any]] = await self._connection.fetch(sql, list(keys), *values)
        return rows

    async def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], conflict: str) -> int:
        """Insert rows; give how many were inserted or changed."""
        if not rows:
            return 0
        kinds = self._kinds[table]
        selected = ", ".join(_cast(kinds[name], name) for name in columns)
        sql = (
            f"INSERT INTO {table} AS t ({', '.join(columns)}) SELECT {selected} FROM {_unnested(kinds, columns)}"
            f" ON CONFLICT {conflict}"
        )
        return _count(await self._connection.execute(sql, *_arrays(kinds, columns, rows)))

    async def update(self, table: str, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
        """Set columns of rows whose keys come last; give how many were there."""
        if not rows:
            return 0
        kinds, names = self._kinds[table], [*columns, key]
        settings = ", ".join(f"{name} = {_cast(kinds[name], name)}" for name in columns)
        sql = f"UPDATE {table} AS t SET {settings} FROM {_unnested(kinds, names)} WHERE t.{key} = u.{key}"
        return _count(await self._connection.execute(sql, *_arrays(kinds, names, rows)))

    async def copied(self, *parts: tuple[str, Sequence[str], Sequence[Sequence[Any]]]) -> bool:
        """Copy rows straight in; False where a key is there, by another ingester."""
        try:
            async with self._connection.transaction():  # A savepoint, within the one that has begun.
                for table, columns, rows in parts:
                    if rows:
                        records = zip(*_arrays(self._kinds[table], columns, rows), strict=True)
                        await self._connection.copy_records_to_table(table, records=records, columns=columns)
        except asyncpg.UniqueViolationError:
            return False
        return True


@dataclass(slots=True)
class Database:
    """A database, to be written to by a process of its own."""

    arguments: Mapping[str, Any]
    """What asyncpg connects with."""
    limits: Sequence[str]
    """Statements with which a transaction begins, so that it does not wait for ever."""
    kinds: Kinds
    _runner: asyncio.Runner | None = field(default=None, init=False)
    _connection: Any = field(default=None, init=False)
    _transaction: Any = field(default=None, init=False)
    """The one that has begun."""

    def begin(self, work: Callable[[Direct], Coroutine[Any, Any, T]]) -> T:
        """Begin a transaction, which the next `write` goes on with, do something in it, and give its result."""
        return self._run(self._do(work))

    def write(self, work: Callable[[Direct], Coroutine[Any, Any, T]]) -> T:
        """Do something in a transaction, and give its result; what fails on the way is rolled back."""
        return self._run(self._do(work, commits=True))

    def take_back(self) -> None:
        """Roll back what has begun, if anything has."""
        if self._transaction is not None:
            self._run(self._take_back())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(work)

    async def _do(self, work: Callable[[Direct], Coroutine[Any, Any, T]], *, commits: bool = False) -> T:
        try:
            if self._connection is None:
                self._connection = await asyncpg.connect(**self.arguments)
            if self._transaction is None:
                # A statement has to see what was committed before it, whatever the database's own default is.
                self._transaction = self._connection.transaction(isolation="read_committed")
                await self._transaction.start()
                await self._connection.execute("; ".join(self.limits))
            result = await work(Direct(self._connection, self.kinds))
            if commits:
                await self._transaction.commit()
                self._transaction = None
        except BaseException:
            await self._take_back()
            raise
        return result

    async def _take_back(self) -> None:
        # Whether the connection still works is not asked; the next transaction has another one.
        connection, self._connection, self._transaction = self._connection, None, None
        if connection is not None:
            connection.terminate()


def _unnested(kinds: Mapping[str, str], columns: Sequence[str]) -> str:
    arrays = ", ".join(f"${place}::{_element(kinds[name])}[]" for place, name in enumerate(columns, start=1))
    return f"unnest({arrays}) AS u({', '.join(columns)})"


def _element(kind: str) -> str:
    return "text" if kind == JSON else kind  # An array of JSON would be parsed twice.


def _cast(kind: str, name: str) -> str:
    return f"u.{name}::json" if kind == JSON else f"u.{name}"


def _arrays(kinds: Mapping[str, str], columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Give the columns' values, with times as asyncpg takes them."""
    values = [*map(list, zip(*rows, strict=True))]
    for place, name in enumerate(columns):
        if kinds[name] == TIME:
            values[place] = [moment_of(value) if isinstance(value, str) else value for value in values[place]]
    return values


def _count(status: str) -> int:
    """Read how many rows a command touched from what PostgreSQL answers, such as "INSERT 0 17"."""
    return int(status.rpartition(" ")[2])
