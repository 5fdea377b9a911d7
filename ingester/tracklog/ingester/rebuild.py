"""Make the database anew from the files, in one transaction, while ingesters and readers go on."""

import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Table, Text, func, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncConnection

from tracklog.ingester import bulk, commit, schema
from tracklog.ingester.fold import LOG_COLUMNS, Rows
from tracklog.ingester.merge import EXECUTIONS, LLM_CALLS
from tracklog.ingester.prune import delete_executions
from tracklog.ingester.ranges import union
from tracklog.ingester.shadow import Progress, shadow
from tracklog.ingester.store import Store, be_alone, limit_waiting, mark_windows, storable

_PER_STEP: Final = 1000
"""Executions that are held in memory at a time."""

_COVERED: Final = """
SELECT execution_id FROM agent_executions AS e WHERE NOT EXISTS (
    SELECT 1 FROM agent_execution_logs AS l
    WHERE l.execution_id = e.execution_id AND l.source_id NOT IN ({keys})
)
"""


@dataclass(slots=True)
class Rebuilt:
    """What was made anew."""

    files: int = 0
    lines: int = 0
    executions: int = 0
    pruned: int = 0
    """Executions of these files that had been pruned, and were left out."""
    kept: int = 0
    """Executions with lines that are in no file here, which were kept as they were and brought up to the files."""
    unreadable: int = 0
    """Files and directories that could not be read, or not to their end; what came from them was kept."""


async def rebuild(store: Store, paths: Sequence[str], progress: Progress | None = None) -> Rebuilt:
    """Read all files below some paths, and put what they say in the place of what the database had of them.

    Kept are verdicts, what was pruned, and what came from files that are not there any more or cannot be read. An
    ingester that runs meanwhile finds its positions moved, and goes on from there.

    :raises SourceNotFoundError: One of the paths does not exist.
    :raises TransactionConflictError: Another transaction was in the way for long; nothing was changed.
    """
    await store.prepare()
    # What goes wrong here is told of the innermost transaction's database.
    async with (
        shadow(store, paths, progress) as (other, _, unreadable),
        other.transaction() as files,
        store.transaction() as connection,
    ):
        await limit_waiting(connection)
        await be_alone(connection)
        return await _take_over(store, connection, files, unreadable)


async def _take_over(
    store: Store, connection: AsyncConnection, files: AsyncConnection, unreadable: frozenset[str]
) -> Rebuilt:
    result, now = Rebuilt(unreadable=len(unreadable)), dt.datetime.now(dt.UTC)
    # What could be read of a file before it failed must not take the place of all that was read of it once.
    halves = {storable(path) for path in unreadable}
    sources = [row for row in await _all(files, schema.tracklog_sources) if row["path"] not in halves]
    source_ids = sorted(row["source_id"] for row in sources)
    result.files = len(sources)
    result.lines = sum(row["lines"] for row in sources)
    before = await connection.scalar(select(func.count()).select_from(schema.agent_executions)) or 0
    covered = sorted(execution_id for (execution_id,) in await bulk.fetch(connection, _COVERED, source_ids))
    result.kept = before - len(covered)
    verdicts = []
    for start in range(0, len(covered), _PER_STEP):
        ids = covered[start : start + _PER_STEP]
        verdicts += await _verdicts(connection, ids)
        await mark_windows(connection, ids, store.host, now)
        await delete_executions(connection, ids)
    await _note_writers(connection, files)
    async for rows in _rows(files):
        pruned = len(await commit.pruned(bulk.Transaction(connection), rows.executions))
        result.pruned += pruned
        result.executions += len(rows.executions) - pruned
        await store.add(connection, rows, now)
    await bulk.update(
        connection, schema.agent_executions, "execution_id", ("verdict", "verdict_key", "verdict_at"), verdicts
    )
    await mark_windows(connection, sorted(row[-1] for row in verdicts), store.host, now)
    await _replace(connection, schema.tracklog_sources, source_ids, sources)
    await _replace(connection, schema.tracklog_quarantine, source_ids, await _all(files, schema.tracklog_quarantine))
    return result


