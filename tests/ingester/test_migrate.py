"""The schema and its versions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from ingester import kept
from ingester.lines import dumps
from tracklog.ingester import SchemaError, migrate, schema
from tracklog.ingester.errors import DatabaseError, DatabaseUnreachableError, RowsRefusedError
from tracklog.ingester.store import Store


def test_the_migrations_give_the_schema(database: str) -> None:
    """A database that was migrated has the tables, columns and indexes that the code works on, and no others."""

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), schema.metadata))

    async def run() -> list[object]:
        store = Store(database, "host")
        try:
            await store.prepare()
            async with store.transaction() as connection:
                return await connection.run_sync(differences)
        finally:
            await store.close()

    assert [] == asyncio.run(run())


def test_the_newest_version_is_the_one_the_code_works_on() -> None:
    """Nobody adds a migration and forgets to say so."""
    scripts = ScriptDirectory(str(Path(migrate.__file__).parent / "migrations"))
    assert migrate.HEAD == scripts.get_current_head()


def test_several_ingesters_make_the_schema_once(database: str) -> None:
    """Those that start at the same time on an empty database all find it made."""

    async def run() -> None:
        stores = [Store(database, f"host-{number}") for number in range(4)]
        try:
            await asyncio.gather(*(store.prepare() for store in stores))
        finally:
            for store in stores:
                await store.close()
        assert migrate.HEAD == await migrate.current(database)

    asyncio.run(run())


@pytest.mark.parametrize("version", ["9999"])
def test_a_newer_schema_is_left_alone(database: str, version: str) -> None:
    """A database that a newer tracklog made is refused, with what to do."""

    async def run() -> None:
        await migrate.upgrade(database)
        store = Store(database, "host")
        try:
            async with store.transaction() as connection:
                await connection.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": version})
            with pytest.raises(SchemaError, match="install a newer tracklog"):
                await store.prepare()
        finally:
            await store.close()

    asyncio.run(run())


def test_an_older_schema_on_postgresql_waits_for_its_owner(postgres_database: str) -> None:
    """A shared database is not changed by whoever comes first."""

    async def run() -> None:
        await migrate.upgrade(postgres_database)
        store = Store(postgres_database, "host")
        try:
            async with store.transaction() as connection:
                await connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
            with pytest.raises(SchemaError, match="tracklog db upgrade"):
                await store.prepare()
        finally:
            await store.close()

    asyncio.run(run())


def test_asking_for_the_version_makes_no_file(tmp_path: Path) -> None:
    """A question is no reason to make a database."""
    with pytest.raises(DatabaseUnreachableError):
        asyncio.run(migrate.current(str(tmp_path / "none.db")))
    assert [] == list(tmp_path.iterdir())


def test_a_database_of_another_program_is_left_alone(database: str) -> None:
    """It has a table of a name of ours, or a schema that another program's migrations made."""

    async def complaint(*statements: str) -> str:
        store = Store(database, "host")
        try:
            async with store.transaction() as connection:
                for statement in statements:
                    await connection.execute(text(statement))
            with pytest.raises(SchemaError) as refusal:
                await store.prepare()
        finally:
            await store.close()
        with pytest.raises(SchemaError) as refusal_of_upgrade:
            await migrate.upgrade(database)
        assert str(refusal.value) == str(refusal_of_upgrade.value)
        return str(refusal.value)

    assert "(agent_executions); give tracklog a database of its own" in asyncio.run(
        complaint("CREATE TABLE agent_executions (x INTEGER)")
    )
    versions = "CREATE TABLE alembic_version (version_num VARCHAR(32))", "INSERT INTO alembic_version VALUES ('ae10')"
    assert "another program's, with a schema 'ae10'" in asyncio.run(complaint(*versions))


