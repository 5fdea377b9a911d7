"""Performance by agent, method and model: changed minutes are counted anew, and hours are summed up from minutes."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Table, and_, delete, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from tracklog.ingester import bulk, schema
from tracklog.ingester.measures import HOUR, MINUTE, Measures, Window, added, joined, of_calls, of_executions, sums
from tracklog.ingester.store import Store, limit_waiting

SETTLING: Final = dt.timedelta(minutes=2)
"""A minute is rolled up when it is this old; before, it would be done again with each batch."""

_WINDOWS_PER_STEP: Final = 200
"""Bounds one transaction, so that batches do not wait for it."""

_LOCK: Final = 0x726F_6C6C
"""The advisory lock that lets one ingester at a time roll up, so that no earlier count overwrites a later one."""

_Key = tuple[str, dt.datetime]
"""A window's key: the agent's name, "" where no line named it, and the beginning."""


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
        found = await _counted(connection, minutes)
        rows = [(minute, (_SECONDS, *found[minute].values()) if minute in found else None) for minute in minutes]
        await _put(connection, schema.agent_performance_metrics, rows)
        hours = sorted({(agent, start.replace(minute=0)) for agent, start in minutes})
        summed = await _summed(connection, hours)
        await _put(connection, schema.agent_performance_hours, [(hour, summed.get(hour)) for hour in hours])
    return len(minutes)


_SECONDS: Final = int(MINUTE.total_seconds())


async def _take(connection: AsyncConnection, before: dt.datetime | None) -> list[_Key]:
    dirty = schema.tracklog_dirty_windows
    query = select(dirty.c.agent_name, dirty.c.window_start).distinct()
    if before is not None:
        query = query.where(dirty.c.window_start < before)
    # Windows of one minute together, as their rows lie together.
    query = query.order_by(dirty.c.window_start, dirty.c.agent_name).limit(_WINDOWS_PER_STEP)
    windows = [(row.agent_name, row.window_start) for row in await connection.execute(query)]
    if windows:
        await connection.execute(delete(dirty).where(tuple_(dirty.c.agent_name, dirty.c.window_start).in_(windows)))
    return windows


async def _counted(connection: AsyncConnection, minutes: Sequence[_Key]) -> dict[_Key, Window]:
    """Count the executions of some minutes, and their LLM calls; minutes without any are left out."""
    table = schema.agent_executions.c
    executions = of_executions(agent=table.agent_name, name=table.method)
    calls = of_calls(agent=table.agent_name, name=schema.agent_llm_calls.c.model)
    found: dict[_Key, Window] = defaultdict(Window)
    for start, agents in _by_start(minutes):
        named = table.agent_name.in_([agent for agent in agents if agent])
        these = and_(
            or_(named, table.agent_name.is_(None)) if "" in agents else named,
            table.created_at >= start,
            table.created_at < start + MINUTE,
        )
        for row in (await connection.execute(executions.where(these))).mappings():
            window, measures = found[row["agent"] or "", start], Measures.counted(row)
            window.total.add(measures)
            window.by_method[row["name"] or ""].add(measures)
        for row in (await connection.execute(calls.where(these))).mappings():
            window = found[row["agent"] or "", start]
            window.by_model[row["name"] or ""].add(Measures.counted(row))
    return found


async def _summed(connection: AsyncConnection, hours: Sequence[_Key]) -> dict[_Key, tuple[Any, ...]]:
    """Add up the minutes of some hours; hours without any are left out."""
    table = schema.agent_performance_metrics
    broken_down = table.c.by_method, table.c.by_model
    query = select(
        table.c.agent_name,
        *sums(table),
        *joined(*broken_down),
        func.count().label("minutes"),
        *(func.count(column).label(f"with_{column.name}") for column in broken_down),
    ).group_by(table.c.agent_name)
    found = {}
    for start, agents in _by_start(hours):
        these = table.c.agent_name.in_(agents), table.c.window_start >= start, table.c.window_start < start + HOUR
        for row in (await connection.execute(query.where(*these))).mappings():
            found[row["agent_name"], start] = (
                *Measures.summed(row).values(),
                *(
                    added(row[column.name]) if row[f"with_{column.name}"] == row["minutes"] else None
                    for column in broken_down
                ),
            )
    return found


def _by_start(windows: Sequence[_Key]) -> Iterable[tuple[dt.datetime, list[str]]]:
    """Give the agents of the windows that begin at the same time: they are counted by one statement."""
    agents: dict[dt.datetime, list[str]] = {}
    for agent, start in windows:
        agents.setdefault(start, []).append(agent)
    return agents.items()


async def _put(connection: AsyncConnection, table: Table, rows: Sequence[tuple[_Key, Sequence[Any] | None]]) -> None:
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
