"""Which file it is, what became of it, and what stands in it: identity, rotation, truncation, compression."""

import gzip
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from faults import oracle
from faults.conftest import Record
from faults.length import long_or_short
from faults.oracle import Content, compare, compare_files, compare_positions, read_files, rows_of, until_read
from faults.processes import Nursery, end, running, until
from faults.written import Hand


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Give an empty directory for logs."""
    path = tmp_path / "logs"
    path.mkdir()
    return path


Ingest = Callable[..., None]


@pytest.fixture
def ingest(nursery: Nursery, database: str, logs: Path) -> Ingest:
    """Give a function that reads what is there, once."""

    def once(*paths: Path, expect: int = 0) -> None:
        nursery.run("ingest", "--once", *(paths or (logs,)), "--db", database, expect=expect)

    return once


@pytest.mark.parametrize("stamped", [True, False])
@pytest.mark.parametrize("larger", [-1, 0, 1])
def test_a_file_with_the_inode_of_another(
    database: str, ingest: Ingest, logs: Path, record: Record, stamped: bool, larger: int
) -> None:
    """Deleted and made anew with the same inode, smaller, as large or larger: all lines of both are there."""
    old, new = Hand("old", stamped), Hand("new", stamped)
    path = logs / "a.log"
    path.write_bytes(old.lines(20))
    inode = path.stat().st_ino
    ingest()
    events = read_files(logs).events
    for _ in range(50):
        path.unlink()
        path.write_bytes(b"")
        if path.stat().st_ino == inode:
            break
    path.write_bytes(new.lines(20 + 10 * larger))
    ingest()
    record(compare(database, [*events, *read_files(logs).events]))
    compare_positions(database, read_files(logs))


def test_files_that_begin_alike(database: str, ingest: Ingest, logs: Path, record: Record) -> None:
    """Many files whose first 64 KiB are the same, and copies of a file, are read whole; the same line is one row."""
    beginning = Hand("same").lines(300)
    assert len(beginning) > 1 << 16
    for number in range(long_or_short(100, 10)):
        (logs / f"{number}.jsonl").write_bytes(beginning + Hand(f"own{number}").lines(3))
    shutil.copyfile(logs / "0.jsonl", logs / "copy.jsonl")
    ingest()
    record(compare_files(database, logs))


@pytest.mark.parametrize("stamped", [True, False])
def test_a_file_that_grows_byte_by_byte(
    database: str, nursery: Nursery, logs: Path, record: Record, stamped: bool
) -> None:
    """Whatever its length when somebody looks, it is one file; also cut within a character, and between CR and LF."""
    hand = Hand("w", stamped)
    data = hand.line(text="ü😀").replace(b"\n", b"\r\n") + hand.lines(4)
    path = logs / "growing"  # No name of a log: it is one as it begins with an object.
    with running(nursery, "ingest", logs, "--db", database) as child, path.open("ab", buffering=0) as file:
        for place in range(len(data)):
            file.write(data[place : place + 1])
        until_read(database, logs)
        assert 0 == end(child)
    record(compare_files(database, logs))


def test_a_file_that_grows_between_runs(database: str, ingest: Ingest, logs: Path, record: Record) -> None:
    """Of 0, 1, 500, 1023, 1024 and 5000 bytes, with a new ingester at each step."""
    data = Hand("w", stamped=False).lines(40)
    path = logs / "a.log"
    for size in (0, 1, 500, 1023, 1024, 5000, len(data)):
        path.write_bytes(b"") if size == 0 else None
        with path.open("ab") as file:
            file.write(data[path.stat().st_size : size])
        ingest()
    record(compare_files(database, logs))
    assert 1 == len(rows_of(database, "tracklog_sources"))


def test_what_is_no_log_file(database: str, nursery: Nursery, logs: Path, record: Record) -> None:
    """Pipes, sockets, devices, circles of links, links to nothing and directories called logs hold nobody up."""
    (logs / "a.log").write_bytes(Hand("a").lines(5))
    os.mkfifo(logs / "pipe.log")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(logs / "socket.log"))
    (logs / "zero.log").symlink_to("/dev/zero")
    (logs / "loop.log").symlink_to(logs / "loop.log")
    (logs / "up").symlink_to(logs)
    (logs / "nothing.log").symlink_to(logs / "none")
    (logs / "directory.log").mkdir()
    (logs / "directory.log" / "b.log").write_bytes(Hand("b").lines(5))
    (logs / "empty.log").write_bytes(b"")
    (logs / "newlines.log").write_bytes(b"\n\n\n")
    (logs / "unended.log").write_bytes(b"{")
    (logs / "hard.log").hardlink_to(logs / "a.log")
    child = nursery.run("ingest", "--once", logs, "--db", database, expect=1)
    assert "1 not readable" in child.messages
    listener.close()
    content = Content()
    for name in ("a.log", "directory.log/b.log"):
        oracle.decode_file(content, logs / name)
    record(compare(database, content.events))


def test_names_that_are_no_text(database: str, ingest: Ingest, logs: Path, record: Record) -> None:
    """Bytes that are no UTF-8, newlines, the longest names and long paths are names of logs like others."""
    names = [b"\xff\xfe.log", b"new\nline.log", b"x" * 251 + b".log", "ü😀.log".encode(), b"percent%s{}.log"]
    for number, name in enumerate(names):
        with open(os.path.join(os.fsencode(logs), name), "wb") as file:
            file.write(Hand(f"w{number}").lines(3))
    deep = logs.joinpath(*["d" * 200] * 10)
    deep.mkdir(parents=True)
    (deep / "a.log").write_bytes(Hand("deep").lines(3))
    ingest()
    ingest()
    record(compare_files(database, logs))


@pytest.mark.parametrize("ingested_again", [True, False])
def test_a_file_that_was_away(
    database: str, nursery: Nursery, logs: Path, tmp_path: Path, record: Record, ingested_again: bool
) -> None:
    """It comes back below a running ingester that has never seen it: each of its lines counts once."""
    hand, other = Hand("w"), Hand("v")
    (logs / "a.log").write_bytes(hand.lines(3000))
    (logs / "stays.log").write_bytes(other.lines(3))
    nursery.run("ingest", "--once", logs, "--db", database)
    (logs / "a.log").rename(tmp_path / "a.log")
    if ingested_again:
        nursery.run("ingest", "--once", logs, "--db", database)
    with running(nursery, "ingest", logs, "--db", database) as child:
        (logs / "b.log").write_bytes(other.lines(3))
        until_read(database, logs)
        (tmp_path / "a.log").rename(logs / "a.log")
        with (logs / "a.log").open("ab") as file:
            file.write(hand.lines(3))
        until_read(database, logs)
        assert 0 == end(child)
    record(compare_files(database, logs))


def test_a_path_that_is_no_text(database: str, nursery: Nursery, tmp_path: Path, record: Record) -> None:
    """A directory whose name is no UTF-8 is followed like others."""
    logs = tmp_path / os.fsdecode(b"logs-\xff")
    logs.mkdir()
    (logs / "a.log").write_bytes(Hand("w").lines(3))
    nursery.run("ingest", "--once", logs, "--db", database)
    with running(nursery, "ingest", logs, "--db", database) as child:
        (logs / "b.log").write_bytes(Hand("v").lines(3))
        until_read(database, logs)
        assert 0 == end(child)
    record(compare_files(database, logs))


@pytest.mark.parametrize("running_", [True, False], ids=["running", "stopped"])
def test_rotation_with_a_writer_that_stays(
    database: str, nursery: Nursery, logs: Path, record: Record, running_: bool
) -> None:
    """Fifty renames, and who writes goes on in the renamed file for a while each time."""
    hand = Hand("w", stamped=False)
    path = logs / "a.log"
    old = path.open("ab", buffering=0)
    with running(nursery, "ingest", logs, "--db", database) as child:
        if running_:
            until_read(database, logs)
        else:
            end(child)
        for number in range(50):
            old.write(hand.lines(2))
            path.rename(logs / f"a.log.{number}")
            new = path.open("ab", buffering=0)
            new.write(hand.lines(1))
            old.write(hand.lines(3))
            old.close()
            old = new
        old.close()
        if running_:
            until_read(database, logs)
            assert 0 == end(child)
    nursery.run("ingest", "--once", logs, "--db", database)
    record(compare_files(database, logs))


def test_rotation_that_deletes_what_was_not_read(database: str, ingest: Ingest, logs: Path, record: Record) -> None:
    """Of fifty rotations that keep five while nobody reads, exactly the deleted lines are missing, and known to be."""
    hand = Hand("w")
    path = logs / "a.log"
    path.write_bytes(hand.lines(4))
    ingest()
    first = read_files(logs).events
    for number in range(50):
        with path.open("ab") as file:
            file.write(hand.lines(7))
        path.rename(logs / f"a.log.{number}")
        if number >= 5:
            (logs / f"a.log.{number - 5}").unlink()
    ingest()
    events = [*first, *read_files(logs).events]
    record(compare(database, events))
    oracle.compare_writers(database, events)
    (writer,) = rows_of(database, "tracklog_writers")
    assert [[1, 4], [4 + 45 * 7 + 1, 4 + 50 * 7]] == writer["seen"]


def test_a_deleted_file_that_is_held(database: str, nursery: Nursery, logs: Path, record: Record) -> None:
    """What is written into a file before and after it was deleted is read to its end by who has it open."""
    hand = Hand("w")
    path = logs / "a.log"
    path.write_bytes(hand.lines(3))
    content = Content()
    copy = logs.parent / "copy"
    with running(nursery, "ingest", logs, "--db", database) as child, path.open("ab", buffering=0) as file:
        until_read(database, logs)
        data = path.read_bytes()
        for _ in range(2):
            child.send(signal.SIGSTOP)
            more = hand.lines(long_or_short(50_000, 2_000))
            file.write(more)
            data += more
            path.unlink(missing_ok=True)
            child.send(signal.SIGCONT)
            copy.write_bytes(data)
            lines = data.count(b"\n")
            until(lambda lines=lines: lines == len(rows_of(database, "agent_execution_logs")), seconds=30)  # type: ignore[misc]
            time.sleep(0.5)  # It looks a few times more, and must not let go.
        assert 0 == end(child)
    oracle.decode_file(content, copy)
    record(compare(database, content.events))


@pytest.mark.parametrize("stamped", [True, False])
def test_truncation(database: str, nursery: Nursery, logs: Path, record: Record, stamped: bool) -> None:
    """Cut to nothing and grown past where it was, and cut by a line and gone on: what stands there is read."""
    hand = Hand("w", stamped)
    path = logs / "a.log"
    header = hand.line(text="x" * 1500)
    seen = Content()
    with running(nursery, "ingest", logs, "--db", database) as child:
        path.write_bytes(header + hand.lines(10))
        until_read(database, logs)
        oracle.decode_file(seen, path)
        child.send(signal.SIGSTOP)
        os.truncate(path, 0)
        with path.open("ab") as file:
            file.write(header + hand.lines(30))
        child.send(signal.SIGCONT)
        until_read(database, logs)
        oracle.decode_file(seen, path)
        last = path.read_bytes().splitlines(keepends=True)[-1]
        os.truncate(path, path.stat().st_size - len(last))
        with path.open("ab") as file:
            file.write(hand.lines(2))
        until_read(database, logs)
        oracle.decode_file(seen, path)
        assert 0 == end(child)
    record(compare(database, seen.events))


def test_a_hole_of_zeros(database: str, ingest: Ingest, logs: Path, record: Record) -> None:
    """Truncated below a writer that does not append, a file begins with a hole; its lines are read all the same."""
    hand = Hand("w")
    path = logs / "a.log"
    with path.open("wb") as file:
        file.seek(long_or_short(1 << 30, 1 << 22))
        file.write(hand.lines(5))
    ingest()
    seqs = [row["seq"] for row in rows_of(database, "agent_execution_logs")]
    assert 5 == len(seqs)
    record(oracle.Account(5, 0, 0))


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_compression_at_every_stage(database: str, ingest: Ingest, logs: Path, record: Record, kind: str) -> None:
    """Beside the file it was, in its place, half written, finished, in several members, damaged, and a bomb."""
    pack = gzip.compress if kind == "gz" else zstandard.ZstdCompressor(write_checksum=True).compress
    hands = [Hand(f"w{number}", stamped=number % 2 == 0, chance=random.Random(number)) for number in range(4)]
    (logs / "a.log").write_bytes(hands[0].lines(50))
    ingest()
    (logs / f"a.log.1.{kind}").write_bytes(pack((logs / "a.log").read_bytes()))
    ingest()
    (logs / "a.log").unlink()
    whole = pack(hands[1].lines(3000) + hands[1].line().rstrip(b"\n"))
    for part in (1, 10, len(whole) // 2, len(whole) - 1, len(whole)):
        (logs / f"b.log.{kind}").write_bytes(whole[:part])
        ingest()
    members = logs / f"c.log.{kind}"
    members.write_bytes(pack(hands[2].lines(5)))
    ingest()
    with members.open("ab") as file:
        file.write(pack(hands[2].lines(5)))
    ingest()
    record(compare_files(database, logs))
    damaged = bytearray(pack(hands[3].lines(500)))
    damaged[len(damaged) // 2] ^= 0x55
    (logs / f"d.log.{kind}").write_bytes(damaged)
    (logs / f"bomb.log.{kind}").write_bytes(pack(b"\x00" * long_or_short(1 << 30, 1 << 26)))
    (logs / "e.log").write_bytes(Hand("neighbour").lines(5))
    ingest()
    neighbours = [row for row in rows_of(database, "agent_execution_logs") if row["writer"] == "neighbour"]
    assert 5 == len(neighbours)


def test_directories_that_go_and_come(database: str, nursery: Nursery, logs: Path, record: Record) -> None:
    """Renamed, removed and made again, the given root too: what comes in them is read."""
    (logs / "sub").mkdir()
    (logs / "sub" / "a.log").write_bytes(Hand("a").lines(4))
    kept = Content()
    with running(nursery, "ingest", logs, "--db", database) as child:
        until_read(database, logs)
        (logs / "sub").rename(logs / "other")
        with (logs / "other" / "a.log").open("ab") as file:
            file.write(Hand("b").lines(4))
        until_read(database, logs)
        oracle.decode_file(kept, logs / "other" / "a.log")
        shutil.rmtree(logs)
        logs.mkdir()
        (logs / "c.log").write_bytes(Hand("c").lines(4))
        until_read(database, logs)
        assert 0 == end(child)
    record(compare(database, [*kept.events, *read_files(logs).events]))


MODES = {
    "create": "create",
    "nocreate": "nocreate",
    "copytruncate": "copytruncate",
    "compress": "create\ncompress",
    "delaycompress": "create\ncompress\ndelaycompress",
    "dateext": "create\ndateext\ndateformat -%Y%m%d-%s",
    "olddir": "create\nolddir old",
}


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="logrotate is not installed")
@pytest.mark.parametrize("mode", MODES)
def test_logrotate(database: str, nursery: Nursery, logs: Path, record: Record, mode: str) -> None:
    """The real one, in each of its modes, between two writes: nothing is lost."""
    hand = Hand("w", stamped=mode != "copytruncate")
    path = logs / "a.log"
    (logs / "old").mkdir()
    settings = logs.parent / "logrotate.conf"
    settings.write_text(f"{path} {{\nsu root root\nrotate 100\nmissingok\n{MODES[mode]}\n}}\n")
    state = logs.parent / "logrotate.state"
    with running(nursery, "ingest", logs, "--db", database) as child:
        for _ in range(5):
            with path.open("ab") as file:
                file.write(hand.lines(11))
            until_read(database, logs)
            subprocess.run(["logrotate", "--force", "--state", state, settings], check=True)
            if mode == "dateext":
                time.sleep(1.1)
        until_read(database, logs)
        assert 0 == end(child)
    record(compare_files(database, logs))
