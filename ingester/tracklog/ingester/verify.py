"""Compare the files with the database, line by line and row by row, also while agents log."""

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tracklog.ingester import bulk, rollup, schema
from tracklog.ingester.fold import LOG_COLUMNS
from tracklog.ingester.merge import EXECUTIONS, LLM_CALLS
from tracklog.ingester.shadow import Progress, shadow
from tracklog.ingester.store import Store

_PER_STEP: Final = 500
"""Executions that are compared at a time."""

_Row = Mapping[Any, Any]
_Rows = dict[str, dict[tuple[Any, ...], _Row]]
"""By execution, then by what tells its rows apart."""

_LLM_SUMS: Final = ("llm_model", "llm_calls", "llm_tokens_used", "llm_latency_ms", "llm_timed_calls")
_LOG_VALUES: Final = tuple(name for name in LOG_COLUMNS if name not in ("source_id", "line_offset"))
"""Not the place: a line that stands in two files has the place where it was read first."""


@dataclass(slots=True)
class Verification:
    """What a comparison found."""

    files: int = 0
    lines: int = 0
    """Lines of executions that were looked for in the database."""
    executions: int = 0
    """Executions that were compared whole."""
    unread: int = 0
    """Lines that the database had not come to when the comparison began."""
    elsewhere: int = 0
    """Executions with lines that are in no file here, of which only the lines were compared."""
    pruned: int = 0
    """Executions of these files that were pruned."""
    unreadable: int = 0
    """Files and directories that could not be read, or not to their end; of them nothing is known."""
    difference: str | None = None
    """The first difference, as a sentence; None if there is none."""


async def verify(store: Store, paths: Sequence[str], progress: Progress | None = None) -> Verification:
    """Read all files below some paths and compare what they say with the database, up to the first difference.

    :raises SourceNotFoundError: One of the paths does not exist.
    """
    async with shadow(store, paths, progress) as (other, positions, unreadable):
        comparison = _Comparison(store, other, positions)
        comparison.result.unreadable = len(unreadable)
        await comparison.run()
        return comparison.result


class _Comparison:
    def __init__(self, store: Store, other: Store, positions: Mapping[str, int]) -> None:
        self._store = store
        self._other = other
        self._positions = positions
        self._read: dict[str, tuple[str, int]] = {}
        """What was read of the files: by source, its path and how far."""
        self.result = Verification()

    async def run(self) -> None:
        sources = schema.tracklog_sources.c
        async with self._other.reading() as connection:
            rows = await connection.execute(select(sources.source_id, sources.path, sources.position))
            self._read = {row.source_id: (row.path, row.position) for row in rows}
        self.result.files = len(self._read)
        async for ids in _ids(self._other):
            self.result.difference = await self._compare(ids)
            if self.result.difference is not None:
                return
        async for ids in _ids(self._store):
            self.result.difference = await self._find_strangers(ids)
            if self.result.difference is not None:
                return
        async with self._store.reading() as connection:
            await _see_one_moment(connection)
            self.result.difference = await rollup.find_wrong(connection)

    async def _compare(self, ids: Sequence[str]) -> str | None:
        """Compare executions that the files tell of."""
        async with self._other.reading() as connection:
            said = await _everything(connection, ids)
        async with self._store.reading() as connection:
            held = await _everything(connection, ids)
            purged = schema.tracklog_purged.c.execution_id
            pruned = set((await connection.scalars(select(purged).where(purged.in_(ids)))).all())
        for execution_id in ids:
            if execution_id in pruned:
                self.result.pruned += 1
                continue
            found = self._compare_one(execution_id, said, held)
            if found is not None:
                return found
        return None

    def _compare_one(self, execution_id: str, said: Mapping[str, _Rows], held: Mapping[str, _Rows]) -> str | None:
        logs, there = said["logs"].get(execution_id, {}), held["logs"].get(execution_id, {})
        for key, line in logs.items():
            if key not in there:
                if line["line_offset"] >= self._positions.get(line["source_id"], 0):
                    self.result.unread += 1
                    continue
                return f"{self._place(line)}, a line of execution {execution_id}, is not in the database"
            self.result.lines += 1
            if name := _differs(line, there[key], _LOG_VALUES):
                return f"{self._place(line)}: agent_execution_logs has another {name} of execution {execution_id}"
        for key, row in there.items():
            if key not in logs and self._should_be_read(row):
                return f"{self._place(row)} is no line of execution {execution_id}, as the database says"
        if logs.keys() != there.keys():
            if not there.keys() <= logs.keys():
                self.result.elsewhere += 1
            return None
        self.result.executions += 1
        for table, names in _COMPARED.items():
            ours, theirs = said[table].get(execution_id, {}), held[table].get(execution_id, {})
            if ours.keys() != theirs.keys():
                return f"{table} has {len(theirs)} rows of execution {execution_id}; its lines make {len(ours)}"
            for key, row in ours.items():
                if name := _differs(row, theirs[key], names):
                    return f"{table} has another {name} of execution {execution_id} than its lines say"
        return None

    async def _find_strangers(self, ids: Sequence[str]) -> str | None:
        """Look for executions that the database has and that no line of the files is of."""
        async with self._other.reading() as connection:
            table = schema.agent_executions.c.execution_id
            told = set((await connection.scalars(select(table).where(table.in_(ids)))).all())
        strangers = [execution_id for execution_id in ids if execution_id not in told]
        if not strangers:
            return None
        async with self._store.reading() as connection:
            rows = await _rows(connection, schema.agent_execution_logs, "execution_id", ("writer", "seq"), strangers)
            # It may have been pruned since its id was read.
            table = schema.agent_executions.c.execution_id
            still = set((await connection.scalars(select(table).where(table.in_(strangers)))).all())
        for execution_id in strangers:
            lines = rows.get(execution_id, {})
            if not lines and execution_id in still:
                return f"agent_executions has an execution {execution_id} without any line"
            for line in lines.values():
                if self._should_be_read(line):
                    return f"{self._place(line)} is no line of execution {execution_id}, as the database says"
            self.result.elsewhere += bool(lines)
        return None

    def _should_be_read(self, row: _Row) -> bool:
        """Tell whether a row's line is in a part of a file that was read."""
        read = self._read.get(row["source_id"])
        return read is not None and row["line_offset"] < read[1]

    def _place(self, row: _Row) -> str:
        return f"{self._read[row['source_id']][0]}, byte {row['line_offset']:,}"


