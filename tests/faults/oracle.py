"""What must be in the database: a pure fold of all the lines, compared with the rows there are."""

import asyncio
import datetime as dt
import gzip
import math
import os
import sqlite3
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
import zstandard
from asyncpg import PostgresError
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from faults.processes import SECONDS, until
from tracklog.ingester import schema
from tracklog.ingester.database import open_reader
from tracklog.ingester.decode import Event, Rejected, decode, written
from tracklog.ingester.fold import LOG_COLUMNS, Changes
from tracklog.ingester.measures import Measures, Window
from tracklog.ingester.merge import EXECUTIONS, LLM_CALLS, Rules
from tracklog.ingester.ranges import Ranges
from tracklog.ingester.store import Store
from tracklog.processors import TracklogError

Row = dict[str, Any]
Key = tuple[str, str, int]
"""What tells a log row from all others: execution, writer, seq."""

Place = tuple[str, dt.datetime]
"""An agent, and the beginning of a minute or an hour."""

_JSON: Final = frozenset(
    column.name
    for name in ("agent_execution_logs", "agent_executions", "agent_llm_calls")
    for column in schema.metadata.tables[name].columns
    if isinstance(column.type, schema.JsonText)
)
"""Columns of which the value counts, and not the text."""

_DATABASE: Final = (".db", ".db-wal", ".db-shm", ".db-journal")


@dataclass(slots=True)
class Content:
    """What stands in some files."""

    events: list[Event] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    ends: dict[tuple[int, int], int] = field(default_factory=dict)
    """The (decompressed) offset just after the last line, by device and inode."""
    paths: dict[tuple[int, int], str] = field(default_factory=dict)

    @property
    def keys(self) -> set[Key]:
        """Give the keys of the log rows that these lines make."""
        return set(keyed(self.events))


@dataclass(frozen=True, slots=True)
class Account:
    """What a comparison counted."""

    lines: int
    lost: int
    doubled: int


def keyed(events: Iterable[Event]) -> dict[Key, Event]:
    """Give the lines of executions, each once."""
    return {(event.execution_id, event.writer, event.seq): event for event in events if event.execution_id is not None}


def files_below(*roots: Path) -> Iterator[Path]:
    """Give all files below some directories that may be logs."""
    for root in roots:
        for directory, _, names in os.walk(root):
            for name in sorted(names):
                path = Path(directory, name)
                if path.is_file() and not name.endswith(_DATABASE) and not name.startswith("."):
                    yield path


def read_bytes(path: Path) -> bytes:
    """Read a file, decompressed as far as it goes."""
    data = path.read_bytes()
    if data.startswith(b"\x1f\x8b"):
        text = b""
        while data.startswith(b"\x1f\x8b"):
            member = zlib.decompressobj(wbits=31)
            text += member.decompress(data)
            data = member.unused_data
        return text
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as reader:
            return bytes(reader.read())
    return data


def is_compressed(path: Path) -> bool:
    """Tell from its first bytes whether a file is compressed."""
    with path.open("rb") as file:
        return file.read(4).startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd"))


def read_files(*roots: Path) -> Content:
    """Read all files below some directories."""
    content = Content()
    for path in files_below(*roots):
        status = path.stat()
        place = status.st_dev, status.st_ino
        if place not in content.ends:
            content.paths[place] = str(path)
            content.ends[place] = decode_file(content, path)
    return content


def decode_file(content: Content, path: Path) -> int:
    """Decode the lines of a file, and give where the last one ends; that of a compressed file needs no newline."""
    data = read_bytes(path)
    lines = data.split(b"\n")
    if not is_compressed(path):
        lines.pop()
    offset = 0
    for line in lines:
        text = line.lstrip(b"\x00")
        result = decode(text, offset + len(line) - len(text))
        if isinstance(result, Event):
            content.events.append(result)
        elif isinstance(result, Rejected):
            content.rejected.append(result)
        offset += len(line) + 1
    return min(offset, len(data))


