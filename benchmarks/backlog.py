"""A backlog into a database: everything tracklog keeps, against the same lines into one plain table."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import asyncpg
import duckdb
import orjson

from benchmarks.lines import write_lines

EXECUTIONS = 12_000
BATCH = 10_000

_NAMES = ("execution_id", "writer", "seq", "timestamp", "level", "event", "kind")

_OURS = """
import asyncio, gc, time
from tracklog.ingester import Ingester
gc.set_threshold(100_000)  # As the command line does.
async def run():
    async with Ingester([{path!r}], {url!r}) as ingester:
        await ingester._store.prepare()
        began = time.perf_counter()
        await ingester.run_once()
        return time.perf_counter() - began
print(asyncio.run(run()))
"""
_POLL_SECONDS = 0.02


def lines_below(directory: Path, executions: int = EXECUTIONS) -> tuple[Path, int]:
    """Write the lines to be read, and give their file and number."""
    path = directory / "bench.jsonl"
    return path, write_lines(path, executions)


def ours(directory: Path, url: str | None = None) -> float:
    """Give lines a second into SQLite, or into the database at a URL: everything that is kept of them."""
    return ingest(*lines_below(directory), url or str(directory / "t.db"))


def memory(directory: Path, executions: int, url: str | None = None) -> float:
    """Give the most memory that an ingester and the processes beside it held of a backlog at a time, in MiB.

    It is their proportional set size: what they share, such as the interpreter's libraries, counts once.
    """
    path, _ = lines_below(directory, executions)
    most = 0
    with _start(path, url or str(directory / "t.db")) as process:
        while process.poll() is None:
            most = max(most, sum(map(_held, _family(process.pid))))
            time.sleep(_POLL_SECONDS)
    return most / 1024


def ingest(path: Path, lines: int, url: str) -> float:
    """Give lines a second of an ingester that reads a file to its end."""
    with _start(path, url) as process:
        output, _ = process.communicate()
    return lines / float(output)


def _start(path: Path, url: str) -> "subprocess.Popen[str]":
    program = _OURS.format(path=str(path), url=url)
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def _family(pid: int) -> list[int]:
    children = _read(f"/proc/{pid}/task/{pid}/children").split()
    return [pid, *(one for child in children for one in _family(int(child)))]


def _held(pid: int) -> int:
    """Give the proportional set size of a process in KiB; 0 once it has ended."""
    lines = _read(f"/proc/{pid}/smaps_rollup").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError:
        return ""


def plain_inserts(directory: Path) -> float:
    """Give lines a second by `orjson.loads` and `executemany` into a table of 8 columns with two indexes."""
    path, lines = lines_below(directory)
    connection = sqlite3.connect(directory / "t.db")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("CREATE TABLE logs (execution_id, writer, seq, timestamp, level, event, kind, data)")
    connection.execute("CREATE INDEX one ON logs (execution_id, seq)")
    connection.execute("CREATE INDEX two ON logs (timestamp)")
    began = time.perf_counter()
    with path.open("rb") as file:
        while batch := list(islice(file, BATCH)):
            with connection:
                connection.executemany("INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", _plain(batch))
    took = time.perf_counter() - began
    connection.close()
    return lines / took


def plain_copy(directory: Path, url: str) -> float:
    """Give lines a second by `orjson.loads` and asyncpg's COPY into a table of 8 columns with two indexes."""
    path, lines = lines_below(directory)

    async def run() -> float:
        connection = await asyncpg.connect(url)
        await connection.execute(
            "CREATE TABLE logs (execution_id text, writer text, seq bigint, timestamp text, level text, event text,"
            " kind text, data text)"
        )
        await connection.execute("CREATE INDEX one ON logs (execution_id, seq)")
        await connection.execute("CREATE INDEX two ON logs (timestamp)")
        began = time.perf_counter()
        with path.open("rb") as file:
            while batch := list(islice(file, BATCH)):
                await connection.copy_records_to_table("logs", records=_plain(batch))
        took = time.perf_counter() - began
        await connection.close()
        return took

    return lines / asyncio.run(run())


def _plain(batch: list[bytes]) -> list[tuple[object, ...]]:
    rows = []
    for line in batch:
        fields = orjson.loads(line)
        rows.append((*(fields.get(name) for name in _NAMES), line.decode()))
    return rows


def sqlite_utils(directory: Path) -> float:
    """Give lines a second of `sqlite-utils insert --nl`."""
    path, lines = lines_below(directory)
    database = str(directory / "t.db")
    command = [sys.executable, "-m", "sqlite_utils", "insert", database, "logs", str(path), "--nl", "--alter"]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return lines / (time.perf_counter() - began)


def duckdb_reads(directory: Path) -> float:
    """Give lines a second of DuckDB's `read_json` into a table, on all cores."""
    path, lines = lines_below(directory)
    with duckdb.connect(str(directory / "t.duckdb")) as connection:
        began = time.perf_counter()
        connection.execute(f"CREATE TABLE logs AS SELECT * FROM read_json('{path}', format = 'newline_delimited')")
        return lines / (time.perf_counter() - began)