_COMPARED: Final[Mapping[str, Sequence[str]]] = {
    "agent_executions": (*EXECUTIONS.columns, *_LLM_SUMS),
    "agent_llm_calls": LLM_CALLS.columns,
    "agent_call_chains": ("parent_execution_id", "root_execution_id", "depth", "child_agent", "call_reason"),
}


async def _ids(store: Store) -> AsyncIterator[Sequence[str]]:
    """Give the ids of all executions, some at a time."""
    column = schema.agent_executions.c.execution_id
    last = ""
    while True:
        async with store.reading() as connection:
            query = select(column).where(column > last).order_by(column).limit(_PER_STEP)
            ids = (await connection.scalars(query)).all()
        if not ids:
            return
        yield ids
        last = ids[-1]


async def _see_one_moment(connection: AsyncConnection) -> None:
    if not bulk.is_sqlite(connection):
        await connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


async def _everything(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, _Rows]:
    """Give all rows of some executions, of one moment."""
    await _see_one_moment(connection)
    return {
        "logs": await _rows(connection, schema.agent_execution_logs, "execution_id", ("writer", "seq"), ids),
        "agent_executions": await _rows(connection, schema.agent_executions, "execution_id", (), ids),
        "agent_llm_calls": await _rows(connection, schema.agent_llm_calls, "execution_id", ("call_id",), ids),
        "agent_call_chains": await _rows(connection, schema.agent_call_chains, "child_execution_id", (), ids),
    }


async def _rows(
    connection: AsyncConnection, table: Table, execution: str, key: Sequence[str], ids: Sequence[str]
) -> _Rows:
    rows: _Rows = {}
    found = await connection.execute(select(table).where(table.c[execution].in_(ids)))
    for row in found.mappings():
        rows.setdefault(row[execution], {})[tuple(row[name] for name in key)] = row
    return rows


def _differs(one: _Row, other: _Row, names: Sequence[str]) -> str | None:
    """Give the name of the first column that differs; None if none does."""
    return next((name for name in names if one[name] != other[name] and not _is_rounded(name, one, other)), None)


def _is_rounded(name: str, one: _Row, other: _Row) -> bool:
    """Tell whether it is a sum of fractions that was only added up in another order."""
    if name != "llm_latency_ms" or one[name] is None or other[name] is None:
        return False
    return math.isclose(one[name], other[name], abs_tol=1e-6)