async def fetch_rows(database: str, name: str) -> list[Row]:
    """Give all rows of a table, in the order of its key."""
    table = schema.metadata.tables[name]
    query = select(table).order_by(*table.primary_key.columns)
    if database.startswith("sqlite"):
        # As a reader: a transaction of the store's would take the lock that an ingester waits for.
        engine = open_reader(database)
        try:
            with engine.connect() as reading:
                return [dict(row) for row in reading.execute(query).mappings()]
        finally:
            engine.dispose()
    store = Store(database, "oracle")
    try:
        async with store.transaction() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]
    finally:
        await store.close()


def rows_of(database: str, name: str) -> list[Row]:
    """Give all rows of a table, where no loop runs."""
    return asyncio.run(fetch_rows(database, name))


def fold_all(events: Iterable[Event]) -> Changes:
    """Fold all lines in one go."""
    changes = Changes()
    for event in events:
        changes.add(event, "oracle")
    return changes


def compare(database: str, events: Sequence[Event], *, besides: Iterable[Event] = ()) -> Account:
    """Compare the database, row by row and column by column, with the fold of exactly these lines.

    :param besides: Lines that may be there or not: written, and deleted before they can have been read for certain.
    """
    return asyncio.run(compare_all(database, events, besides))


async def compare_all(database: str, events: Sequence[Event], besides: Iterable[Event] = ()) -> Account:
    """Compare inside a running loop; see `compare`."""
    logs = {
        (row["execution_id"], row["writer"], row["seq"]): row
        for row in await fetch_rows(database, "agent_execution_logs")
    }
    must, may = keyed(events), keyed(besides)
    missing, strange = sorted(must.keys() - logs.keys()), sorted(logs.keys() - must.keys() - may.keys())
    assert ([], []) == (missing[:5], strange[:5]), f"{len(missing)} lines are lost, {len(strange)} were never written"
    present = [event for key, event in {**may, **must}.items() if key in logs]
    expected = fold_all(present)
    for key, row in logs.items():
        _same_row(_stated(LOG_COLUMNS[:-2], dict(zip(LOG_COLUMNS, expected.logs[key], strict=True))), row, key)
    await _compare_rules(database, EXECUTIONS, list(expected.executions.values()))
    await _compare_rules(database, LLM_CALLS, list(expected.llm_calls.values()))
    await _compare_derived(database, expected)
    await _compare_rolled(database)
    return Account(len(must), len(missing), await _doubled(list(logs.values())))


async def _doubled(logs: Sequence[Row]) -> int:
    """Count lines that are there more than once, by the number that whoever wrote them gave each."""
    numbers: Counter[tuple[Any, Any]] = Counter()
    for row in logs:
        if isinstance(data := row["data"], dict) and "number" in data and data.get("by") is not None:
            numbers[data["by"], data["number"]] += 1
    doubled = [number for number, times in numbers.items() if times > 1]
    assert [] == doubled[:5]
    return len(doubled)


async def _compare_rules(database: str, rules: Rules, expected: Sequence[Row]) -> None:
    rows = {tuple(row[name] for name in rules.primary_key): row for row in await fetch_rows(database, rules.table)}
    wanted = {tuple(row[name] for name in rules.primary_key): row for row in expected}
    assert sorted(wanted) == sorted(rows)
    for key, row in wanted.items():
        _same_row(_stated(rules.columns, row), rows[key], key)


async def _compare_derived(database: str, expected: Changes) -> None:
    """Compare what is counted from other rows: the sums of calls, and the chains."""
    executions = {row["execution_id"]: row for row in await fetch_rows(database, "agent_executions")}
    owned: dict[str, list[Row]] = {}
    for (owner, _), call in expected.llm_calls.items():
        owned.setdefault(owner, []).append(call)
    for execution_id, row in executions.items():
        calls = owned.get(execution_id, [])
        tokens = [call["tokens_used"] for call in calls if call.get("tokens_used") is not None]
        wanted = (len(calls) or None, sum(tokens) if tokens else None)
        assert wanted == (row["llm_calls"], row["llm_tokens_used"]), execution_id
    chains = await fetch_rows(database, "agent_call_chains")
    assert sorted(
        (execution_id, row["parent_execution_id"])
        for execution_id, row in expected.executions.items()
        if row.get("parent_execution_id") is not None
    ) == sorted((row["child_execution_id"], row["parent_execution_id"]) for row in chains)


