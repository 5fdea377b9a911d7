"""Remove old executions from the database, and keep them from coming back when their lines are read again."""

import datetime as dt
from collections.abc import Sequence
from typing import Final

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tracklog.ingester import bulk, schema
from tracklog.ingester.store import Store, be_alone, limit_waiting, mark_windows

_PER_STEP: Final = 1000
"""Executions a transaction removes: whoever waits for it hardly notices."""

_TABLES: Final = (
    ("agent_execution_logs", "execution_id"),
    ("agent_llm_calls", "execution_id"),
    ("agent_call_chains", "child_execution_id"),
    ("agent_executions", "execution_id"),
)


async def prune(store: Store, before: dt.datetime, *, limit: int = _PER_STEP) -> int:
    """Remove some of the executions whose last line is older than a time, whatever became of them.

    Lines without a time are as old as the last reading of their file. The ids of what is removed are kept, and lines of
    theirs are passed over from then on; their share of the rollups goes with them.

    :returns: How many were removed; 0 when none is left.
    """
    now = dt.datetime.now(dt.UTC)
    table = schema.agent_executions
    async with store.transaction() as connection:
        await limit_waiting(connection)
        await be_alone(connection)  # A batch that looked up what was pruned before could bring back what is pruned now.
        ids = sorted(await _old(connection, before.astimezone(dt.UTC), limit))
        await bulk.insert(
            connection,
            schema.tracklog_purged,
            ("execution_id", "purged_at"),
            [(execution_id, now) for execution_id in ids],
            "(execution_id) DO NOTHING",
        )
    if not ids:
        return 0
    # From here on nothing comes to them. What takes long is done while others go on; were it cut off, the executions
    # would still be old the next time.
    async with store.transaction() as connection:
        await limit_waiting(connection)
        if not bulk.is_sqlite(connection):
            of_these = table.c.execution_id.in_(ids)
            await connection.execute(
                select(table.c.execution_id).where(of_these).order_by(table.c.execution_id).with_for_update()
            )
        await mark_windows(connection, ids, store.host, now)
        await delete_executions(connection, ids)
    return len(ids)


async def _old(connection: AsyncConnection, before: dt.datetime, limit: int) -> list[str]:
    table, logs, sources = schema.agent_executions.c, schema.agent_execution_logs.c, schema.tracklog_sources.c
    timed = (
        select(table.execution_id)
        # What began later has no older line; the index is on the beginning.
        .where(table.created_at < before, table.last_key < before.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
        .order_by(table.created_at, table.execution_id)
    )
    read_since = exists().where(
        logs.execution_id == table.execution_id, logs.source_id == sources.source_id, sources.read_at >= before
    )
    timeless = select(table.execution_id).where(table.created_at.is_(None), ~read_since).order_by(table.execution_id)
    ids = [*await connection.scalars(timed.limit(limit))]
    return ids if len(ids) == limit else [*ids, *await connection.scalars(timeless.limit(limit - len(ids)))]


async def delete_executions(connection: AsyncConnection, ids: Sequence[str]) -> None:
    """Delete executions with all that belongs to them."""
    for name, key in _TABLES:
        await bulk.fetch(connection, f"DELETE FROM {name} WHERE {key} IN ({{keys}})", ids)