def test_a_schema_of_ones_own_stands_before_another_programs(postgres_server: Any, postgres_database: str) -> None:
    """Its version is not taken for ours; ours is made beside our tables, and found wherever the path leads to it."""
    name = postgres_database.partition("?")[0].rpartition("/")[2]
    postgres_server.execute(
        "CREATE TABLE alembic_version (version_num VARCHAR(32))",
        "INSERT INTO alembic_version VALUES ('ae10')",
        'CREATE SCHEMA "Own"',
        "CREATE SCHEMA before",
        database=name,
    )

    def by(path: str) -> str:
        postgres_server.execute(f"ALTER DATABASE {name} SET search_path = {path}")
        return postgres_database

    assert None is asyncio.run(migrate.current(by('"Own", public')))
    asyncio.run(migrate.upgrade(postgres_database))
    schemas = (
        "SELECT DISTINCT schemaname::text FROM pg_tables WHERE tablename IN ('agent_executions', 'tracklog_purged')"
    )
    assert [("Own",)] == kept.query(postgres_database, schemas)
    versions = 'SELECT a.version_num, b.version_num FROM "Own".alembic_version a, public.alembic_version b'
    assert [(migrate.HEAD, "ae10")] == kept.query(postgres_database, versions)
    for path in ('"Own", public', 'before, "Own", public'):
        assert migrate.HEAD == asyncio.run(migrate.current(by(path)))
        asyncio.run(migrate.upgrade(postgres_database))
    assert [(migrate.HEAD, "ae10")] == kept.query(postgres_database, versions)
    assert "ae10" == asyncio.run(migrate.current(by("public")))


def test_a_database_that_lacks_characters_is_refused(postgres_server: Any) -> None:
    """By whoever would make the schema, with what to do; one that keeps any bytes is taken."""
    name = postgres_server.create_database()

    def make(encoding: str) -> None:
        postgres_server.drop_database(name)
        postgres_server.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")

    async def prepare() -> None:
        store = Store(url, "host")
        try:
            await store.prepare()
        finally:
            await store.close()

    url = postgres_server.url(name)
    try:
        make("LATIN1")
        for refused in (prepare(), migrate.upgrade(url)):
            with pytest.raises(SchemaError, match=rf"{name}.* the encoding LATIN1, .* ENCODING 'UTF8' TEMPLATE templ"):
                asyncio.run(refused)
        assert None is asyncio.run(migrate.current(url))
        make("SQL_ASCII")
        asyncio.run(prepare())
        assert migrate.HEAD == asyncio.run(migrate.current(url))
    finally:
        postgres_server.drop_database(name)


def test_strangers_cannot_read_the_database(tmp_path: Path) -> None:
    """It holds what the logs hold, and those are made so too."""
    path = tmp_path / "tracklog.db"

    async def run() -> None:
        store = Store(str(path), "host")
        try:
            await store.prepare()
            assert {0o640} == {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
        finally:
            await store.close()

    asyncio.run(run())
    asyncio.run(migrate.upgrade(str(tmp_path / "upgraded.db")))
    assert 0o640 == (tmp_path / "upgraded.db").stat().st_mode & 0o777


def test_what_the_first_version_rolled_up_is_summed_up_by_hours(database: str, tmp_path: Path) -> None:
    """An upgrade gives the hours that the ingester would have made beside the minutes."""
    kept.write(tmp_path / "logs")
    later = dumps(*kept.story("late", ["l1", "l2"], first=3 * 3600 + 61))
    (tmp_path / "logs" / "late.jsonl").write_bytes(later)
    kept.ingest(database, tmp_path / "logs")
    before = kept.contents(database)
    assert 3 == len(before["agent_performance_hours"])

    async def go_back(store: Store) -> None:
        async with store.transaction() as connection:
            await connection.execute(text("DROP TABLE agent_performance_hours"))
            await connection.execute(text("DROP INDEX ix_agent_performance_metrics_window_start"))
            for name in ("by_method", "by_model"):
                await connection.execute(text(f"ALTER TABLE agent_performance_metrics DROP COLUMN {name}"))
            await connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))

    kept.with_store(database, go_back)
    asyncio.run(migrate.upgrade(database))
    assert _totals(before) == _totals(kept.contents(database))


