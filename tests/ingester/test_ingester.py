"""The loop, with real agents, real processes and real signals."""

import asyncio
import datetime as dt
import gzip
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from ingester import kept
from ingester.lines import dumps, stamped
from tracklog.ingester import (
    DatabaseUnreachableError,
    Ingester,
    SchemaError,
    SourceNotFoundError,
    files,
    migrate,
    presence,
    schema,
)
from tracklog.ingester.database import open_reader
from tracklog.ingester.ranges import gaps
from tracklog.ingester.sources import Source, find
from tracklog.ingester.store import Store

AGENT = """
import sys, time
from tracklog.processors import configure, execution
configure({logs!r}, service="agent", console=False, max_bytes=20_000)
import structlog
log = structlog.get_logger()
"""
WAITING = (
    AGENT
    + """
with execution("Patient", method="wait") as run:
    log.info("about to ask", stage="llm_prepare")
    call = run.llm_call("slow-model", {{"messages": ["are you there?"]}})
    with call:
        print("waiting", flush=True)
        sys.stdin.read()
"""
)
BUSY = (
    AGENT
    + """
for number in range({executions}):
    with execution("Busy", input_data={{"number": number}}) as run:
        for step in range(5):
            log.info("step", step=step, text="x" * 200)
        run.set_output(number)
"""
)


async def rows_of(database: str, name: str) -> list[dict[str, Any]]:
    table = schema.metadata.tables[name]
    query = select(table).order_by(*table.primary_key.columns)
    if database.startswith("sqlite"):
        # As a reader: a transaction of the store's would take the lock that the ingester waits for.
        engine = open_reader(database)
        try:
            with engine.connect() as reading:
                return [dict(row) for row in reading.execute(query).mappings()]
        finally:
            engine.dispose()
    store = Store(database, "reader")
    try:
        async with store.transaction() as connection:
            return [dict(row) for row in (await connection.execute(query)).mappings()]
    finally:
        await store.close()


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    """Wait for a condition, and fail if it does not come."""
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


