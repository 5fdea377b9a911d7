"""The schema and its versions."""

import asyncio
import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, inspect, text

from tracklog.ingester.database import database_url, open_engine, open_reader, shown, transaction, use_wal
from tracklog.ingester.errors import DatabaseError, SchemaError, TransactionConflictError
from tracklog.ingester.schema import metadata

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

HEAD: Final = "0004"
"""The version this code works on; the name of the newest migration."""

_LOCK: Final = 0x7472_6163_6B6C
"""The advisory lock under which one of several ingesters makes the schema."""

_LOCK_SECONDS: Final = 5.0
"""So long migrations wait for a lock on PostgreSQL: whoever comes later, also to read, waits behind them."""

_PAUSES: Final = (1.0, 2.0, 4.0)
"""Seconds until they try again, in which all others get through."""

_HOLDERS: Final = """
SELECT DISTINCT activity.pid, coalesce(nullif(application_name, ''), backend_type, 'a session')
FROM pg_locks JOIN pg_stat_activity activity USING (pid)
WHERE locktype = 'relation' AND granted AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND relation IN (SELECT to_regclass(name) FROM unnest(CAST(:names AS text[])) name)
    AND coalesce(xact_start < statement_timestamp() - make_interval(secs => :seconds), true)
ORDER BY 1
"""
"""Who has held locks on our tables for as long as migrations wait; since when another role's does, not all may see."""

_ENCODINGS: Final = ("UTF8", "SQL_ASCII")
"""Of PostgreSQL's, those that take every line; SQL_ASCII keeps whatever bytes it is given."""

_HAS_VERSION: Final = """
SELECT to_regclass('alembic_version') IS NOT NULL
    AND (
        to_regclass(quote_ident(current_schema()) || '.alembic_version') IS NOT NULL
        OR to_regclass('tracklog_sources') IS NOT NULL
    )
"""
"""Whether PostgreSQL's search path leads to a version that is ours, or is in our place.

One further along is another program's where no table of ours goes with it: ours would be made in the first schema.
"""


def version_of(connection: Connection) -> str | None:
    """Read the version of a database's schema; None where there is none."""
    if connection.dialect.name == "postgresql":
        is_there = bool(connection.execute(text(_HAS_VERSION)).scalar())
    else:
        is_there = inspect(connection).has_table("alembic_version")
    if not is_there:
        return None
    version: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return version


def check(connection: Connection, url: str) -> None:
    """Check that a database has the schema this code works on.

    :raises SchemaError: It has none, an older or a newer one.
    """
    version = version_of(connection)
    if version != HEAD:
        raise SchemaError(_complaint(version, shown(database_url(url))))


def _complaint(version: str | None, database: str) -> str:
    if version is not None and re.fullmatch(r"\d{4}", version) is None:
        return f"the database {database} is another program's, with a schema {version!r}; give tracklog one of its own"
    if version is None:
        return f"the database {database} has no tables of tracklog; `tracklog ingest PATH --db {database}` makes them"
    if version > HEAD:
        return (
            f"the database {database} has schema {version}, newer than this tracklog's {HEAD}; install a newer tracklog"
        )
    return (
        f"the database {database} has schema {version}, this tracklog works on {HEAD};"
        f" run `tracklog db upgrade --db {database}`"
    )