async def _verdicts(connection: AsyncConnection, ids: Sequence[str]) -> list[tuple[Any, ...]]:
    table = schema.agent_executions.c
    rows = await connection.execute(
        select(table.verdict, table.verdict_key, table.verdict_at, table.execution_id).where(
            table.execution_id.in_(ids), table.verdict.is_not(None)
        )
    )
    return [tuple(row) for row in rows]


async def _rows(files: AsyncConnection) -> AsyncIterator[Rows]:
    """Give all executions of the files, with what belongs to them, some at a time."""
    column = schema.agent_executions.c.execution_id
    last = ""
    while True:
        ids = (await files.scalars(select(column).where(column > last).order_by(column).limit(_PER_STEP))).all()
        if not ids:
            return
        yield Rows(
            await _of(files, schema.metadata.tables[EXECUTIONS.table], EXECUTIONS.columns, ids),
            await _of(files, schema.metadata.tables[LLM_CALLS.table], LLM_CALLS.columns, ids),
            await _of(files, schema.agent_execution_logs, LOG_COLUMNS, ids),
        )
        last = ids[-1]


async def _of(files: AsyncConnection, table: Table, names: Sequence[str], ids: Sequence[str]) -> list[Any]:
    rows = (await files.execute(_select(table).where(table.c.execution_id.in_(ids)))).mappings()
    return [tuple(row[name] for name in names) for row in rows]


async def _all(files: AsyncConnection, table: Table) -> Sequence[Mapping[Any, Any]]:
    return (await files.execute(_select(table))).mappings().all()


def _select(table: Table) -> Any:
    """Select rows as they are inserted: JSON as its text."""
    return select(
        *(
            type_coerce(column, Text).label(column.name) if isinstance(column.type, schema.JsonText) else column
            for column in table.columns
        )
    )


async def _replace(
    connection: AsyncConnection, table: Table, source_ids: Sequence[str], rows: Sequence[Mapping[Any, Any]]
) -> None:
    """Put rows in the place of those of some sources."""
    await bulk.fetch(connection, f"DELETE FROM {table.name} WHERE source_id IN ({{keys}})", source_ids)
    columns = [column.name for column in table.columns]
    key = ", ".join(column.name for column in table.primary_key.columns)
    await bulk.insert(
        connection, table, columns, [tuple(row[name] for name in columns) for row in rows], f"({key}) DO NOTHING"
    )


async def _note_writers(connection: AsyncConnection, files: AsyncConnection) -> None:
    """Add what the files tell of each writer to what is known of it, from files that are gone too."""
    table = schema.tracklog_writers
    columns = [column.name for column in table.columns if column.name != "gone_at"]
    rows = {row["writer"]: dict(row) for row in await _all(files, table)}
    known = await bulk.fetch(
        connection,
        "SELECT writer, CAST(seen AS TEXT), last_seq FROM tracklog_writers WHERE writer IN ({keys}) ORDER BY writer",
        sorted(rows),
    )
    for writer, seen, last_seq in known:
        row = rows[writer]
        row["seen"] = orjson.dumps(union(orjson.loads(seen), orjson.loads(row["seen"]))).decode()
        row["last_seq"] = max(row["last_seq"], last_seq)
    settings = ", ".join(
        f"{name} = excluded.{name}"
        if name in ("seen", "last_seq")
        else f"{name} = CASE WHEN COALESCE(excluded.{seq}, 0) >= COALESCE(t.{seq}, 0)"
        f" THEN excluded.{name} ELSE t.{name} END"
        for name in columns[1:]
        for seq in ["closed_seq" if name in _CLOSED else "opened_seq"]
    )
    await bulk.insert(
        connection,
        table,
        columns,
        [tuple(rows[name][column] for column in columns) for name in sorted(rows)],
        f"(writer) DO UPDATE SET {settings}",
    )


_CLOSED: Final = ("closed_at", "closed_seq", "closed_reason", "lines_written", "lines_dropped")
"""What a writer's last line says; the rest is said by the header of its newest segment."""