@contextmanager
def agent(program: str, **settings: Any) -> Iterator[subprocess.Popen[str]]:
    """Run an agent; it does not outlive the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", program.format(**settings)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def daemon(database: str, logs: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `tracklog ingest`; it does not outlive the block."""
    command = [sys.executable, "-c", "from tracklog.analytics.cli import main; main()", "ingest", str(logs)]
    process = subprocess.Popen([*command, "--db", database, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_line(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert "waiting\n" == process.stdout.readline()


def test_it_follows_and_ends_when_it_is_told(database: str, tmp_path: Path) -> None:
    """Lines that are written while it runs are answerable; on SIGTERM it ends with exit code 0."""
    logs = tmp_path / "logs"

    async def is_there() -> bool:
        rows = await rows_of(database, "agent_executions")
        return [row["status"] for row in rows] == ["success"] * 20

    with daemon(database, logs) as process:
        with agent(BUSY, logs=str(logs), executions=20) as busy:
            assert 0 == busy.wait(30)
        asyncio.run(until_made(database, process))
        asyncio.run(until(is_there))
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, complaints = process.communicate(timeout=10)
        assert time.monotonic() - began < 5
        assert (0, b"") == (process.returncode, complaints.partition(b"waiting for it\n")[2])
    (noted,) = asyncio.run(rows_of(database, "tracklog_ingesters"))
    assert noted["stopped_at"] is not None
    assert 0 == noted["bytes_behind"]


def test_several_of_one_host_know_of_each_other(database: str, tmp_path: Path) -> None:
    """Each with paths of its own; one that is started again takes its own place, and that of those that do not run."""
    for name in ("a", "b", "c"):
        kept.write(tmp_path / name)

    async def noted() -> list[tuple[str, bool]]:
        rows = await rows_of(database, "tracklog_ingesters")
        return [(Path(*row["paths"]).name, row["stopped_at"] is not None) for row in rows]

    async def until_noted(*expected: tuple[str, bool]) -> None:
        async def is_there() -> bool:
            return [*expected] == await noted()

        await until(is_there)

    kept.ingest(database, tmp_path / "c")
    with daemon(database, tmp_path / "a", "--host", kept.HOST) as first:
        asyncio.run(until_noted(("a", False)))
        kept.ingest(database, tmp_path / "b")
        asyncio.run(until_noted(("a", False), ("b", True)))
        assert [str(tmp_path / "a"), str(tmp_path / "b")] == kept.with_store(database, presence.noted_paths)
        first.kill()
    with daemon(database, tmp_path / "a", "--host", kept.HOST):
        asyncio.run(until_noted(("a", False)))


async def until_made(database: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the ingester has made the schema."""

    async def is_made() -> bool:
        assert process.poll() is None, process.communicate()
        try:
            await rows_of(database, "tracklog_ingesters")
        except Exception:  # noqa: BLE001
            return False
        return True

    await until(is_made)


def test_a_killed_agent_is_told_to_have_crashed(database: str, tmp_path: Path) -> None:
    """Its execution is `crashed`, at its last stage and with its call in flight, seconds after its process died."""

    async def has(status: str) -> bool:
        return [row["status"] for row in await rows_of(database, "agent_executions")] == [status]

    with daemon(database, tmp_path) as process, agent(WAITING, logs=str(tmp_path)) as patient:
        wait_for_line(patient)
        asyncio.run(until_made(database, process))
        asyncio.run(until(lambda: has("llm_request")))
        patient.send_signal(signal.SIGKILL)
        asyncio.run(until(lambda: has("crashed")))
    (execution,) = asyncio.run(rows_of(database, "agent_executions"))
    assert ("llm_call", "llm_request", None) == (
        execution["current_stage"],
        execution["line_status"],
        execution["completed_at"],
    )
    (call,) = asyncio.run(rows_of(database, "agent_llm_calls"))
    assert ("slow-model", None) == (call["model"], call["end_key"])
    (writer,) = asyncio.run(rows_of(database, "tracklog_writers"))
    assert writer["gone_at"] is not None


def test_an_agent_that_lives_is_not_judged(database: str, tmp_path: Path) -> None:
    """However long it is silent, while its process lives its execution runs; and a late end overrules a verdict."""

    async def run_once(**options: Any) -> str:
        async with Ingester([tmp_path], database, **options) as ingester:
            await ingester.run_once()
        (row,) = await rows_of(database, "agent_executions")
        return str(row["status"])

    with agent(WAITING, logs=str(tmp_path)) as patient:
        wait_for_line(patient)
        assert "llm_request" == asyncio.run(run_once(stale_after=dt.timedelta(0)))
        patient.communicate("", timeout=20)
    assert "success" == asyncio.run(run_once(stale_after=dt.timedelta(0)))


def test_a_copy_of_a_living_agents_file_proves_nothing(database: str, tmp_path: Path) -> None:
    """The lock of a copy is free, and says nothing of the writer of the original."""
    logs, copies = tmp_path / "logs", tmp_path / "copies"
    copies.mkdir()
    with agent(WAITING, logs=str(logs)) as patient:
        wait_for_line(patient)
        for path in logs.iterdir():
            (copies / path.name).write_bytes(path.read_bytes())

        async def run() -> str:
            async with Ingester([copies], database) as ingester:
                await ingester.run_once()
            (row,) = await rows_of(database, "agent_executions")
            return str(row["status"])

        assert "llm_request" == asyncio.run(run())


def test_silence_is_a_timeout_where_nobody_can_be_asked(database: str, tmp_path: Path) -> None:
    """An execution of another host, silent for long, is taken for timed out; its end, when it comes, counts."""
    path = tmp_path / "far.jsonl"
    header: dict[str, Any] = {"kind": "writer.opened", "segment": 1, "host": "far", "boot_id": "other", "locked": True}
    started = stamped("w", 2, execution_id="x", kind="execution.started", agent_name="A")
    path.write_bytes(dumps(stamped("w", 1, **header), started))

    async def status() -> str:
        async with Ingester([tmp_path], database, stale_after=dt.timedelta(minutes=5)) as ingester:
            await ingester.run_once()
        (row,) = await rows_of(database, "agent_executions")
        return str(row["status"])

    assert "timeout" == asyncio.run(status())
    with path.open("ab") as file:
        file.write(dumps(stamped("w", 3, execution_id="x", kind="execution.finished", status="success")))
    assert "success" == asyncio.run(status())


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_any_instant_it_loses_and_doubles_nothing(database: str, tmp_path: Path, seed: int) -> None:
    """An ingester that is killed again and again while agents log and rotate ends with every line there once."""
    print("seed", seed)
    chance = random.Random(seed)
    with (
        agent(BUSY, logs=str(tmp_path), executions=600) as one,
        agent(BUSY, logs=str(tmp_path), executions=600) as two,
    ):
        for _ in range(4):
            with daemon(database, tmp_path) as process:
                try:
                    process.wait(chance.uniform(0.4, 1.4))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
        assert (0, 0) == (one.wait(60), two.wait(60))

    async def account() -> None:
        async with Ingester([tmp_path], database) as ingester:
            await ingester.run_once()
        files = sorted(tmp_path.glob("*.jsonl"))
        lines = [line for file in files for line in file.read_bytes().splitlines()]
        writers = await rows_of(database, "tracklog_writers")
        assert [[], []] == [gaps(writer["seen"]) for writer in writers]
        assert len(lines) == sum(writer["last_seq"] for writer in writers)
        executions = await rows_of(database, "agent_executions")
        assert ["success"] * 1200 == [row["status"] for row in executions]
        assert all(row["output_data"] == row["input_data"]["number"] for row in executions)
        logs = await rows_of(database, "agent_execution_logs")
        assert len(logs) == sum(b'"execution_id"' in line for line in lines)
        sources = await rows_of(database, "tracklog_sources")
        assert {file.name: file.stat().st_size for file in files} == {
            os.path.basename(source["path"]): source["position"] for source in sources
        }

    asyncio.run(account())


def test_two_ingesters_share_the_files(database: str, tmp_path: Path) -> None:
    """Two that follow the same files into the same database do no harm to each other."""

    async def run() -> None:
        stop = asyncio.Event()
        async with Ingester([tmp_path], database) as one, Ingester([tmp_path], database) as other:
            following = [asyncio.create_task(ingester.run(stop)) for ingester in (one, other)]
            with agent(BUSY, logs=str(tmp_path), executions=300) as busy:
                await asyncio.to_thread(busy.wait, 60)

            async def is_there() -> bool:
                rows = await rows_of(database, "agent_executions")
                return [row["status"] for row in rows] == ["success"] * 300

            await until_ready(database)
            await until(is_there)
            stop.set()
            await asyncio.gather(*following)
        lines = sum(path.read_bytes().count(b'"execution_id"') for path in tmp_path.glob("*.jsonl"))
        assert lines == len(await rows_of(database, "agent_execution_logs"))

    asyncio.run(run())


def test_a_file_is_renamed_between_being_found_and_being_opened(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one has its name by then: both are read, each once."""
    logs = tmp_path / "logs"
    logs.mkdir()
    path = logs / "a.log"
    path.write_bytes(dumps(*kept.story("x", ["x1"])))
    moved: list[Path] = []

    def rotate_and_find(host: str, place: str, *rest: Any) -> Source:
        if place == str(path) and not moved:
            moved.append(path.rename(logs / "a.log.1"))
            path.write_bytes(dumps(*kept.story("y", ["y1"])))
        return find(host, place, *rest)

    monkeypatch.setattr(files, "find", rotate_and_find)
    kept.ingest(database, logs)
    assert moved
    assert [("x1", 6), ("y1", 6)] == kept.query(
        database, "SELECT execution_id, count(*) FROM agent_execution_logs GROUP BY 1 ORDER BY 1"
    )
    assert [(2,)] == kept.query(database, "SELECT count(*) FROM tracklog_sources")


def test_another_has_seen_that_the_file_began_anew(database: str, tmp_path: Path) -> None:
    """Whoever missed that a file was cut, and written anew, goes on where another ingester is by now."""
    log = tmp_path / "a.log"

    async def run() -> None:
        log.write_bytes(dumps(*(stamped("w", seq, execution_id=f"e{seq}") for seq in (1, 2, 3))))
        async with Ingester([log], database) as one, Ingester([log], database) as other:
            await one.run_once()
            with log.open("r+b") as file:  # The same file, whatever the file system makes of a new one.
                file.truncate()
                file.write(dumps(stamped("w", 4, execution_id="e4")))
            await other.run_once()
            with log.open("ab") as file:
                file.write(dumps(stamped("w", 5, execution_id="e5")))
            async with asyncio.timeout(30):
                summary = await one.run_once()
        assert summary.executions == 1
        assert [2, 3] == sorted(row["lines"] for row in await rows_of(database, "tracklog_sources"))
        assert 5 == len(await rows_of(database, "agent_execution_logs"))

    asyncio.run(run())


def test_rollups_are_counted_from_the_rows(database: str, tmp_path: Path) -> None:
    """After a run to the end no minute is dirty, and the rollups hold every execution once."""
    with agent(BUSY, logs=str(tmp_path), executions=30) as busy:
        busy.wait(30)

    async def run() -> None:
        async with Ingester([tmp_path], database) as ingester:
            await ingester.run_once()
        assert [] == await rows_of(database, "tracklog_dirty_windows")
        metrics = await rows_of(database, "agent_performance_metrics")
        assert {"Busy"} == {row["agent_name"] for row in metrics}
        assert 30 == sum(row["total_executions"] for row in metrics)
        assert 30 == sum(row["status_counts"]["success"] for row in metrics)
        hours = await rows_of(database, "agent_performance_hours")
        assert 30 == sum(row["total_executions"] for row in hours)
        durations = sum(row["duration_ms"] for row in await rows_of(database, "agent_executions"))
        for rollup in (metrics, hours):
            assert durations == pytest.approx(sum(row["duration_sum_ms"] for row in rollup))

    asyncio.run(run())


def test_rollups_are_broken_down_by_method_and_model(database: str, tmp_path: Path) -> None:
    """What stands under a name is counted as the whole is; calls have their latency for a duration."""
    lines = kept.story("a", ["a1", "a2"])
    more = {"kind": "llm.error", "call_id": "d", "model": "n", "error_type": "RateLimitError", "latency_ms": 5.0}
    failed = stamped("a", len(lines) + 1, at=2, execution_id="a2", method="run", **more)
    unanswered = stamped("a", len(lines) + 2, at=3, execution_id="a2", kind="llm.request", call_id="e", model="n")
    (tmp_path / "a.jsonl").write_bytes(dumps(*lines, failed, unanswered))
    kept.ingest(database, tmp_path)

    async def run() -> None:
        (minute,) = await rows_of(database, "agent_performance_metrics")
        (hour,) = await rows_of(database, "agent_performance_hours")
        for row in (minute, hour):
            assert {"": 1, "run": 1} == {name: one["duration_count"] for name, one in row["by_method"].items()}
            assert {"success": 2} == row["by_model"]["m"]["status_counts"]
            assert (2, 3.0, 14) == tuple(row["by_model"]["m"][name] for name in _FIGURES)
            assert {"failed": 1, "unanswered": 1} == row["by_model"]["n"]["status_counts"]
            assert {"RateLimitError": 1} == row["by_model"]["n"]["error_counts"]
            assert (1, 5.0, 0) == tuple(row["by_model"]["n"][name] for name in _FIGURES)

    asyncio.run(run())


@pytest.mark.parametrize(("pause", "minutes"), [(0.1, [None]), (1.2, [49, 50, 21])])
def test_rollups_are_not_broken_down_by_what_are_rather_ids(
    database: str, tmp_path: Path, pause: float, minutes: list[int | None]
) -> None:
    """A minute tells nothing of more than a hundred methods, and nor does an hour whose minutes have so many."""
    of = {"kind": "execution.started", "agent_name": "A"}
    lines = [stamped("a", seq, at=seq * pause, execution_id=f"a{seq}", method=f"m{seq}", **of) for seq in range(1, 121)]
    (tmp_path / "a.jsonl").write_bytes(dumps(*lines))
    kept.ingest(database, tmp_path)
    held = kept.contents(database)
    by_method = [row["by_method"] for row in held["agent_performance_metrics"]]
    assert minutes == [None if one is None else len(one) for one in by_method]
    assert [None] == [row["by_method"] for row in held["agent_performance_hours"]]


_FIGURES = ("duration_count", "duration_sum_ms", "llm_tokens")


def test_a_torn_last_line_is_quarantined_when_its_writer_is_gone(database: str, tmp_path: Path) -> None:
    """The half line of a writer that died is kept with its place, and the position goes past it."""
    with agent(BUSY, logs=str(tmp_path), executions=1) as busy:
        busy.wait(30)
    (path,) = tmp_path.glob("*.jsonl")
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(b'{"timestamp":"2026')

    async def run() -> None:
        async with Ingester([tmp_path], database) as ingester:
            summary = await ingester.run_once()
        assert 1 == summary.quarantined
        (line,) = await rows_of(database, "tracklog_quarantine")
        assert (size, 18, b'{"timestamp":"2026') == (line["line_offset"], line["length"], bytes(line["head"]))
        (source,) = await rows_of(database, "tracklog_sources")
        assert size + 18 == source["position"]

    asyncio.run(run())


def test_only_closed_and_ingested_segments_are_removed_and_only_when_asked(
    sqlite_database: str, tmp_path: Path
) -> None:
    """What a writer closed and the database holds may go; what a living agent writes, or is no log of ours, stays."""
    with agent(BUSY, logs=str(tmp_path), executions=5) as busy:
        busy.wait(30)
    closed = set(tmp_path.glob("*.jsonl"))
    foreign = tmp_path / "foreign.log"
    foreign.write_text('{"event": "e", "execution_id": "x"}\n')

    async def run(**options: Any) -> set[Path]:
        async with Ingester([tmp_path], sqlite_database, **options) as ingester:
            await ingester.run_once()
        return {path for path in tmp_path.iterdir() if path.suffix in (".jsonl", ".log")}

    with agent(WAITING, logs=str(tmp_path)) as patient:
        wait_for_line(patient)
        (living,) = set(tmp_path.glob("*.jsonl")) - closed
        assert closed | {foreign, living} == asyncio.run(run())
        assert closed | {foreign, living} == asyncio.run(run(remove_after=dt.timedelta(hours=1)))
        assert {foreign, living} == asyncio.run(run(remove_after=dt.timedelta(0)))
    assert 7 == len(asyncio.run(rows_of(sqlite_database, "agent_executions")))


def test_a_path_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    """Whoever wants what is there read is told that it is not there."""

    async def run() -> None:
        async with Ingester([tmp_path / "none"], f"sqlite:///{tmp_path}/t.db") as ingester:
            await ingester.run_once()

    with pytest.raises(SourceNotFoundError, match="none"):
        asyncio.run(run())


def test_a_database_that_is_away_is_an_error_for_who_reads_once(tmp_path: Path) -> None:
    """And its password is not in the message."""

    async def run() -> None:
        async with Ingester([tmp_path], "postgresql://me:secret@127.0.0.1:1/none") as ingester:
            await ingester.run_once()

    with pytest.raises(DatabaseUnreachableError) as caught:
        asyncio.run(run())
    assert "secret" not in str(caught.value)


def test_a_database_that_comes_late_is_waited_for(sqlite_database: str, tmp_path: Path) -> None:
    """While another holds the database for longer than it waits, nothing is lost, and then all is there."""
    logs = tmp_path / "logs"
    with agent(BUSY, logs=str(logs), executions=5) as busy:
        busy.wait(30)

    async def run() -> None:
        async with Ingester([logs], sqlite_database) as ingester:
            await ingester.run_once()
        with agent(BUSY, logs=str(logs), executions=5) as again:
            again.wait(30)
        stop = asyncio.Event()
        store = Store(sqlite_database, "other")
        async with Ingester([logs], sqlite_database) as ingester:
            async with store.transaction() as connection:
                await connection.scalar(select(func.count()).select_from(schema.agent_executions))
                following = asyncio.create_task(ingester.run(stop))
                await asyncio.sleep(0)
            await until(lambda: _counts(sqlite_database, 10))
            stop.set()
            await following
        await store.close()

    asyncio.run(run())


async def _counts(database: str, number: int) -> bool:
    return len(await rows_of(database, "agent_executions")) == number


def test_an_execution_without_any_time_times_out(database: str, tmp_path: Path) -> None:
    """It is as old as the last reading of its file."""
    path = tmp_path / "a.log"
    path.write_bytes(b'{"execution_id":"x","event":"e"}\n')

    async def status(stale_after: dt.timedelta) -> str:
        async with Ingester([path], database, stale_after=stale_after) as ingester:
            await ingester.run_once()
        (row,) = await rows_of(database, "agent_executions")
        return str(row["status"])

    assert "running" == asyncio.run(status(dt.timedelta(hours=1)))
    assert "timeout" == asyncio.run(status(dt.timedelta(0)))
    path.write_bytes(path.read_bytes() + b'{"execution_id":"x","event":"later"}\n')
    assert "running" == asyncio.run(status(dt.timedelta(hours=1)))


def test_what_cannot_be_read_to_its_end_is_told(sqlite_database: str, tmp_path: Path) -> None:
    """A line without its end, a compressed file without its own, and a file that nobody may read."""
    line = b'{"execution_id":"x","event":"e"}\n'
    (tmp_path / "half.log").write_bytes(line + b'{"exec')
    (tmp_path / "cut.log.gz").write_bytes(gzip.compress(line * 100)[:-9])
    (tmp_path / "none.log.gz").write_bytes(b"no gzip at all")
    (tmp_path / "whole.log").write_bytes(line)
    (tmp_path / "whole.log.gz").write_bytes(gzip.compress(line))

    async def run() -> None:
        async with Ingester([tmp_path], sqlite_database) as ingester:
            assert 3 == (await ingester.run_once()).unended

    asyncio.run(run())


def test_a_call_without_an_answer_has_no_latency(database: str, tmp_path: Path) -> None:
    """The average is of those that have one, from rows and from rollups."""
    lines = [
        stamped("w", 1, execution_id="x", agent_name="A", kind="llm.request", call_id="1"),
        stamped("w", 2, execution_id="x", agent_name="A", kind="llm.response", call_id="1", latency_ms=100),
        stamped("w", 3, execution_id="x", agent_name="A", kind="llm.request", call_id="2"),
    ]
    (tmp_path / "a.jsonl").write_bytes(dumps(*lines))

    async def run() -> None:
        async with Ingester([tmp_path], database) as ingester:
            await ingester.run_once()
        (row,) = await rows_of(database, "agent_executions")
        assert (2, 1, 100.0) == (row["llm_calls"], row["llm_timed_calls"], row["llm_latency_ms"])
        (metrics,) = await rows_of(database, "agent_performance_metrics")
        assert (2, 1, 100.0) == (metrics["llm_calls"], metrics["llm_latency_count"], metrics["llm_latency_sum_ms"])

    asyncio.run(run())


def test_a_database_that_lets_nobody_in_for_a_while_is_waited_for(
    postgres_server: Any, postgres_database: str, tmp_path: Path
) -> None:
    """Its owner closed it, with an error that has no name among those of servers that are away."""
    name = postgres_database.split("?")[0].rpartition("/")[2]
    path = tmp_path / "a.jsonl"
    written = 0

    def write() -> None:
        nonlocal written
        with path.open("ab") as file:
            for _ in range(20):
                written += 1
                file.write(dumps(stamped("w", written, execution_id="x")))

    async def all_there() -> bool:
        return written == len(await rows_of(postgres_database, "agent_execution_logs"))

    with daemon(postgres_database, tmp_path) as process:
        write()
        # The schema is made by the daemon; until then there are no rows to ask for.
        wait_for_stderr(process, "following")
        asyncio.run(until_ready(postgres_database))
        asyncio.run(until(all_there))
        ends = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        postgres_server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false", ends)
        write()
        wait_for_stderr(process, "waiting for it")
        postgres_server.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        wait_for_stderr(process, "is back")
        write()
        asyncio.run(until(all_there))
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(10)


def test_one_whose_database_was_upgraded_ends(database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It says so, and whoever starts it anew may start a newer one; what else the database refuses is waited for."""
    breaks = "ALTER TABLE tracklog_ingesters RENAME COLUMN bytes_behind TO behind"
    if not database.startswith("sqlite"):
        breaks = "ALTER TABLE tracklog_ingesters DROP CONSTRAINT tracklog_ingesters_pkey"

    async def execute(statement: str) -> None:
        await asyncio.to_thread(kept.execute, database, statement)

    async def waits() -> bool:
        return "waiting for it" in caplog.text

    async def noted() -> bool:
        return bool(await rows_of(database, "tracklog_ingesters"))

    async def run() -> None:
        await migrate.upgrade(database)
        async with Ingester([tmp_path], database) as ingester:
            following = asyncio.create_task(ingester.run(asyncio.Event()))
            await until(noted)
            await execute(breaks)
            await until(waits)
            assert not following.done()
            await execute("UPDATE alembic_version SET version_num = '9999'")
            with pytest.raises(SchemaError, match=r"has schema 9999, newer .*; install a newer tracklog"):
                await asyncio.wait_for(following, 20)

    asyncio.run(run())


def wait_for_stderr(process: subprocess.Popen[bytes], words: str) -> None:
    """Read what a process says until it says something."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line.decode():
            return
    raise AssertionError(f"it ended without saying {words!r}")


async def until_ready(database: str) -> None:
    async def ready() -> bool:
        try:
            await rows_of(database, "agent_executions")
        except Exception:  # noqa: BLE001
            return False
        return True

    await until(ready)


def test_the_first_line_of_a_file_that_cannot_be_read_is_told(
    sqlite_database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With the file, the place and the reason; of the others there is the quarantine."""
    (tmp_path / "a.log").write_bytes(b'{"execution_id":"x"}\nno json\n[1]\n')

    async def run() -> None:
        async with Ingester([tmp_path], sqlite_database) as ingester:
            assert 2 == (await ingester.run_once()).quarantined

    asyncio.run(run())
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith(f"{tmp_path / 'a.log'}, byte 21: not JSON")


def test_a_compressed_files_last_line_needs_no_newline(database: str, tmp_path: Path) -> None:
    """Its stream says where it ends; a plain file may still grow."""
    lines = b'{"execution_id":"x","event":"e"}\n{"execution_id":"x","event":"last"}'
    (tmp_path / "a.log.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "b.log").write_bytes(lines + b"\n")
    (tmp_path / "c.log").write_bytes(lines)

    async def run() -> None:
        async with Ingester([tmp_path], database) as ingester:
            assert 5 == (await ingester.run_once()).lines
        async with Ingester([tmp_path], database) as ingester:
            assert 0 == (await ingester.run_once()).lines
        assert 2 == len(await rows_of(database, "agent_execution_logs"))

    asyncio.run(run())


def test_files_that_are_gone_are_forgotten(
    sqlite_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that logs into a new file each minute fills no memory."""
    monkeypatch.setattr(files, "_LINGER_SECONDS", -1)

    async def run() -> None:
        async with Ingester([tmp_path], sqlite_database) as ingester:
            held = ingester._files
            for number in range(1200):
                name = f"a{number}" if number % 2 else f"a{number}.log"  # Half of them are told by their beginning.
                (tmp_path / name).write_bytes(dumps(stamped(f"w{number}", 1, execution_id="x")))
                if number % 30 == 29:
                    await ingester.run_once()
                    for path in tmp_path.glob("a*"):
                        path.unlink()
                    held.scan()
            assert 1200 == len(await rows_of(sqlite_database, "tracklog_sources"))
            assert len(held._known) < 600
            assert not held._discovery._sniffed
            await ingester._reload()
            assert len(held._known) <= 30

    asyncio.run(run())


def test_what_a_restored_database_does_not_have_is_not_removed(tmp_path: Path) -> None:
    """Whatever was committed once: what is deleted is in the database now, and what is not is read again."""
    database, backup, logs = tmp_path / "t.db", tmp_path / "backup.db", tmp_path / "logs"
    for number in range(2):
        with agent(BUSY, logs=str(logs), executions=5) as busy:
            busy.wait(30)
        if not number:
            asyncio.run(_ingested_once(logs, database))
            _copy(database, backup)

    async def run() -> list[Path]:
        async with Ingester([logs], str(database), remove_after=dt.timedelta(0)) as ingester:
            ingester.remove_after = None
            await ingester.run_once()
            _copy(backup, database)
            ingester.remove_after = dt.timedelta(0)
            await ingester._remove_old()
            kept = list(logs.glob("*.jsonl"))
            await ingester.run_once()
        return kept

    kept = asyncio.run(run())
    assert 1 == len(kept)
    assert 10 == len(asyncio.run(rows_of(str(database), "agent_executions")))
    assert not list(logs.glob("*.jsonl"))


async def _ingested_once(logs: Path, database: Path) -> None:
    async with Ingester([logs], str(database)) as ingester:
        await ingester.run_once()


def _copy(source: Path, target: Path) -> None:
    """Copy a database as SQLite's own `.backup` and `.restore` do, into what others have open."""
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_database_that_is_taken_away_is_written_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, is_replaced: bool
) -> None:
    """Nobody would see what is written to it: it is said and waited for, and the logs keep the lines."""
    database, logs = tmp_path / "t.db", tmp_path / "logs"
    logs.mkdir()
    path = logs / "a.log"
    path.write_text('{"event": "e", "execution_id": "x1"}\n')

    async def run() -> None:
        stop = asyncio.Event()
        async with Ingester([logs], str(database)) as ingester:
            following = asyncio.create_task(ingester.run(stop))
            while ingester.summary.lines < 1:
                await asyncio.sleep(0.02)
            database.rename(tmp_path / "away.db")
            if is_replaced:
                database.touch()
            while "was removed or replaced" not in caplog.text:
                await asyncio.sleep(0.02)
            with path.open("a") as file:
                file.write('{"event": "e", "execution_id": "x2"}\n')
            await asyncio.sleep(0.5)
            assert 1 == ingester.summary.lines
            (tmp_path / "away.db").rename(database)
            while ingester.summary.lines < 2:
                await asyncio.sleep(0.02)
            stop.set()
            await following

    asyncio.run(asyncio.wait_for(run(), 60))
    assert 2 == len(asyncio.run(rows_of(str(database), "agent_executions")))
