"""Many rows in one statement: executemany on SQLite, arrays and COPY on PostgreSQL, one text of SQL for both."""

import datetime as dt
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

import asyncpg
from sqlalchemy import BigInteger, Boolean, Column, Double, Integer, LargeBinary, Table
from sqlalchemy.ext.asyncio import AsyncConnection

from tracklog.ingester import schema, sqlite
from tracklog.ingester.commit import Values
from tracklog.ingester.decode import moment_of
from tracklog.ingester.schema import JsonText, UtcTimeStamp


def is_sqlite(connection: AsyncConnection) -> bool:
    """Tell which of the two databases it is."""
    return connection.dialect.name == "sqlite"


async def driver(connection: AsyncConnection) -> Any:
    """Give asyncpg's own connection, or aiosqlite's; the transaction must have begun by a statement before.

    A statement of theirs is cheaper: by SQLAlchemy, each is four turns of SQLite's thread, for its cursor too.
    """
    raw = await connection.get_raw_connection()
    return raw.driver_connection


async def insert(
    connection: AsyncConnection, table: Table, columns: Sequence[str], rows: Sequence[Values], conflict: str
) -> int:
    """Insert rows, with what follows `ON CONFLICT`; in SQL the row that is there is `t`.

    :returns: How many rows were inserted or changed.
    """
    if not rows:
        return 0
    if is_sqlite(connection):
        sql = sqlite.insert_sql(table.name, columns, conflict)
        return await _execute_many(connection, sql, _for_sqlite(table, columns, rows))
    names = ", ".join(columns)
    selected = ", ".join(_cast(table.c[name], f"u.{name}") for name in columns)
    arrays = ", ".join(f"${place}::{_array_type(table.c[name])}[]" for place, name in enumerate(columns, start=1))
    source = f"SELECT {selected} FROM unnest({arrays}) AS u({names})"
    sql = f"INSERT INTO {table.name} AS t ({names}) {source} ON CONFLICT {conflict}"
    return _count(await (await driver(connection)).execute(sql, *_for_postgresql(table, columns, rows)))


async def update(
    connection: AsyncConnection, table: Table, key: str, columns: Sequence[str], rows: Sequence[Values]
) -> int:
    """Set `columns` of the rows with the given keys; each row of values ends in its key.

    :returns: How many rows were there.
    """
    if not rows:
        return 0
    if is_sqlite(connection):
        sql = sqlite.update_sql(table.name, key, columns)
        return await _execute_many(connection, sql, _for_sqlite(table, [*columns, key], rows))
    names = [*columns, key]
    arrays = ", ".join(f"${place}::{_array_type(table.c[name])}[]" for place, name in enumerate(names, start=1))
    settings = ", ".join(f"{name} = {_cast(table.c[name], f'u.{name}')}" for name in columns)
    sql = (
        f"UPDATE {table.name} AS t SET {settings} FROM unnest({arrays}) AS u({', '.join(names)})"
        f" WHERE t.{key} = u.{key}"
    )
    return _count(await (await driver(connection)).execute(sql, *_for_postgresql(table, names, rows)))


async def fetch(connection: AsyncConnection, sql: str, keys: Iterable[str], *values: Any) -> Sequence[Sequence[Any]]:
    """Run a statement in which `{keys}` stands for a list of texts, and `$2`, `$3` … for single values.

    :returns: The rows that it gives, if any.
    """
    rows: Sequence[Sequence[Any]]
    if is_sqlite(connection):
        rows = await (await driver(connection)).execute_fetchall(*sqlite.with_keys(sql, keys, values))
    else:
        sql = sql.replace("{keys}", "SELECT unnest($1::text[])")
        rows = await (await driver(connection)).fetch(sql, list(keys), *values)
    return rows


class Transaction:
    """A connection's transaction, which has begun by a statement before; see `commit.Transaction`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self.is_sqlite = is_sqlite(connection)

    async def fetch(self, sql: str, keys: Iterable[str], *values: Any) -> Sequence[Sequence[Any]]:
        """Run a statement; see `fetch`."""
        return await fetch(self._connection, sql, keys, *values)

    async def insert(self, table: str, columns: Sequence[str], rows: Sequence[Values], conflict: str) -> int:
        """Insert rows; see `insert`."""
        return await insert(self._connection, schema.metadata.tables[table], columns, rows, conflict)

    async def update(self, table: str, key: str, columns: Sequence[str], rows: Sequence[Values]) -> int:
        """Set columns of rows; see `update`."""
        return await update(self._connection, schema.metadata.tables[table], key, columns, rows)

    async def copied(self, *parts: tuple[str, Sequence[str], Sequence[Values]]) -> bool:
        """Copy rows straight in; False where a key is there, by another ingester, and on SQLite."""
        if self.is_sqlite:
            return False
        connection = await driver(self._connection)
        try:
            async with self._connection.begin_nested():
                for name, columns, rows in parts:
                    if rows:
                        values = _for_postgresql(schema.metadata.tables[name], columns, rows)
                        await connection.copy_records_to_table(name, records=zip(*values, strict=True), columns=columns)
        except asyncpg.UniqueViolationError:
            return False
        return True


async def _execute_many(connection: AsyncConnection, sql: str, rows: Sequence[Values]) -> int:
    cursor = await (await driver(connection)).executemany(sql, rows)
    return int(cursor.rowcount)


def _for_sqlite(table: Table, columns: Sequence[str], rows: Sequence[Values]) -> list[tuple[Any, ...]]:
    """Write the times, if there are any that are not written yet; most rows are of lines and have none."""
    kinds = (map(type, map(itemgetter(place), rows)) for place in _times(table, columns))
    if not any(dt.datetime in one for one in kinds):
        return [*map(tuple, rows)]
    return [tuple(map(sqlite.value_of, row)) for row in rows]


def _for_postgresql(table: Table, columns: Sequence[str], rows: Sequence[Values]) -> list[list[Any]]:
    """Give the columns' values, with times as asyncpg takes them."""
    values = [*map(list, zip(*rows, strict=True))]
    for place in _times(table, columns):
        values[place] = [moment_of(value) if isinstance(value, str) else value for value in values[place]]
    return values


def _times(table: Table, columns: Sequence[str]) -> list[int]:
    return [place for place, name in enumerate(columns) if isinstance(table.c[name].type, UtcTimeStamp)]


def _array_type(column: Column[Any]) -> str:
    kind = column.type
    if isinstance(kind, UtcTimeStamp):
        return "timestamptz"
    for known, name in _TYPES:
        if isinstance(kind, known):
            return name
    return "text"  # Also JSON, whose array would be parsed twice.


_TYPES: tuple[tuple[type, str], ...] = (
    (BigInteger, "int8"),
    (Integer, "int4"),
    (Double, "float8"),
    (Boolean, "bool"),
    (LargeBinary, "bytea"),
)


def _cast(column: Column[Any], name: str) -> str:
    return f"{name}::json" if isinstance(column.type, JsonText) else name


def _count(status: str) -> int:
    """Read how many rows a command touched from what PostgreSQL answers, such as "INSERT 0 17"."""
    return int(status.rpartition(" ")[2])
