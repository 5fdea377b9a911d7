"""Performance by agent, method and model: changed minutes are counted anew, and hours are summed up from minutes."""

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence, Set
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, Table, and_, delete, func, literal_column, or_, select, true, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from tracklog.ingester import bulk, schema
from tracklog.ingester.commit import minute_of
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
        found = await _rolled_up(connection, minutes)
        await _put(connection, schema.agent_performance_metrics, [(minute, found.get(minute)) for minute in minutes])
        hours = sorted({(agent, start.replace(minute=0)) for agent, start in minutes})
        summed = await _summed(connection, hours)
        await _put(connection, schema.agent_performance_hours, [(hour, summed.get(hour)) for hour in hours])
    return len(minutes)


_SECONDS: Final = int(MINUTE.total_seconds())


_dirty: Final = schema.tracklog_dirty_windows


def _windows(table: Table) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    return table.c.agent_name, table.c.window_start


async def _take(connection: AsyncConnection, before: dt.datetime | None) -> list[_Key]:
    query = select(*_windows(_dirty)).distinct()
    if before is not None:
        query = query.where(_dirty.c.window_start < before)
    # Windows of one minute together, as their rows lie together.
    query = query.order_by(_dirty.c.window_start, _dirty.c.agent_name).limit(_WINDOWS_PER_STEP)
    windows = [(row.agent_name, row.window_start) for row in await connection.execute(query)]
    if windows:
        await connection.execute(delete(_dirty).where(tuple_(*_windows(_dirty)).in_(windows)))
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


async def find_wrong(connection: AsyncConnection) -> str | None:
    """Find a minute or an hour whose rollup is not what its rows say, but for those that are still to be rolled up.

    :returns: A sentence about it, or None.
    """
    dirty = [(row.agent_name, row.window_start) for row in await connection.execute(select(*_windows(_dirty)))]
    minute = literal_column(minute_of("created_at", is_sqlite=bulk.is_sqlite(connection)), schema.Time)
    table = schema.agent_executions.c
    missing = (
        select(func.coalesce(table.agent_name, ""), minute)
        .where(table.created_at.is_not(None))
        .except_(select(*_windows(schema.agent_performance_metrics)), select(*_windows(_dirty)))
        .limit(1)
    )
    for agent, start in await connection.execute(missing):
        return f"agent_performance_metrics has no row of agent {agent!r} at {start}, when it has executions"
    hours = {(agent, start.replace(minute=0)) for agent, start in dirty}
    return await _find_differing(
        connection, schema.agent_performance_metrics, {*dirty}, _rolled_up
    ) or await _find_differing(connection, schema.agent_performance_hours, hours, _summed)


_MOST_AGENTS: Final = 1000
"""More are not named one by one in a statement."""


async def _rolled_up(connection: AsyncConnection, minutes: Sequence[_Key]) -> dict[_Key, tuple[Any, ...]]:
    found = await _counted(connection, minutes)
    return {minute: (_SECONDS, *window.values()) for minute, window in found.items()}


async def _find_differing(
    connection: AsyncConnection,
    table: Table,
    but: Set[_Key],
    make: Callable[[AsyncConnection, Sequence[_Key]], Awaitable[Mapping[_Key, Sequence[Any]]]],
) -> str | None:
    """Find a row that is not as it would be made now."""
    names = [column.name for column in table.columns][2:]
    is_named: ColumnElement[bool] = true()
    if table is schema.agent_performance_hours:  # Of them there is an index by agent alone.
        agents = (await connection.scalars(select(table.c.agent_name).distinct())).all()
        is_named = table.c.agent_name.in_(agents) if len(agents) <= _MOST_AGENTS else true()
    for start in (await connection.scalars(select(table.c.window_start).distinct())).all():
        query = select(table).where(is_named, table.c.window_start == start)
        rows = (await connection.execute(query)).mappings().all()
        there = {(row["agent_name"], start): row for row in rows}
        windows = [window for window in there if window not in but]
        made = await make(connection, windows)
        for window in windows:
            ours = made.get(window)
            for place, name in enumerate(names):
                if ours is None or not _is_alike(ours[place], there[window][name]):
                    return f"{table.name} has another {name} of agent {window[0]!r} at {start} than its rows say"
    return None


def _is_alike(one: Any, other: Any) -> bool:
    """Compare figures, with JSON as its text or decoded; sums of fractions may differ in their last digits."""
    if other is None:
        return True  # Not broken down, as an older version did, or by too many names.
    if isinstance(one, str):
        one = orjson.loads(one)
    if isinstance(other, str):
        other = orjson.loads(other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_alike(value, other[key]) for key, value in one.items())
    return math.isclose(one, other, abs_tol=1e-6) if isinstance(one, (int, float)) else bool(one == other)


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
