"""Performance by agent: the minutes that changed counted anew, and their hours summed up from the minutes."""

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Table, and_, delete, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from tracklog.ingester import bulk, schema
from tracklog.ingester.measures import COUNTED, HOUR, MINUTE, Measures, sums
from tracklog.ingester.store import Store, limit_waiting

SETTLING: Final = dt.timedelta(minutes=2)
"""A minute is rolled up when it is this old; before, it would be done again with each batch."""

_WINDOWS_PER_STEP: Final = 200
"""Bounds one transaction, so that batches do not wait for it."""

_WINDOWS_PER_STATEMENT: Final = 50

_LOCK: Final = 0x726F_6C6C
"""The advisory lock that lets one ingester at a time roll up, so that no earlier count overwrites a later one."""

_Window = tuple[str, dt.datetime]
"""The agent's name, "" where no line named it, and the beginning."""


async def roll_up(store: Store, *, before: dt.datetime | None = None) -> int:
    """Roll up some of the dirty minutes that began before a time, or of all, and the hours that they lie in.

    :returns: How many were; 0 when there is nothing left to do or another ingester is at it.
    """
    async with store.transaction() as connection:
        await limit_waiting(connection)
        if not bulk.is_sqlite(connection):
            got = await connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({_LOCK})")
            if not got.scalar():
                return 0
        minutes = await _take(connection, before)
        # A batch that committed while its mark was being taken is seen by the statements from here on.
        counted = await _counted(connection, minutes)
        rows = [(minute, (_SECONDS, *counted[minute].values()) if minute in counted else None) for minute in minutes]
        await _put(connection, schema.agent_performance_metrics, rows)
        hours = sorted({(agent, start.replace(minute=0)) for agent, start in minutes})
        summed = [(window, await _summed(connection, *window)) for window in hours]
        await _put(connection, schema.agent_performance_hours, summed)
    return len(minutes)


_SECONDS: Final = int(MINUTE.total_seconds())


async def _take(connection: AsyncConnection, before: dt.datetime | None) -> list[_Window]:
    dirty = schema.tracklog_dirty_windows
    query = select(dirty.c.agent_name, dirty.c.window_start).distinct()
    if before is not None:
        query = query.where(dirty.c.window_start < before)
    query = query.order_by(dirty.c.agent_name, dirty.c.window_start).limit(_WINDOWS_PER_STEP)
    windows = [(row.agent_name, row.window_start) for row in await connection.execute(query)]
    if windows:
        await connection.execute(delete(dirty).where(tuple_(dirty.c.agent_name, dirty.c.window_start).in_(windows)))
    return windows


async def _counted(connection: AsyncConnection, minutes: Sequence[_Window]) -> dict[_Window, Measures]:
    """Count the executions of some minutes; those without any are left out."""
    table = schema.agent_executions.c
    columns = [table.agent_name, table.created_at, *(table[name] for name in COUNTED)]
    counted: dict[_Window, Measures] = defaultdict(Measures)
    for place in range(0, len(minutes), _WINDOWS_PER_STATEMENT):
        conditions = [
            and_(
                table.agent_name == agent if agent else table.agent_name.is_(None),
                table.created_at >= start,
                table.created_at < start + MINUTE,
            )
            for agent, start in minutes[place : place + _WINDOWS_PER_STATEMENT]
        ]
        for row in (await connection.execute(select(*columns).where(or_(*conditions)))).mappings():
            minute = row["created_at"].replace(second=0, microsecond=0)
            counted[row["agent_name"] or "", minute].count(row)
    return counted


async def _summed(connection: AsyncConnection, agent: str, start: dt.datetime) -> tuple[Any, ...] | None:
    """Add up the minutes of an hour; None if there are none."""
    table = schema.agent_performance_metrics
    query = (
        select(*sums(table))
        .where(table.c.agent_name == agent, table.c.window_start >= start, table.c.window_start < start + HOUR)
        .group_by(table.c.agent_name)
    )
    row = (await connection.execute(query)).mappings().one_or_none()
    return Measures.summed(row).values() if row is not None else None


async def _put(connection: AsyncConnection, table: Table, rows: Sequence[tuple[_Window, Sequence[Any] | None]]) -> None:
    """Put rows in the place of what a rollup has of their windows; None takes it away."""
    columns = [column.name for column in table.columns]
    settings = ", ".join(f"{name} = excluded.{name}" for name in columns[2:])
    await bulk.insert(
        connection,
        table,
        columns,
        [(*window, *row) for window, row in rows if row is not None],
        f"(agent_name, window_start) DO UPDATE SET {settings}",
    )
    for (agent, start), row in rows:
        if row is None:
            await connection.execute(delete(table).where(table.c.agent_name == agent, table.c.window_start == start))