async def prepare(engine: "AsyncEngine") -> None:
    """Make the schema in an empty database, and upgrade an older one on SQLite.

    :raises SchemaError: A PostgreSQL database is older, which its owner upgrades when it suits, or any is newer.
    """
    is_sqlite = engine.dialect.name == "sqlite"
    async with transaction(engine, reads=True) as connection:
        version = await connection.run_sync(version_of)
        journal = (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar() if is_sqlite else None
    if version == HEAD:
        if is_sqlite and journal != "wal":  # As `VACUUM INTO` leaves a copy.
            await engine.dispose()
            await asyncio.to_thread(use_wal, engine.url.database or "")
        return
    if version is not None and not is_sqlite:
        raise SchemaError(_complaint(version, shown(engine.url)))
    await _upgrade(engine)


async def check_again(engine: "AsyncEngine") -> None:
    """Check that a database still has the schema that it had when it was prepared.

    :raises SchemaError: It has another version. One in which none is seen may be closed, or being restored.
    """
    async with transaction(engine, reads=True) as connection:
        version = await connection.run_sync(version_of)
    if version not in (None, HEAD):
        raise SchemaError(_complaint(version, shown(engine.url)))


async def _upgrade(engine: "AsyncEngine") -> None:
    async with transaction(engine) as connection:
        if complaint := await connection.run_sync(_obstacle, shown(engine.url)):
            raise SchemaError(complaint)
    # Alembic keeps what it is at in variables of its module.
    async with _at_migrations.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        if engine.dialect.name == "sqlite":
            await asyncio.to_thread(use_wal, engine.url.database or "")
        for pause in _PAUSES:
            with contextlib.suppress(TransactionConflictError):
                return await _migrate(engine)
            await asyncio.sleep(pause)
        try:
            await _migrate(engine)
        except TransactionConflictError as error:
            raise DatabaseError(await _held(engine)) from error


async def _migrate(engine: "AsyncEngine") -> None:
    async with transaction(engine) as connection:
        if engine.dialect.name == "postgresql":
            await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            # Only from here on: another's migrations may take long, and nobody waits behind who waits for them.
            await connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{int(_LOCK_SECONDS * 1000)}ms'")
        await connection.run_sync(_run_migrations)


async def _held(engine: "AsyncEngine") -> str:
    """Say whose transactions kept the migrations from their locks, and what to do."""
    names = [*metadata.tables, "alembic_version"]
    async with transaction(engine, reads=True) as connection:
        holders = (await connection.execute(text(_HOLDERS), {"names": names, "seconds": _LOCK_SECONDS})).all()
    database = shown(engine.url)
    who = ", ".join(f"{name} (pid {pid})" for pid, name in holders) or "one that is not seen any more"
    return (
        f"the database {database} keeps the schema it had, as its tables are held by transactions that last: {who};"
        f" wait for them, or end them with SELECT pg_terminate_backend(PID),"
        f" and run `tracklog db upgrade --db {database}` again"
    )


_at_migrations: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


def _obstacle(connection: Connection, database: str) -> str | None:
    """Say why a database cannot be brought to this version; None if it can."""
    version = version_of(connection)
    if version is None:
        taken = sorted(set(metadata.tables).intersection(inspect(connection).get_table_names()))
        if taken:
            return (
                f"the database {database} has tables that are not tracklog's and are named like its own"
                f" ({', '.join(taken)}); give tracklog a database of its own"
            )
    elif version > HEAD:
        return _complaint(version, database)
    if connection.dialect.name == "postgresql":
        encoding = connection.execute(text("SHOW server_encoding")).scalar()
        if encoding not in _ENCODINGS:
            return (
                f"the database {database} has the encoding {encoding}, which lacks characters that lines may have;"
                " give tracklog one made by CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
            )
    return None


def _run_migrations(connection: Connection) -> None:
    # Imported here because it takes half a second and is needed once in a database's life.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    if connection.dialect.name == "postgresql" and version_of(connection) is None:
        # Beside the tables, which are made there; else alembic takes another program's version further along the path.
        config.attributes["version_schema"] = connection.execute(text("SELECT current_schema()")).scalar()
    command.upgrade(config, "head")


async def upgrade(url: str) -> None:
    """Bring a database to the newest schema, from whichever it has.

    :raises SchemaError: It has a newer one, or is another program's.
    :raises DatabaseError: Somebody holds its tables for longer than is waited; nothing was changed.
    """
    engine = open_engine(url)
    try:
        await _upgrade(engine)
    finally:
        await engine.dispose()


async def current(url: str) -> str | None:
    """Give the version of a database's schema; None where it has none.

    :raises DatabaseUnreachableError: The database is away, or the SQLite file does not exist; none is made.
    """
    if database_url(url).get_backend_name() == "sqlite":
        open_reader(url).dispose()
    engine = open_engine(url)
    try:
        async with transaction(engine, reads=True) as connection:
            return await connection.run_sync(version_of)
    finally:
        await engine.dispose()
