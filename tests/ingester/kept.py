"""A log directory with a bit of everything, for the tests of what looks after a database that was filled from it."""

import asyncio
import gzip
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import delete, select, text, update

from ingester.lines import dumps, stamped
from tracklog.ingester import Ingester, schema
from tracklog.ingester.store import Store
from tracklog.ingester.worker import Worker
from tracklog.processors.line import Kind

T = TypeVar("T")

HOST = "here"

START = Worker.start


def start_and_wait(worker: Worker) -> None:
    """Start the process that reads ahead, and wait until it is there: the backlogs of tests are short."""
    START(worker)
    if worker._process is not None:
        worker._greeted.exception(timeout=30)


def story(writer: str, executions: Sequence[str], *, first: float = 0) -> list[dict[str, Any]]:
    """Tell of executions of an agent: each asks a model, and calls the next one."""
    lines: list[dict[str, Any]] = []

    def say(execution_id: str, kind: Kind | None = None, **fields: Any) -> None:
        number = len(lines) + 1
        line = {"execution_id": execution_id, "agent_name": writer.upper(), **fields}
        lines.append(stamped(writer, number, at=first + number / 1000, **line, **({"kind": kind} if kind else {})))

    parent = None
    for execution_id in executions:
        more: dict[str, Any] = {"parent_execution_id": parent} if parent else {}
        say(execution_id, Kind.EXECUTION_STARTED, input_data={"question": execution_id, "naïve": None}, **more)
        say(execution_id, count=3, ratio=0.1)
        say(execution_id, Kind.LLM_REQUEST, call_id="c", model="m", request={"messages": ["what?"]})
        say(execution_id, Kind.LLM_RESPONSE, call_id="c", response={"text": "that"}, tokens_used=7, latency_ms=1.5)
        say(execution_id, Kind.OUTPUT, output_data=["done", 1])
        say(execution_id, Kind.EXECUTION_FINISHED, status="success", duration_ms=12.25)
        parent = execution_id
    return lines


def write(logs: Path) -> None:
    """Write a plain file, a compressed one, a copy, a foreign one, a line that is none, and an end that is torn."""
    logs.mkdir()
    (logs / "a.jsonl").write_bytes(dumps(*story("a", ["a1", "a2", "a3"])))
    (logs / "b.jsonl.gz").write_bytes(gzip.compress(dumps(*story("b", ["b1", "b2"], first=60))))
    (logs / "copy.jsonl").write_bytes((logs / "a.jsonl").read_bytes())
    (logs / "foreign.log").write_bytes(b'{"event":"hello","execution_id":"f1"}\nno json\n{"event":"torn')


def ingest(database: str, logs: Path) -> None:
    """Read what is there."""

    async def run() -> None:
        async with Ingester([logs], database, host=HOST) as ingester:
            await ingester.run_once()

    asyncio.run(run())


def with_store(database: str, work: Callable[[Store], Awaitable[T]]) -> T:
    """Do something with an open database."""

    async def run() -> T:
        store = Store(database, HOST)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def contents(database: str) -> dict[str, list[dict[str, Any]]]:
    """Give all rows but those of bookkeeping that depends on when it was done."""

    async def read(store: Store) -> dict[str, list[dict[str, Any]]]:
        async with store.transaction() as connection:
            return {
                table.name: [
                    {name: value for name, value in row.items() if name not in _MOMENTS}
                    for row in (await connection.execute(select(table).order_by(*table.primary_key.columns))).mappings()
                ]
                for table in schema.metadata.sorted_tables
                if table.name not in ("tracklog_ingesters", "tracklog_dirty_windows", "tracklog_purged")
            }

    return with_store(database, read)


_MOMENTS = ("first_seen_at", "read_at", "quarantined_at", "moved_at", "moved_agent", "settled_at")


def change(database: str, table: str, key: str, value: str, **values: Any) -> None:
    """Change rows behind the back of everybody; without values, delete them."""
    named = schema.metadata.tables[table]
    statement = update(named).values(**values) if values else delete(named)

    async def run(store: Store) -> None:
        async with store.transaction() as connection:
            done = await connection.execute(statement.where(named.c[key] == value))
            assert done.rowcount > 0

    with_store(database, run)


def query(database: str, sql: str) -> list[tuple[Any, ...]]:
    """Ask something in SQL."""

    async def run(store: Store) -> list[tuple[Any, ...]]:
        async with store.transaction() as connection:
            return [tuple(row) for row in await connection.execute(text(sql))]

    return with_store(database, run)


def execute(database: str, sql: str) -> None:
    """Do something in SQL."""

    async def run(store: Store) -> None:
        async with store.transaction() as connection:
            await connection.exec_driver_sql(sql)

    with_store(database, run)
