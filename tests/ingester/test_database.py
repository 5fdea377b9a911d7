"""How databases are reached."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ingester import kept
from tracklog.analytics import ExecutionAnalytics
from tracklog.ingester import sqlite
from tracklog.ingester.database import advice_on, asyncpg_arguments, database_url, open_reader, shown
from tracklog.ingester.discover import Discovery
from tracklog.ingester.errors import DatabaseError, DatabaseUnreachableError, DatabaseUrlError
from tracklog.ingester.store import Store


@pytest.mark.parametrize(
    ("url", "driver", "database"),
    [
        ("postgresql://me@db/agents", "postgresql+asyncpg", "agents"),
        ("postgres://me@db/agents", "postgresql+asyncpg", "agents"),
        ("postgresql+psycopg://me@db/agents", "postgresql+asyncpg", "agents"),
        ("sqlite:///tracklog.db", "sqlite+aiosqlite", "tracklog.db"),
        ("sqlite:////var/tracklog.db", "sqlite+aiosqlite", "/var/tracklog.db"),
        ("postgres/sqlite.db", "sqlite+aiosqlite", "postgres/sqlite.db"),
        ("a:b.db", "sqlite+aiosqlite", "a:b.db"),
        ("/var/a%20b?c#d.db", "sqlite+aiosqlite", "/var/a%20b?c#d.db"),
    ],
)
def test_a_url_names_the_database_and_not_the_driver(url: str, driver: str, database: str) -> None:
    """Whatever driver a URL names, ours is taken; a plain path is an SQLite file, every character of it."""
    parsed = database_url(url)
    assert (driver, database) == (parsed.drivername, parsed.database)


@pytest.mark.parametrize("url", ["~/tracklog.db", "sqlite:///~/tracklog.db"])
def test_a_tilde_is_the_home_directory(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In `--db=~/tracklog.db` no shell puts it there, and nobody means a directory named so."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert str(tmp_path / "tracklog.db") == database_url(url).database
    assert "~/tracklog.db" == database_url("postgresql://me@db/~/tracklog.db").database


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me@db/agents",
        "sqlite://",
        "sqlite:///:memory:",
        "://",
        "",
        # Slips of the finger, which must not become files.
        "postgresql//me@db/agents",
        "postgresql:/db/agents",
        "postgresql+asyncpg:me@db",
        "sqlite:/tracklog.db",
        "sqlite//:tracklog.db",
        "http:/db",
        "sqlite:///file:t.db?uri=true",
    ],
)
def test_a_url_of_no_database_of_ours_is_refused(url: str) -> None:
    """The message says what to write."""
    with pytest.raises(DatabaseUrlError, match="write"):
        database_url(url)


@pytest.mark.parametrize(
    "url",
    [":memory:", "sqlite:///:memory:", "file::memory:", "sqlite:///file::memory:?uri=true", "sqlite:///x?mode=memory"],
)
def test_a_database_in_memory_is_refused(url: str) -> None:
    """However it is written: nobody else could ask it."""
    with pytest.raises(DatabaseUrlError, match="in memory is gone"):
        database_url(url)


@pytest.mark.parametrize("said", ["connect_timeout=soon", "connect_timeout=1,2", "port=x"])
def test_a_number_in_a_url_is_one(said: str) -> None:
    """The message names it."""
    with pytest.raises(DatabaseUrlError, match=said.partition("=")[0]):
        database_url(f"postgresql://me@db/agents?{said}")


def test_what_a_url_says_as_for_other_programs(postgres_database: str) -> None:
    """What PostgreSQL's own programs understand is what is meant, whether asyncpg does it or knows nothing of it."""
    kept.with_store(postgres_database, lambda store: store.prepare())
    said = "&sslmode=prefer&connect_timeout=5&application_name=mine&channel_binding=prefer&keepalives=1"
    url = f"{postgres_database}{said}&options=-c%20work_mem%3D5MB"
    sql = "SELECT current_setting('application_name') AS name, current_setting('work_mem') AS memory"

    async def asked(store: Store) -> tuple[str, ...]:
        async with store.transaction() as connection:
            return tuple((await connection.exec_driver_sql(sql)).one())

    assert ("mine", "5MB") == kept.with_store(url, asked)
    with ExecutionAnalytics(url) as analytics:
        assert [{"name": "mine", "memory": "5MB"}] == analytics.run_sql(sql)
    for wrong in ("sslmode=sometimes", "nothing=known"):
        with ExecutionAnalytics(f"{postgres_database}&{wrong}") as analytics, pytest.raises(DatabaseError):
            analytics.run_sql(sql)
        with pytest.raises(DatabaseError):
            kept.with_store(f"{postgres_database}&{wrong}", asked)