async def _compare_rolled(database: str) -> None:
    """Compare the rollups with the executions themselves, but for the minutes that wait to be counted anew."""
    dirty = await _windows(database, "tracklog_dirty_windows")
    minutes = await _windows(database, "agent_performance_metrics")
    hours = await _windows(database, "agent_performance_hours")
    wanted: dict[Place, Window] = defaultdict(Window)
    owners = {row["execution_id"]: row for row in await fetch_rows(database, "agent_executions")}
    for row in owners.values():
        if row["created_at"] is not None:  # Without a time it is in no window.
            wanted[_minute(row)].total.count(row)
            wanted[_minute(row)].by_method[row["method"] or ""].count(row)
    for call in await fetch_rows(database, "agent_llm_calls"):
        if (owner := owners[call["execution_id"]])["created_at"] is not None:
            wanted[_minute(owner)].by_model[call["model"] or ""].count(_as_execution(call))
    dirty |= await _windows(database, "tracklog_dirty_windows")  # Whoever rolls up meanwhile only takes marks away.
    assert sorted(wanted.keys() - dirty.keys()) == sorted(minutes.keys() - dirty.keys())
    summed: dict[Place, Window] = defaultdict(Window)
    for (agent, start), counted in wanted.items():
        hour = summed[agent, start.replace(minute=0)]
        hour.total.add(counted.total)
        for name, one in counted.by_method.items():
            hour.by_method[name].add(one)
        for name, one in counted.by_model.items():
            hour.by_model[name].add(one)
        if (agent, start) not in dirty:
            _same_figures(counted, minutes[agent, start])
    waiting = {(agent, start.replace(minute=0)) for agent, start in dirty}
    assert sorted(summed.keys() - waiting) == sorted(hours.keys() - waiting)
    for window in summed.keys() - waiting:
        _same_figures(summed[window], hours[window])


def _as_execution(call: Row) -> Row:
    """Give what is counted of an LLM call, under the names that this has of an execution."""
    failed = call["error_type"] is not None or call["error_message"] is not None
    return {
        "status": "failed" if failed else "unanswered" if call["end_key"] is None else "success",
        "error_type": call["error_type"],
        "duration_ms": call["latency_ms"],
        "llm_calls": None,
        "llm_tokens_used": call["tokens_used"],
        "llm_latency_ms": None,
        "llm_timed_calls": None,
    }


def _minute(execution: Row) -> Place:
    return execution["agent_name"] or "", execution["created_at"].replace(second=0, microsecond=0)


async def _windows(database: str, name: str) -> dict[Place, Row]:
    """Give the rows of a table by agent and time."""
    return {(row["agent_name"], row["window_start"]): row for row in await fetch_rows(database, name)}


def _same_figures(expected: Window, row: Row) -> None:
    """Compare a window with what was counted: all together, by method, and by model."""
    _same_measures(expected.total, row)
    for figures, there in ((expected.by_method, row["by_method"]), (expected.by_model, row["by_model"])):
        assert sorted(figures) == sorted(there)
        for name, one in figures.items():
            _same_measures(one, there[name])


def _same_measures(expected: Measures, row: Row) -> None:
    """Compare what was counted; sums of floats may differ in their last digits."""
    assert expected.status_counts == row["status_counts"]
    assert expected.error_counts == row["error_counts"]
    assert expected.duration_histogram == {int(index): count for index, count in row["duration_histogram"].items()}
    for name in ("duration_count", "llm_calls", "llm_tokens", "llm_latency_count"):
        assert getattr(expected, name) == row[name]
    for name in ("duration_sum_ms", "llm_latency_sum_ms"):
        assert math.isclose(getattr(expected, name), row[name], abs_tol=1e-6)


