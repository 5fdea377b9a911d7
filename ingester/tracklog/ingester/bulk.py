"""Many rows in one statement, by the driver of SQLAlchemy's connection, one text of SQL for both databases."""

import datetime as dt
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Double, Integer, LargeBinary, Table
from sqlalchemy.ext.asyncio import AsyncConnection

from tracklog.ingester import postgresql, schema, sqlite
from tracklog.ingester.commit import Values
from tracklog.ingester.schema import JsonText, UtcTimeStamp


def is_sqlite(connection: AsyncConnection) -> bool:
    """Tell which of the two databases it is."""
    return connection.dialect.name == "sqlite"


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
    return await (await _direct(connection)).insert(table.name, columns, rows, conflict)


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
    return await (await _direct(connection)).update(table.name, key, columns, rows)


async def fetch(connection: AsyncConnection, sql: str, keys: Iterable[str], *values: Any) -> Sequence[Values]:
    """Run a statement in which `{keys}` stands for a list of texts, and `$2`, `$3` … for single values.

    :returns: The rows that it gives, if any.
    """
    if is_sqlite(connection):
        rows: Sequence[Values] = await (await _driver(connection)).execute_fetchall(
            *sqlite.with_keys(sql, keys, values)
        )
        return rows
    return await (await _direct(connection)).fetch(sql, keys, *values)


class Transaction:
    """A connection's transaction, which has begun by a statement before; see `commit.Transaction`."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self.is_sqlite = is_sqlite(connection)

    async def fetch(self, sql: str, keys: Iterable[str], *values: Any) -> Sequence[Values]:
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
        return not self.is_sqlite and await (await _direct(self._connection)).copied(*parts)


async def _driver(connection: AsyncConnection) -> Any:
    """Give asyncpg's own connection, or aiosqlite's; the transaction must have begun by a statement before.

    A statement of theirs is cheaper: by SQLAlchemy, each is four turns of SQLite's thread, for its cursor too.
    """
    raw = await connection.get_raw_connection()
    return raw.driver_connection


async def _direct(connection: AsyncConnection) -> postgresql.Direct:
    return postgresql.Direct(await _driver(connection), KINDS)


async def _execute_many(connection: AsyncConnection, sql: str, rows: Sequence[Values]) -> int:
    cursor = await (await _driver(connection)).executemany(sql, rows)
    return int(cursor.rowcount)


def _for_sqlite(table: Table, columns: Sequence[str], rows: Sequence[Values]) -> list[tuple[Any, ...]]:
    """Write the times, if there are any that are not written yet; most rows are of lines and have none."""
    times = [place for place, name in enumerate(columns) if KINDS[table.name][name] == postgresql.TIME]
    if not any(dt.datetime in map(type, map(itemgetter(place), rows)) for place in times):
        return [*map(tuple, rows)]
    return [tuple(map(sqlite.value_of, row)) for row in rows]


def _kind(column: Column[Any]) -> str:
    return next((name for known, name in _TYPES if isinstance(column.type, known)), "text")


_TYPES: Final[tuple[tuple[type, str], ...]] = (
    (UtcTimeStamp, postgresql.TIME),
    (JsonText, postgresql.JSON),
    (BigInteger, "int8"),
    (Integer, "int4"),
    (Double, "float8"),
    (Boolean, "bool"),
    (LargeBinary, "bytea"),
)

KINDS: Final[postgresql.Kinds] = {
    # As plain texts: SQLAlchemy's names would have whoever unpickles them load SQLAlchemy.
    str(table.name): {str(column.name): _kind(column) for column in table.columns}
    for table in schema.metadata.sorted_tables
}
