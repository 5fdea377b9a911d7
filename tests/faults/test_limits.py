"""Many files, few descriptors, disks that fail, lines without end, clocks that jump."""

import os
import signal
import time
from pathlib import Path

import pytest

from faults import oracle
from faults.conftest import Record
from faults.failpoints import Action, Failpoint
from faults.length import long_or_short
from faults.oracle import Content, compare, compare_files, rows_of, until_read
from faults.processes import Nursery, end, running
from faults.written import Hand
from tracklog.ingester.decode import Event, decode


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Give an empty directory for logs."""
    path = tmp_path / "logs"
    path.mkdir()
    return path


def write_many(logs: Path, count: int) -> None:
    """Write files of three lines each."""
    for number in range(count):
        directory = logs / str(number % 100)
        directory.mkdir(exist_ok=True)
        (directory / f"{number}.jsonl").write_bytes(Hand(f"w{number}").lines(3))


@pytest.mark.parametrize("once", [True, False], ids=["once", "following"])
def test_more_files_than_descriptors(database: str, nursery: Nursery, logs: Path, record: Record, once: bool) -> None:
    """With 64 descriptors thousands of files are read, and what comes later into any of them."""
    write_many(logs, long_or_short(3000, 400))
    limits = {"RLIMIT_NOFILE": 64}
    if once:
        nursery.run("ingest", "--once", logs, "--db", database, limits=limits)
    else:
        with running(nursery, "ingest", logs, "--db", database, limits=limits) as child:
            until_read(database, logs)
            for path in sorted(logs.rglob("*.jsonl"))[::7]:
                with path.open("ab") as file:
                    file.write(Hand(f"later-{path.stem}").lines(2))
            until_read(database, logs)
            assert 0 == end(child), child.messages
    nursery.run("verify", logs, "--db", database, limits=limits)
    record(compare_files(database, logs))


def test_fifty_thousand_files(database: str, nursery: Nursery, logs: Path, record: Record) -> None:
    """They are read in bounded memory, and what is written into any of them is there soon."""
    count = long_or_short(50_000, 1_000)
    write_many(logs, count)
    began = time.monotonic()
    with running(nursery, "ingest", logs, "--db", database) as child:
        until_read(database, logs, seconds=900)
        read = time.monotonic() - began
        before = time.process_time()
        for path in sorted(logs.rglob("*.jsonl"))[:: max(1, count // 50)]:
            with path.open("ab") as file:
                file.write(Hand(f"later-{path.stem}").lines(2))
        began = time.monotonic()
        until_read(database, logs)
        print(f"{count} files read in {read:.1f} s; later lines in {time.monotonic() - began:.1f} s", before)
        assert 0 == end(child), child.messages
    assert child.kilobytes < 400 << 10
    record(compare_files(database, logs))


@pytest.mark.parametrize(
    "place",
    [
        "sources:open_file",
        "sources:identity_of",
        "sources:Source.header",
        "sources:read_lines",
        "sources:Source.is_same",
    ],
)
def test_a_disk_that_fails_once(database: str, nursery: Nursery, logs: Path, record: Record, place: str) -> None:
    """EIO at any look at a file: a following ingester complains, goes on, and reads it when it can."""
    for number in range(5):
        (logs / f"{number}.jsonl").write_bytes(Hand(f"w{number}").lines(4))
    failpoint = Failpoint(f"{place}<", 3, Action.FAIL)
    with running(nursery, "ingest", logs, "--db", database, failpoint=failpoint) as child:
        until_read(database, logs)
        (logs / "later.jsonl").write_bytes(Hand("later").lines(4))
        until_read(database, logs)
        assert 0 == end(child), child.messages
    record(compare_files(database, logs))


def test_a_line_without_end(database: str, nursery: Nursery, logs: Path, record: Record) -> None:
    """A line of many times the limit is passed over in bounded memory, across a restart, and the next is read."""
    hand = Hand("w")
    path = logs / "a.log"
    neighbour = logs / "b.log"
    megabytes = long_or_short(1024, 80)
    path.write_bytes(hand.lines(3))
    with path.open("ab") as file:
        for _ in range(megabytes // 2):
            file.write(b"x" * (1 << 20))
    neighbour.write_bytes(Hand("n").lines(5))
    child = nursery.run("ingest", "--once", logs, "--db", database)
    with path.open("ab") as file:
        for _ in range(megabytes // 2):
            file.write(b"x" * (1 << 20))
        file.write(b"\n" + hand.lines(3))
    child = nursery.run("ingest", "--once", logs, "--db", database)
    assert child.kilobytes < 250 << 10
    content = Content()
    oracle.decode_file(content, neighbour)
    for line in path.read_bytes().split(b"\n"):
        if line.startswith(b"{"):
            event = decode(line, 0)
            assert isinstance(event, Event)
            content.events.append(event)
    record(compare(database, content.events))
    (quarantined,) = rows_of(database, "tracklog_quarantine")
    assert "longer than" in quarantined["reason"]
    positions = {row["position"] for row in rows_of(database, "tracklog_sources")}
    assert {path.stat().st_size, neighbour.stat().st_size} == positions


def test_a_database_on_a_full_disk(nursery: Nursery, logs: Path, sqlite_database: str, record: Record) -> None:
    """While there is no room for the database, its ingester waits; what is committed stays whole, then all is there."""
    (logs / "a.log").write_bytes(Hand("a").lines(20))
    nursery.run("ingest", "--once", logs, "--db", sqlite_database)
    (logs / "b.log").write_bytes(Hand("b").lines(5000))
    size = Path(sqlite_database.removeprefix("sqlite:///")).stat().st_size
    nursery.run("ingest", "--once", logs, "--db", sqlite_database, limits={"RLIMIT_FSIZE": size + (64 << 10)}, expect=5)
    nursery.run("ingest", "--once", logs, "--db", sqlite_database)
    record(compare_files(sqlite_database, logs))


def test_more_events_than_the_watch_holds(database: str, nursery: Nursery, logs: Path, record: Record) -> None:
    """Thousands of files are made while it is stopped, so that the kernel drops what it would tell of them."""
    with running(nursery, "ingest", logs, "--db", database) as child:
        (logs / "first.jsonl").write_bytes(Hand("first").lines(3))
        until_read(database, logs)
        child.send(signal.SIGSTOP)
        write_many(logs, long_or_short(6_000, 300))
        child.send(signal.SIGCONT)
        until_read(database, logs)
        assert 0 == end(child)
    record(compare_files(database, logs))


@pytest.mark.parametrize("year", [0, 4_102_444_800])
def test_clocks_that_are_wrong(database: str, nursery: Nursery, logs: Path, record: Record, year: int) -> None:
    """Times of files in 1970 or 2100, and lines whose time goes back, change nothing."""
    hand = Hand("w")
    path = logs / "a.log"
    with running(nursery, "ingest", logs, "--db", database) as child:
        for number in range(6):
            with path.open("ab") as file:
                file.write(hand.lines(2) + hand.line(timestamp=f"20{30 - number}-01-01T00:00:00.000000Z"))
            os.utime(path, (year, year))
            until_read(database, logs)
        assert 0 == end(child)
    record(compare_files(database, logs))