def _stated(columns: Iterable[str], row: Mapping[str, Any]) -> Row:
    return {name: row.get(name) for name in columns}


def _same_row(expected: Row, row: Row, key: object) -> None:
    """Compare a row's columns; JSON as the value it stands for, times as lines state them."""
    for name, value in expected.items():
        there = written(row[name]) if isinstance(row[name], dt.datetime) else row[name]
        if name in _JSON and value is not None:
            value = orjson.loads(value)
        assert value == there, (key, name)


def compare_positions(database: str, content: Content) -> None:
    """Check that every file was read to its last newline."""
    sources: dict[tuple[int, int], Row] = {}
    for row in sorted(rows_of(database, "tracklog_sources"), key=lambda row: (row["birth_ns"], row["generation"])):
        sources[row["device"], row["inode"]] = row
    for place, end in content.ends.items():
        if os.path.getsize(content.paths[place]):  # One that was emptied is noted once there is something in it.
            # Of a file without a line there may be nothing to note, as of what only its lines would show to be a log.
            position = sources[place]["position"] if place in sources else 0
            assert end == position, content.paths[place]


def seen_of(events: Iterable[Event]) -> dict[str, Ranges]:
    """Give the seq numbers of each writer, as ranges."""
    return {name: writer.seen for name, writer in fold_all(event for event in events if event.stamped).writers.items()}


def compare_writers(database: str, events: Iterable[Event]) -> None:
    """Check that what the database knows to be missing of each writer is what is missing."""
    assert seen_of(events) == {row["writer"]: row["seen"] for row in rows_of(database, "tracklog_writers")}


def compare_quarantine(database: str, content: Content) -> None:
    """Check that every line that cannot be taken is in the quarantine, and nothing else."""
    assert sorted((line.offset, line.length, line.head) for line in content.rejected) == sorted(
        (row["line_offset"], row["length"], bytes(row["head"])) for row in rows_of(database, "tracklog_quarantine")
    )


def compare_files(database: str, *roots: Path) -> Account:
    """Compare all there is with the files below some directories, of which nothing was lost on the way."""
    content = read_files(*roots)
    account = compare(database, content.events)
    compare_positions(database, content)
    compare_writers(database, content.events)
    compare_quarantine(database, content)
    if database.startswith("sqlite"):
        assert [("ok",)] == integrity_of(database)
    return account


def integrity_of(database: str) -> list[tuple[str]]:
    """Give what SQLite itself finds wrong with a database's file; "ok" where that is nothing."""
    connection = sqlite3.connect(database.removeprefix("sqlite:///"))
    try:
        return connection.execute("PRAGMA integrity_check").fetchall()
    finally:
        connection.close()


def until_read(database: str, *roots: Path, seconds: float = SECONDS) -> None:
    """Wait until all files below some directories are read to their ends; nobody may be writing."""
    content, state = Content(), None

    def is_read() -> bool:
        nonlocal content, state
        found = {path: (path.stat().st_ino, path.stat().st_size) for path in files_below(*roots)}
        if found != state:
            content, state = read_files(*roots), found
        try:
            compare_positions(database, content)
        except (AssertionError, KeyError, SQLAlchemyError, TracklogError):
            return False
        return True

    until(is_read, "the files were not read to their ends", seconds)


def until_begun(database: str) -> None:
    """Wait until something is in the database."""

    def is_begun() -> bool:
        try:
            return bool(rows_of(database, "tracklog_sources"))
        except (SQLAlchemyError, TracklogError, PostgresError):
            return False  # There is no table yet.

    until(is_begun)


def compress(path: Path, *, keep: bool = False) -> Path:
    """Compress a file as `gzip` does: a new file, then the old one goes."""
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    if not keep:
        path.unlink()
    return packed