@pytest.mark.parametrize(
    ("url", "dsn"),
    [
        ("postgres://u:p@a:1,b:2/x?connect_timeout=3", "postgresql://u:p@/x?host=a%3A1%2Cb%3A2"),
        ("postgresql://u@a,b:2", "postgresql://u@?host=a%2Cb%3A2"),
        ("postgresql://u:p,w@a/x", "postgresql://u:p%2Cw@a/x"),
        ("postgresql:///", "postgresql://"),
        ("postgresql:///?service=x", "postgresql://?service=x"),
    ],
)
def test_a_url_is_read_as_postgresqls_own_programs_read_it(url: str, dsn: str) -> None:
    """Several hosts may have a port each; what it leaves open is asked for where they ask, as in PGDATABASE."""
    assert dsn == asyncpg_arguments(database_url(url))["dsn"]


@pytest.mark.parametrize(
    "said", ["sslrootcert=/nowhere.crt", "sslkey=/nowhere.key", "requirepeer=me", "require_auth=md5"]
)
def test_what_a_url_says_in_vain_is_named(said: str) -> None:
    """A file that is not there, and what is for safety and would not be done."""
    with pytest.raises(DatabaseUrlError, match=said.partition("=")[0]):
        database_url(f"postgresql://me@db/agents?{said}")


def test_what_servers_complain_of_comes_with_what_to_do(postgres_database: str) -> None:
    """Each is waited for, as it may pass; but who reads it has not to look whether the server runs."""
    for option, sql, advice in (
        ("statement_timeout%3D10", "SELECT pg_sleep(1)", "; statement_timeout of the role"),
        ("default_transaction_read_only%3Don", "CREATE TABLE x ()", "; it only answers"),
    ):

        async def asked(store: Store, sql: str = sql) -> None:
            async with store.transaction() as connection:
                await connection.exec_driver_sql(sql)

        with pytest.raises(DatabaseUnreachableError, match=advice):
            kept.with_store(f"{postgres_database}&options=-c%20{option}", asked)


def test_what_is_shown_has_no_password_and_can_be_typed() -> None:
    """A URL in a message is the one that was given, but for its password."""
    assert "postgresql://***" == shown(database_url("postgresql://me:sec@ret/of@db/agents"))
    assert "postgresql://me:***@db/agents" == shown(database_url("postgresql://me:secret@db/agents"))
    assert "postgresql://me:***@db/agents" == shown(database_url("postgresql://me:sec@ret@db/agents"))
    assert "postgresql://me@db/agents?password=***" == shown(database_url("postgresql://me@db/agents?password=secret"))
    assert "sqlite:////var/a#b.db" == shown(database_url("/var/a#b.db"))


def test_a_reader_makes_no_database(tmp_path: Path) -> None:
    """Whoever asks a file that is not there is told, and none is made."""
    path = tmp_path / "none.db"
    with pytest.raises(DatabaseUnreachableError, match="there is no database"):
        open_reader(str(path))
    assert not path.exists()


def test_connecting_again_leaves_the_locks_of_this_process(tmp_path: Path) -> None:
    """Another process that closes last would take the WAL away, and with it what is written here afterwards."""
    path = tmp_path / "tracklog.db"
    another = f"import sqlite3; sqlite3.connect({str(path)!r}).execute('SELECT * FROM tracklog_sources').fetchall()"

    async def run() -> None:
        store = Store(str(path), "test")
        await store.prepare()
        with contextlib.closing(sqlite3.connect(path)) as holder:
            holder.execute("SELECT * FROM tracklog_sources").fetchall()
            before = os.stat(f"{path}-wal").st_ino
            await store.close()
            await store.prepare()
            await store.close()
            subprocess.run([sys.executable, "-c", another], check=True)
            assert before == os.stat(f"{path}-wal").st_ino

    asyncio.run(run())


