"""A backlog into SQLite: everything tracklog keeps, against the same lines into one plain table."""

import asyncio
import sqlite3
import time
from itertools import islice
from pathlib import Path

import orjson

from benchmarks.lines import write_lines
from tracklog.ingester import Ingester

EXECUTIONS = 3000
BATCH = 10_000


def ours(directory: Path) -> float:
    """Give lines a second: executions, logs, calls, chains, positions, rollups."""
    lines = write_lines(directory / "bench.jsonl", EXECUTIONS)

    async def run() -> float:
        async with Ingester([directory / "bench.jsonl"], str(directory / "t.db")) as ingester:
            await ingester._store.prepare()
            began = time.perf_counter()
            await ingester.run_once()
            return time.perf_counter() - began

    return lines / asyncio.run(run())


def plain_inserts(directory: Path) -> float:
    """Give lines a second by `orjson.loads` and `executemany` into a table of 8 columns with two indexes."""
    path = directory / "bench.jsonl"
    lines = write_lines(path, EXECUTIONS)
    connection = sqlite3.connect(directory / "t.db")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("CREATE TABLE logs (execution_id, writer, seq, timestamp, level, event, kind, data)")
    connection.execute("CREATE INDEX one ON logs (execution_id, seq)")
    connection.execute("CREATE INDEX two ON logs (timestamp)")
    names = ("execution_id", "writer", "seq", "timestamp", "level", "event", "kind")
    began = time.perf_counter()
    with path.open("rb") as file:
        while batch := list(islice(file, BATCH)):
            rows = []
            for line in batch:
                fields = orjson.loads(line)
                rows.append((*(fields.get(name) for name in names), line.decode()))
            with connection:
                connection.executemany("INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    took = time.perf_counter() - began
    connection.close()
    return lines / took
