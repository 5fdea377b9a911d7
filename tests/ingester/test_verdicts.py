"""Who is gone, and who only silent."""

import datetime as dt
import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ingester import kept
from ingester.lines import dumps, event_of, read_on, stamped
from tracklog.ingester import Ingester, bulk, schema
from tracklog.ingester.presence import Presence, note
from tracklog.ingester.sources import Source, find
from tracklog.ingester.store import Store
from tracklog.ingester.verdicts import Judge, is_free, time_out

BOOT = "this-boot"


@contextmanager
def segment(path: Path, number: int = 1, *, held: bool = True, **changes: Any) -> Iterator[tuple[Source, int]]:
    """Make a writer's segment with its header, and hold its lock."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    if held:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    status = os.fstat(descriptor)
    named: dict[str, Any] = {"device": status.st_dev, "inode": status.st_ino, "boot_id": BOOT, "locked": True}
    header = named | changes
    os.write(descriptor, dumps(stamped("w", number, kind="writer.opened", segment=number, **header)))
    source = find("host", str(path), {})
    read_on(source)
    try:
        yield source, descriptor
    finally:
        source.close()
        os.close(descriptor)


def noted(*sources: Source) -> Judge:
    judge = Judge(BOOT)
    for source in sources:
        header = source.header()
        assert header is not None
        judge.note(header, source)
    return judge


def test_a_lock_is_free_when_its_holder_lets_go(tmp_path: Path) -> None:
    """Asking takes nothing: the lock can be taken by its owner again."""
    with segment(tmp_path / "a.jsonl") as (source, descriptor):
        assert not is_free(source)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        assert is_free(source)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_writer_whose_lock_is_held_is_not_suspected(tmp_path: Path) -> None:
    """While its process lives, nobody is convicted."""
    with segment(tmp_path / "a.jsonl") as (source, _):
        judge = noted(source)
        assert not judge.ask()
        assert [] == judge.convict([source])
        assert judge.holds(source)


def test_a_writer_whose_lock_is_free_is_convicted_when_all_is_read(tmp_path: Path) -> None:
    """Not before: the end of its executions may be among the lines that are not read."""
    with segment(tmp_path / "a.jsonl", held=False) as (source, _):
        judge = noted(source)
        source.at_end = False
        assert judge.ask()
        assert [] == judge.convict([source])
        source.at_end = True
        assert judge.ask()
        assert ["w"] == judge.convict([source])
        assert not judge.ask()
        assert ["w"] == list(judge.gone)


def test_a_writer_that_wrote_on_before_it_went_is_not_convicted_yet(tmp_path: Path) -> None:
    """Its file was read to the end, and has grown: what is whole there is not taken for a torn line."""
    with segment(tmp_path / "a.jsonl", held=False) as (source, descriptor):
        judge = noted(source)
        os.write(descriptor, dumps(stamped("w", 2, execution_id="x")))
        assert judge.ask()
        assert [] == judge.convict([source])
        read_on(source)
        assert ["w"] == judge.convict([source])


def test_a_writer_that_went_on_in_another_segment_is_acquitted(tmp_path: Path) -> None:
    """Between the question and the verdict it rotated: the free lock was that of its last segment."""
    with (
        segment(tmp_path / "a.jsonl", held=False) as (first, _),
        segment(tmp_path / "b.jsonl", 2) as (second, _),
    ):
        judge = noted(first)
        assert judge.ask()
        header = second.header()
        assert header is not None
        judge.note(header, second)
        assert [] == judge.convict([first, second])
        assert not judge.ask()


@pytest.mark.parametrize(
    "changes", [{"boot_id": "another"}, {"boot_id": None}, {"inode": 1}, {"device": 1}, {"locked": False}]
)
def test_a_header_that_names_another_file_proves_nothing(tmp_path: Path, changes: dict[str, Any]) -> None:
    """A copy, a file from before a restart of the machine or of another machine, a writer without a lock."""
    with segment(tmp_path / "a.jsonl", held=False, **changes) as (source, _):
        assert not noted(source).ask()


def test_without_a_boot_id_nobody_is_judged(tmp_path: Path) -> None:
    """Where the kernel has no name, a lock proves nothing."""
    with segment(tmp_path / "a.jsonl", held=False) as (source, _):
        judge = Judge(None)
        judge.note(event_of(stamped("w", 1, kind="writer.opened", segment=1, boot_id=None, locked=True)), source)
        assert not judge.ask()


def test_what_is_silent_is_looked_for_among_the_unfinished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every few seconds; not among all executions that ever were, which is what SQLite would do for an order of ids."""
    path = tmp_path / "t.db"
    kept.write(tmp_path / "logs")
    kept.ingest(str(path), tmp_path / "logs")
    plans: list[str] = []
    fetch = bulk.fetch

    async def explained(connection: AsyncConnection, sql: str, keys: Iterable[str], *values: Any) -> Any:
        for *_, step in await fetch(connection, f"EXPLAIN QUERY PLAN {sql}", keys, *values):
            plans.append(step)
        return await fetch(connection, sql, keys, *values)

    monkeypatch.setattr(bulk, "fetch", explained)
    kept.with_store(str(path), lambda store: time_out(store, dt.timedelta(hours=1), Judge(BOOT)))
    looks = [plan for plan in plans if plan.startswith(("SCAN agent_executions", "SEARCH agent_executions"))]
    assert looks
    assert all("ix_agent_executions_unfinished" in plan for plan in looks), plans


@pytest.mark.parametrize(("is_there", "is_read_here", "silent"), [(True, False, 0), (False, False, 1), (True, True, 1)])
def test_agents_that_know_their_host_by_another_name(
    tmp_path: Path, database: str, is_there: bool, is_read_here: bool, silent: int
) -> None:
    """As in containers: while the ingester looks that alone reads their file, and can ask, nobody else judges them."""
    path = tmp_path / "a.jsonl"
    with segment(path, host="pod-of-agent", boot_id="boot-there") as (_, descriptor):
        os.write(descriptor, dumps(stamped("w", 2, execution_id="e1", kind="execution.started")))

    async def run(store: Store) -> int:
        for host in ("there", kept.HOST)[: 1 + is_read_here]:
            async with Ingester([path], database, host=host, stale_after=dt.timedelta(days=9999)) as ingester:
                await ingester.run_once()
        async with store.transaction() as connection:
            looked = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=0 if is_there else 10)
            await connection.execute(update(schema.tracklog_ingesters).values(looked_at=looked))
        return await time_out(store, dt.timedelta(hours=1), Judge(BOOT))

    assert silent == kept.with_store(database, run)


def test_presence_is_by_the_servers_clock(postgres_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose clock is two hours ahead is not taken for one that looks, long after it died."""

    class Ahead(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> "Ahead":
            return super().now(tz) + dt.timedelta(hours=2)

    async def run(store: Store) -> dt.datetime:
        await store.prepare()
        for module in ("presence", "store"):
            clock = SimpleNamespace(datetime=Ahead, UTC=dt.UTC)
            monkeypatch.setattr(f"tracklog.ingester.{module}.dt", clock)
        await note(store, Presence(["logs"], 1, 1, 0, dt.datetime.now(dt.UTC)))
        async with store.reading() as connection:
            looked: dt.datetime = (await connection.execute(select(schema.tracklog_ingesters.c.looked_at))).scalar_one()
        return looked

    assert abs(kept.with_store(postgres_database, run) - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
