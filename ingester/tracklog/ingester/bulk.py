"""Many rows in one statement: executemany on SQLite, arrays and COPY on PostgreSQL, one text of SQL for both."""

import datetime as dt
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

import orjson
from sqlalchemy import BigInteger, Boolean, Column, Double, Integer, LargeBinary, Table
from sqlalchemy.ext.asyncio import AsyncConnection

from tracklog.ingester.decode import moment_of, written
from tracklog.ingester.schema import JsonText, UtcTimeStamp

Values = Sequence[Any]
"""A row, in the order of its columns; JSON as text, times as aware datetimes or as `decode.written` writes them."""


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
    names = ", ".join(columns)
    into = f"INSERT INTO {table.name} AS t ({names})"
    if is_sqlite(connection):
        marks = ", ".join("?" * len(columns))
        sql = f"{into} VALUES ({marks}) ON CONFLICT {conflict}"
        return await _execute_many(connection, sql, _for_sqlite(table, columns, rows))
    selected = ", ".join(_cast(table.c[name], f"u.{name}") for name in columns)
    arrays = ", ".join(f"${place}::{_array_type(table.c[name])}[]" for place, name in enumerate(columns, start=1))
    sql = f"{into} SELECT {selected} FROM unnest({arrays}) AS u({names}) ON CONFLICT {conflict}"
    return _count(await (await driver(connection)).execute(sql, *_for_postgresql(table, columns, rows)))


async def copy(connection: AsyncConnection, table: Table, columns: Sequence[str], rows: Sequence[Values]) -> None:
    """Copy rows straight into a table of PostgreSQL; a key that is there already is an error."""
    if not rows:
        return
    records = zip(*_for_postgresql(table, columns, rows), strict=True)
    await (await driver(connection)).copy_records_to_table(table.name, records=records, columns=columns)


async def update(
    connection: AsyncConnection, table: Table, key: str, columns: Sequence[str], rows: Sequence[Values]
) -> int:
    """Set `columns` of the rows with the given keys; each row of values ends in its key.

    :returns: How many rows were there.
    """
    if not rows:
        return 0
    if is_sqlite(connection):
        sql = f"UPDATE {table.name} SET {', '.join(f'{name} = ?' for name in columns)} WHERE {key} = ?"
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
        rows = await (await driver(connection)).execute_fetchall(*_with_keys_sqlite(sql, keys, values))
    else:
        sql = sql.replace("{keys}", "SELECT unnest($1::text[])")
        rows = await (await driver(connection)).fetch(sql, list(keys), *values)
    return rows


async def _execute_many(connection: AsyncConnection, sql: str, rows: Sequence[Values]) -> int:
    cursor = await (await driver(connection)).executemany(sql, rows)
    return int(cursor.rowcount)


def _with_keys_sqlite(sql: str, keys: Iterable[str], values: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    text = sql.replace("{keys}", "SELECT value FROM json_each(?1)")
    for place in range(len(values), 0, -1):
        text = text.replace(f"${place + 1}", f"?{place + 1}")
    return text, (orjson.dumps(list(keys)).decode(), *map(_sqlite_value, values))


def _for_sqlite(table: Table, columns: Sequence[str], rows: Sequence[Values]) -> list[tuple[Any, ...]]:
    """Write the times, if there are any that are not written yet; most rows are of lines and have none."""
    kinds = (map(type, map(itemgetter(place), rows)) for place in _times(table, columns))
    if not any(dt.datetime in one for one in kinds):
        return [*map(tuple, rows)]
    return [tuple(map(_sqlite_value, row)) for row in rows]


def _sqlite_value(value: Any) -> Any:
    return written(value) if isinstance(value, dt.datetime) else value


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