def test_a_database_that_a_link_names_is_left_alone_by_the_scan(tmp_path: Path) -> None:
    """Also where it has no database's name: whoever looked into its files would let go of the locks on them."""
    logs = tmp_path / "logs"
    logs.mkdir()
    (tmp_path / "t.db").symlink_to(logs / "agents")
    store = Store(str(tmp_path / "t.db"), "test")

    async def run() -> list[tuple[int, int]]:
        await store.prepare()
        async with store.transaction() as connection:
            await connection.exec_driver_sql("DELETE FROM tracklog_sources")
        assert store.file == str(logs / "agents")
        untouched = Discovery([str(logs)], lambda path, error: None, store.file)
        assert [] == list(untouched.scan())
        inodes = {(file.stat().st_dev, file.stat().st_ino) for file in logs.iterdir()}
        assert {"agents", "agents-wal", "agents-shm"} == {file.name for file in logs.iterdir()}
        await store.close()
        return [inode for inode in inodes if inode not in untouched._untouched]

    assert [] == asyncio.run(run())


def test_a_directory_of_a_group_has_a_database_of_the_group(tmp_path: Path) -> None:
    """The files that a reader leaves beside it are as it is, and whoever ingests must write them."""
    shared = tmp_path / "shared"
    shared.mkdir()
    for directory, mode in ((tmp_path, 0o755), (shared, 0o775)):
        directory.chmod(mode)
        store = Store(str(directory / "t.db"), "test")
        asyncio.run(prepared(store))
        assert (0o640 if mode == 0o755 else 0o660) == (directory / "t.db").stat().st_mode & 0o777


async def prepared(store: Store) -> None:
    """Make a database."""
    await store.prepare()
    await store.close()


def test_a_wal_begins_anew_although_somebody_always_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who read are waited for, and those who come meanwhile need none of it."""
    monkeypatch.setattr(sqlite, "_LONG_WAL_BYTES", 1000)
    path, done = tmp_path / "t.db", threading.Event()

    def read(delay: float) -> None:
        time.sleep(delay)
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            while not done.is_set():
                connection.execute("BEGIN")
                connection.execute("SELECT count(*) FROM t").fetchall()
                time.sleep(0.1)
                connection.execute("ROLLBACK")

    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE t (x)")
        readers = [threading.Thread(target=read, args=(delay,)) for delay in (0, 0.05)]
        for reader in readers:
            reader.start()
        try:
            for _ in range(10):
                time.sleep(0.03)
                writer.execute("INSERT INTO t VALUES (zeroblob(100000))")
                sqlite.shorten_wal(str(path))
        finally:
            done.set()
            for reader in readers:
                reader.join()
        assert (tmp_path / "t.db-wal").stat().st_size < 500_000


def test_a_copy_without_a_wal_has_one_again(tmp_path: Path) -> None:
    """As `VACUUM INTO` makes it; else each reader would be in the way of the ingester."""
    asyncio.run(prepared(Store(str(tmp_path / "t.db"), "test")))
    with contextlib.closing(sqlite3.connect(tmp_path / "t.db")) as connection:
        connection.execute(f"VACUUM INTO '{tmp_path / 'copy.db'}'")
    asyncio.run(prepared(Store(str(tmp_path / "copy.db"), "test")))
    with contextlib.closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        assert ("wal",) == connection.execute("PRAGMA journal_mode").fetchone()


def test_a_directory_that_cannot_be_written_is_no_obstacle_to_reading(
    sqlite_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database on a read-only medium: SQLite would make files beside it, which nobody needs where nobody writes."""
    kept.with_store(sqlite_database, lambda store: store.prepare())
    path = Path(sqlite_database.removeprefix("sqlite:///"))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with open_reader(sqlite_database).connect() as connection:
        assert 0 == connection.exec_driver_sql("SELECT count(*) FROM agent_executions").scalar()
        assert [path] == list(path.parent.iterdir())
    connection.engine.dispose()


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("unable to open database file", "permissions"),
        ("database or disk is full", "room"),
        ("database disk image is malformed", "rebuild"),
        ("syntax error", ""),
    ],
)
def test_what_sqlite_complains_of_comes_with_what_to_do(reason: str, advice: str) -> None:
    """Its own words say what, not what to do."""
    assert advice in advice_on(reason)
    assert bool(advice) == bool(advice_on(reason))
