"""Databases that are locked, away, behind, or in another's way: the ingester waits, and goes on."""

import asyncio
import shutil
import sqlite3
import time
from pathlib import Path

import asyncpg
import pytest

from conftest import PostgresServer
from faults.conftest import Record
from faults.length import long_or_short
from faults.oracle import compare, compare_files, read_files, until_begun, until_read
from faults.processes import Nursery, end, running, until
from faults.written import Hand

PATIENCE = {"ingester:_BACKOFF": [0.02, 0.1]}

PASSING = (
    "40001",  # serialization failure
    "40P01",  # deadlock
    "55P03",  # a lock that did not come
    "57014",  # cancelled
    "57P01",  # the server stops
    "53100",  # its disk is full
    "53200",  # its memory is
    "53300",  # it has too many connections
    "25006",  # it only reads for now
    "08006",  # the connection failed
)
"""What PostgreSQL may say of a transaction that can be done a little later."""


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Give an empty directory for logs."""
    path = tmp_path / "logs"
    path.mkdir()
    return path


def append(path: Path, data: bytes) -> None:
    """Write at the end of a file."""
    with path.open("ab") as file:
        file.write(data)


def test_errors_that_pass(
    postgres_server: PostgresServer, postgres_database: str, nursery: Nursery, logs: Path, record: Record
) -> None:
    """Whatever the server says for a while, three times each: the transaction is done again until it is taken."""
    hand, path = Hand("w"), logs / "a.log"
    name = postgres_database.partition("?")[0].rpartition("/")[2]
    append(path, hand.lines(3))
    with running(nursery, "ingest", logs, "--db", postgres_database, constants=PATIENCE) as child:
        until_read(postgres_database, logs)
        postgres_server.execute("CREATE SEQUENCE times", database=name)
        for state in PASSING:
            postgres_server.execute(
                "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                f" IF nextval('times') <= 3 THEN RAISE EXCEPTION 'for now' USING ERRCODE = '{state}'; END IF;"
                " RETURN NULL; END $$",
                "CREATE OR REPLACE TRIGGER refuse BEFORE INSERT ON agent_execution_logs"
                " FOR EACH STATEMENT EXECUTE FUNCTION refuse()",
                "ALTER SEQUENCE times RESTART",
                database=name,
            )
            append(path, hand.lines(5))
            until_read(postgres_database, logs)
            assert child.poll() is None, (state, child.messages)
        assert 0 == end(child), child.messages
    record(compare_files(postgres_database, logs), kills=3 * len(PASSING))


def test_a_deadlock(postgres_database: str, nursery: Nursery, logs: Path, record: Record) -> None:
    """Another session holds one execution and asks for the other: the ingester gives way, and comes again."""
    hand, path = Hand("w"), logs / "a.log"
    append(path, hand.line(execution_id="a", kind=None) + hand.line(execution_id="z", kind=None))
    nursery.run("ingest", "--once", logs, "--db", postgres_database)

    async def cross() -> int:
        session = await asyncpg.connect(postgres_database)
        watcher = await asyncpg.connect(postgres_database)
        # The server ends the transaction of whom it finds first: let that be the other one.
        await session.execute("SET deadlock_timeout = '60s'")
        touch = "UPDATE agent_executions SET depth = depth WHERE execution_id = $1"
        async with session.transaction():
            await session.execute(touch, "z")
            append(path, hand.line(execution_id="a", kind=None) + hand.line(execution_id="z", kind=None))
            while not await watcher.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.02)
            await session.execute(touch, "a")
        found = 0
        while not found:
            found = await watcher.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
            await asyncio.sleep(0.05)
        await watcher.close()
        await session.close()
        return found

    with running(nursery, "ingest", logs, "--db", postgres_database, constants=PATIENCE) as child:
        assert 1 <= asyncio.run(asyncio.wait_for(cross(), 30))
        until_read(postgres_database, logs)
        assert 0 == end(child), child.messages
    record(compare_files(postgres_database, logs))


def test_a_lock_that_is_held(sqlite_database: str, nursery: Nursery, logs: Path, record: Record) -> None:
    """Another program writes for longer than one waits, while files are rotated and deleted: then all is read."""
    hand, path = Hand("w"), logs / "a.log"
    append(path, hand.lines(30))
    constants = {**PATIENCE, "sqlite:BUSY_SECONDS": 0.1}
    kept = logs.parent / "kept"
    with running(nursery, "ingest", logs, "--db", sqlite_database, constants=constants) as child:
        until_read(sqlite_database, logs)
        other = sqlite3.connect(sqlite_database.removeprefix("sqlite:///"), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        nursery.run("ingest", "--once", logs, "--db", sqlite_database, constants=constants, expect=5)
        kept.mkdir()
        for number in range(long_or_short(20, 4)):
            append(path, hand.lines(50))
            path.rename(logs / f"a.log.{number}")
            time.sleep(0.5)  # An ingester that waits has found it, and holds it.
        append(path, hand.lines(7))
        shutil.copy(logs / "a.log.0", kept / "a.log.0")
        (logs / "a.log.0").unlink()
        other.execute("COMMIT")
        other.close()
        until_read(sqlite_database, logs)
        assert 0 == end(child), child.messages
    record(compare(sqlite_database, read_files(logs, kept).events))


def test_a_reader_that_takes_its_time(sqlite_database: str, nursery: Nursery, logs: Path, record: Record) -> None:
    """The WAL grows while somebody reads, nobody is held up, and afterwards it is cut again."""
    hand, path = Hand("w"), logs / "a.log"
    limit = 1 << 20
    constants = {
        "sqlite:_WRITER": ["PRAGMA synchronous = NORMAL", f"PRAGMA journal_size_limit = {limit}"],
    }
    file = Path(sqlite_database.removeprefix("sqlite:///"))
    wal = file.with_name(f"{file.name}-wal")
    with running(nursery, "ingest", logs, "--db", sqlite_database, constants=constants) as child:
        append(path, hand.lines(10))
        until_begun(sqlite_database)
        reader = sqlite3.connect(file, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM agent_execution_logs").fetchall()
        for _ in range(6):
            append(path, hand.lines(1000))
            until_read(sqlite_database, logs)
        assert wal.stat().st_size > 2 * limit
        reader.execute("COMMIT")
        reader.close()

        def is_cut() -> bool:
            append(path, hand.lines(1))
            until_read(sqlite_database, logs)
            return wal.stat().st_size <= limit

        until(is_cut)
        assert 0 == end(child), child.messages
    record(compare_files(sqlite_database, logs))


def test_a_database_that_is_behind(
    database: str, nursery: Nursery, logs: Path, record: Record, request: pytest.FixtureRequest
) -> None:
    """After a failover to a copy, or a backup that was put back, the files are read again from its positions on."""
    hand, path = Hand("w"), logs / "a.log"
    append(path, hand.lines(100))
    nursery.run("ingest", "--once", logs, "--db", database)
    if database.startswith("sqlite"):
        file = Path(database.removeprefix("sqlite:///"))
        copy = file.with_name("copy.db")
        with sqlite3.connect(file) as source, sqlite3.connect(copy) as target:
            source.backup(target)
        behind = f"sqlite:///{copy}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        name = database.partition("?")[0].rpartition("/")[2]
        server.execute(f"CREATE DATABASE {name}_copy TEMPLATE {name}")
        request.addfinalizer(lambda: server.drop_database(f"{name}_copy"))
        behind = server.url(f"{name}_copy")
    append(path, hand.lines(100))
    path.rename(logs / "a.log.1")
    append(path, hand.lines(100))
    nursery.run("ingest", "--once", logs, "--db", database)
    nursery.run("ingest", "--once", logs, "--db", behind)
    record(compare_files(database, logs))
    record(compare_files(behind, logs))


def test_hosts_that_read_the_same_files(database: str, nursery: Nursery, logs: Path, record: Record) -> None:
    """By other names, as on a file system that several hosts share: each line is a row once."""
    hand = Hand("w")
    for number in range(3):
        append(logs / f"{number}.log", hand.lines(200))
    with (
        running(nursery, "ingest", logs, "--db", database, "--host", "one") as one,
        running(nursery, "ingest", logs, "--db", database, "--host", "other") as other,
    ):
        for number in range(3):
            append(logs / f"{number}.log", hand.lines(200))
            time.sleep(0.2)
        until_read(database, logs)
        nursery.run("ingest", "--once", logs, "--db", database, "--host", "one")
        nursery.run("ingest", "--once", logs, "--db", database, "--host", "other")
        assert (0, 0) == (end(one), end(other)), one.messages
    record(compare_files(database, logs))