def make_older(database: str, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the schema as it was."""
    to_head = command.upgrade
    with monkeypatch.context() as older:
        older.setattr(command, "upgrade", lambda config, _: to_head(config, version))
        asyncio.run(migrate.upgrade(database))


@asynccontextmanager
async def long_reader(url: str) -> AsyncIterator[int]:
    """Hold a table as pg_dump does, and give the process that does it."""
    connection = await asyncpg.connect(url, server_settings={"application_name": "pg_dump"})
    try:
        async with connection.transaction():
            await connection.fetch("SELECT FROM tracklog_ingesters")
            yield connection.get_server_pid()
    finally:
        await connection.close()


def test_an_upgrade_gives_up_behind_a_long_reader(postgres_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names who is in the way, and has changed nothing."""
    make_older(postgres_database, "0003", monkeypatch)
    monkeypatch.setattr(migrate, "_LOCK_SECONDS", 0.1)
    monkeypatch.setattr(migrate, "_PAUSES", (0.01,))

    async def run() -> None:
        async with long_reader(postgres_database) as pid:
            with pytest.raises(DatabaseError, match=rf"keeps the schema.* that last: pg_dump \(pid {pid}\); .* again"):
                await asyncio.wait_for(migrate.upgrade(postgres_database), 20)
        assert "0003" == await migrate.current(postgres_database)

    asyncio.run(run())


def test_readers_get_past_an_upgrade_that_waits(postgres_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a long one, after whose end the upgrade is done."""
    make_older(postgres_database, "0003", monkeypatch)
    monkeypatch.setattr(migrate, "_LOCK_SECONDS", 0.2)
    monkeypatch.setattr(migrate, "_PAUSES", (0.01,) * 100)

    async def run() -> None:
        other = await asyncpg.connect(postgres_database)
        try:
            async with long_reader(postgres_database) as pid:
                upgrading = asyncio.create_task(migrate.upgrade(postgres_database))
                waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid)))"
                while not await other.fetchval(waits, pid):
                    assert not upgrading.done()
                await other.fetch("SELECT FROM tracklog_ingesters", timeout=20)
                assert not upgrading.done()
            await asyncio.wait_for(upgrading, 20)
        finally:
            await other.close()
        assert migrate.HEAD == await migrate.current(postgres_database)

    asyncio.run(run())


def test_the_ingester_of_each_host_is_kept_where_each_may_have_several(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an older schema, in which a second one of a host overwrote the first."""
    make_older(database, "0003", monkeypatch)
    columns = "host, version, pid, paths, files, bytes_seen, bytes_behind, started_at, looked_at"
    insert = (
        f"INSERT INTO tracklog_ingesters ({columns}) VALUES ('{{}}', '0', 1, '[\"/{{}}\"]', 1, 1, 0, '{{}}', '{{}}')"
    )
    first, second = "2026-01-02 03:04:05.000000+00:00", "2026-01-02 03:04:06.000000+00:00"
    kept.execute(database, insert.format("one", "a", first, first))
    kept.execute(database, insert.format("two", "a", first, first))
    with pytest.raises(RowsRefusedError):
        kept.execute(database, insert.format("two", "b", second, second))
    asyncio.run(migrate.upgrade(database))
    kept.execute(database, insert.format("two", "b", second, second))
    with pytest.raises(RowsRefusedError):
        kept.execute(database, insert.format("two", "c", second, second))
    rows = kept.query(database, "SELECT host, paths FROM tracklog_ingesters ORDER BY host, started_at")
    assert [("one", ["/a"]), ("two", ["/a"]), ("two", ["/b"])] == [
        (host, orjson.loads(paths) if isinstance(paths, str) else paths) for host, paths in rows
    ]


def _totals(held: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Give the rollups without what they are broken down by, which an upgrade leaves to the rows."""
    rows = [*held["agent_performance_metrics"], *held["agent_performance_hours"]]
    return [{**row, "by_method": None, "by_model": None} for row in rows]
