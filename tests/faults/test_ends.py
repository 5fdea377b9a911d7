"""Ingesters that are told to end at any step, and lines that nobody has ended."""

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest

from faults.conftest import Record
from faults.failpoints import PLACES, Action, Failpoint
from faults.length import long_or_short
from faults.oracle import compare_files, rows_of
from faults.processes import Nursery, until
from faults.written import Hand
from tracklog.ingester import Ingester, ingester


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Give an empty directory for logs."""
    path = tmp_path / "logs"
    path.mkdir()
    return path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_is_told_to_end_at_any_step(
    database: str, nursery: Nursery, logs: Path, record: Record, number: signal.Signals
) -> None:
    """It ends within 5 s, with exit code 0 and nothing half done; the next one goes on there."""
    hand = Hand("w")
    places = [f"{place}{side}" for place in PLACES for side in "<>" if place != "bulk:copy"]
    places = random.Random(int(number)).sample(places, long_or_short(len(places), 4))
    ends = 0
    for place in places:
        with (logs / "a.log").open("ab") as file:
            file.write(hand.lines(20))
        child = nursery.start("ingest", logs, "--db", database, failpoint=Failpoint(place, 1, Action.STOP))
        try:
            # Not every place is come by: a file with a known header is not asked for it.
            until(child.is_stopped, seconds=3)
        except AssertionError:
            pass
        else:
            ends += 1
        child.send(number)
        child.send(signal.SIGCONT)
        assert 0 == child.wait(5), (place, child.messages)
    assert ends > 0
    nursery.run("ingest", "--once", logs, "--db", database)
    record(compare_files(database, logs), kills=ends)


@pytest.mark.parametrize("newline", [b"\n", b""])
def test_a_torn_line(database: str, nursery: Nursery, logs: Path, record: Record, newline: bytes) -> None:
    """Half a line of a program that died, and another that goes on in the file: what can be told apart is read."""
    hand, other, path = Hand("w"), Hand("other"), logs / "a.log"
    torn = hand.line()[:40]
    path.write_bytes(hand.lines(5) + torn)
    nursery.run("ingest", "--once", logs, "--db", database)
    assert 5 == len(rows_of(database, "agent_execution_logs"))
    with path.open("ab") as file:
        file.write(newline + other.lines(3))
    nursery.run("ingest", "--once", logs, "--db", database)
    (bad,) = rows_of(database, "tracklog_quarantine")
    assert bytes(bad["head"]).startswith(torn)
    assert 5 + (3 if newline else 2) == len(rows_of(database, "agent_execution_logs"))
    record(compare_files(database, logs))


def test_many_lines_that_are_begun(database: str, nursery: Nursery, logs: Path, record: Record) -> None:
    """Files that each end in a long piece of a line: memory is bounded, others are read, and so are they once ended."""
    count, size = long_or_short((2000, 1 << 20), (60, 1 << 20))
    hands = [Hand(f"w{number}") for number in range(count)]
    for hand in hands:
        (logs / f"{hand.name}.log").write_bytes(hand.line() + b'{"event":"' + b"x" * size)
    (logs / "z.log").write_bytes(Hand("z").lines(100))
    child = nursery.run("ingest", "--once", logs, "--db", database, expect=0)
    assert child.kilobytes < 150 << 10
    assert count + 100 == len(rows_of(database, "agent_execution_logs"))
    for hand in hands[:5]:
        with (logs / f"{hand.name}.log").open("ab") as file:
            file.write(b'","execution_id":"late"}\n')
    nursery.run("ingest", "--once", logs, "--db", database)
    record(compare_files(database, logs))


def test_reads_that_give_less(database: str, logs: Path, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system may give fewer bytes than it was asked for, and than it says there are."""
    chance = random.Random(4)
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, length, at: pread(fd, chance.randint(1, length), at))
    hand = Hand("w")

    async def run() -> None:
        async with Ingester([logs], database) as one:
            await one.run_once()

    for _ in range(3):
        with (logs / "a.log").open("ab") as file:
            file.write(hand.lines(300))
        asyncio.run(run())
    assert [0] == [row["generation"] for row in rows_of(database, "tracklog_sources")]
    record(compare_files(database, logs))


def test_nothing_tells_of_changes(database: str, logs: Path, record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel's watch does not work, scanning alone finds it all."""

    async def deaf(_paths: object, _changed: object, ended: asyncio.Event) -> None:
        await ended.wait()

    monkeypatch.setattr(ingester, "watch", deaf)
    hand = Hand("w")

    async def run() -> None:
        stop = asyncio.Event()
        async with Ingester([logs], database) as one:
            following = asyncio.create_task(one.run(stop))
            for number in range(4):
                with (logs / f"{number % 2}.log").open("ab") as file:
                    file.write(hand.lines(50))
                await asyncio.sleep(0.3)
                if number == 1:
                    (logs / "0.log").rename(logs / "0.log.1")
            while one.summary.lines < 200:
                await asyncio.sleep(0.05)
            stop.set()
            await following

    asyncio.run(asyncio.wait_for(run(), 30))
    record(compare_files(database, logs))
