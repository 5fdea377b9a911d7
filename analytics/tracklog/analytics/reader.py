"""Read a database: each answer on one connection, in one snapshot.

SQLite is read on the caller's thread. PostgreSQL is read by one background thread whose event loop owns the pool, so
that the same connections serve callers with a running loop, with another one, and with none.
"""

import asyncio
import concurrent.futures
import contextlib
import os
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from sqlalchemy import Engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError

from tracklog.analytics.errors import StatementError
from tracklog.analytics.query import Query, run, run_async
from tracklog.ingester.database import (
    asyncpg_arguments,
    database_url,
    open_reader,
    postgresql_engine,
    reason_of,
    shown,
    translation,
)
from tracklog.ingester.errors import DatabaseError, DatabaseRefusedError, SchemaError
from tracklog.ingester.migrate import check

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")

_POOL_SIZE: Final = 5
"""Answers at a time on PostgreSQL; each is one short transaction, and a dashboard asks for a handful at once."""

_LOCK_SECONDS: Final = 1
"""A fork waits no longer for another thread that opens or closes a file."""

_MISSING: Final = ("no such table", "no such column")
_MISSING_STATES: Final = ("42P01", "42703", "3F000")
"""SQLSTATEs of a table, a column and a schema that are not there."""


_MALFORMED: Final = "malformed"
"""What SQLite says of a file that changes while it is taken for one that does not."""

_WAL_GONE: Final = ("unable to open", "readonly database")
"""What it says where it would have to make the files beside it that an ingester took away when it ended."""


class Reader(Protocol):
    """Answers queries on one database."""

    def answer(self, make_query: Callable[[], Query[T]]) -> T:
        """Answer a query; blocks until it is answered."""

    async def answer_async(self, make_query: Callable[[], Query[T]]) -> T:
        """Answer a query without blocking the running loop."""

    def close(self) -> None:
        """Let go of the connections; more than once is fine."""


def open_database(url: str) -> Reader:
    """Make a reader of the database at `url`; it connects when it is first asked.

    :raises DatabaseError: The URL is of no database that tracklog knows.
    """
    parsed = database_url(url)
    return PostgresReader(url, parsed) if parsed.get_backend_name() == "postgresql" else SqliteReader(url, parsed)


class SqliteReader:
    """Read an SQLite file, on the thread that asks."""

    def __init__(self, url: str, parsed: URL) -> None:
        self._url = url
        self._parsed = parsed
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._file: tuple[int, int] | None = None
        self._content: tuple[int, int] | None = None
        self._checked: Engine | None = None

    def answer(self, make_query: Callable[[], Query[T]]) -> T:
        """Answer a query; blocks until it is answered."""
        engine = self._current_engine()
        try:
            answer = self._ask(engine, make_query)
        except (DatabaseError, StatementError) as error:
            # A file that nobody was writing may be written now, and one that was written may be left alone.
            if not (_is_immutable(engine) and self._may_be_overtaken(error)) and not _is_wal_gone(error):
                raise
        else:
            if not (_is_immutable(engine) and self._is_written()):
                return answer
        self._forget(engine)
        engine = self._current_engine()
        try:
            return self._ask(engine, make_query)
        except DatabaseRefusedError as error:
            if not _is_immutable(engine) or _MALFORMED not in str(error):
                raise
            # Whether it is damaged cannot be told of a file that is read without locks, nor be mended by this user.
            raise DatabaseError(
                f"the database {shown(self._parsed)} cannot be read: it is written at the moment, or is damaged; "
                "ask again, or ask where its directory may be written in"
            ) from error

    def _ask(self, engine: Engine, make_query: Callable[[], Query[T]]) -> T:
        pool = engine.pool
        try:
            with translated(self._parsed), engine.connect() as connection, connection.begin():
                if self._checked is not engine:
                    check(connection, self._url)
                    self._checked = engine
                return run(make_query(), connection)
        finally:
            if self._engine is not engine:  # Closed meanwhile: the connection came back to where nobody closes it.
                pool.dispose()
                engine.dispose()

    async def answer_async(self, make_query: Callable[[], Query[T]]) -> T:
        """Answer a query on a thread of the running loop."""
        return await asyncio.to_thread(self.answer, make_query)

    def close(self) -> None:
        """Close the file; a later question opens it anew."""
        with self._lock:
            self._close()

    def close_before_fork(self) -> None:
        """Close the file, except for questions that other threads ask now; a later question opens it anew."""
        # Whoever holds the lock does so for a moment; unless the fork interrupted it, where waiting is for ever.
        if self._lock.acquire(timeout=_LOCK_SECONDS):
            try:
                self._close()
            finally:
                self._lock.release()

    def _close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
        self._engine = self._file = self._content = self._checked = None

    def _current_engine(self) -> Engine:
        # A database that was made anew is another file under the same name; connections to the old one would go on
        # answering from it.
        file, content = self._status()
        with self._lock:
            engine = self._engine
            if engine is None or file != self._file or file is None or (_is_immutable(engine) and self._is_written()):
                self._close()
                self._engine = engine = open_reader(self._url)
                self._file, self._content = file, content
                _opened[id(self)] = self
            return engine

    def _forget(self, engine: Engine) -> None:
        """Open the file anew for the next question, unless another thread has."""
        with self._lock:
            if self._engine is engine:
                self._close()

    def _status(self) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
        """Give which file it is, and what tells that somebody wrote into it; None where there is none."""
        try:
            status = Path(self._parsed.database or "").stat()
        except OSError:
            return None, None
        return (status.st_dev, status.st_ino), (status.st_size, status.st_mtime_ns)

    def _is_written(self) -> bool:
        """Tell whether somebody writes the file, or did since it was opened; read as immutable, it shows none of it."""
        path = os.path.realpath(self._parsed.database or "")
        return self._status()[1] != self._content or any(os.path.exists(f"{path}{end}") for end in ("-wal", "-journal"))

    def _may_be_overtaken(self, error: Exception) -> bool:
        return _MALFORMED in str(error) or self._is_written()


def _is_wal_gone(error: Exception) -> bool:
    return any(words in str(error) for words in _WAL_GONE)


def _is_immutable(engine: Engine) -> bool:
    """Tell whether it reads a file without locks, as one that nobody writes."""
    return "immutable" in engine.url.query


_opened: Final["weakref.WeakValueDictionary[int, SqliteReader]"] = weakref.WeakValueDictionary()
"""Readers that may have a file open."""


def _close_before_fork() -> None:
    """Close what is read of SQLite files.

    A forked child has its parent's record of which locks its process holds, and not the locks: where a file is open
    when it forks, SQLite in the child takes no locks on that file, for a reader nor for an ingester.
    """
    for reference in _opened.valuerefs():
        reader = reference()
        if reader is not None:
            with contextlib.suppress(Exception):  # A fork does not fail for it.
                reader.close_before_fork()


if hasattr(os, "register_at_fork"):
    # What the child inherits is not its own to close when it forks in its turn.
    os.register_at_fork(before=_close_before_fork, after_in_child=_opened.clear)


class PostgresReader:
    """Read a PostgreSQL database, on a background thread with a loop of its own."""

    def __init__(self, url: str, parsed: URL) -> None:
        self._url = url
        self._parsed = parsed
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._engine: AsyncEngine | None = None
        self._checked: AsyncEngine | None = None

    def answer(self, make_query: Callable[[], Query[T]]) -> T:
        """Answer a query; blocks until it is answered."""
        future = self._submit(self._answer(make_query))
        try:
            return future.result()
        except BaseException:
            future.cancel()  # An interrupted caller wants no answer any more.
            raise

    async def answer_async(self, make_query: Callable[[], Query[T]]) -> T:
        """Answer a query without blocking the running loop."""
        return await asyncio.wrap_future(self._submit(self._answer(make_query)))

    def close(self) -> None:
        """Close the connections and end the thread; a later question starts anew."""
        with self._lock:
            loop, thread = self._loop, self._thread
            engine = self._engine
            self._engine = self._checked = self._loop = self._thread = None
        if loop is None or thread is None or engine is None:
            return
        closed = asyncio.run_coroutine_threadsafe(engine.dispose(), loop)
        closed.add_done_callback(lambda _: loop.call_soon_threadsafe(loop.stop))
        if thread is threading.current_thread():  # The garbage collector may choose any thread, also this one.
            return
        thread.join()
        loop.close()

    def _submit(self, coroutine: Coroutine[Any, Any, T]) -> "concurrent.futures.Future[T]":
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._engine = postgresql_engine(
                    self._parsed,
                    asyncpg_arguments(self._parsed, name="tracklog"),
                    pool_size=_POOL_SIZE,
                    pool_pre_ping=True,  # A dashboard that slept over a restart of the server does not see it.
                    isolation_level="REPEATABLE READ",  # One snapshot for all the statements of an answer.
                    execution_options={"postgresql_readonly": True},
                )
                self._thread = threading.Thread(target=self._loop.run_forever, name="tracklog-answers", daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    async def _answer(self, make_query: Callable[[], Query[T]]) -> T:
        engine = self._engine
        if engine is None:  # Closed by another thread in between.
            raise DatabaseError("this reader was closed while it was asked")
        with translated(self._parsed):
            async with engine.connect() as connection, connection.begin():
                if self._checked is not engine:
                    await connection.run_sync(check, self._url)
                    self._checked = engine
                return await run_async(make_query(), connection)
        raise AssertionError("unreachable")


@contextlib.contextmanager
def translated(url: URL) -> Iterator[None]:
    """Turn what the drivers raise into errors that say what to do."""
    try:
        yield
    except OperationalError as error:
        if str(error.orig) == "interrupted":  # What SQLite makes of Ctrl-C.
            raise KeyboardInterrupt from error
        raise _translation(error, url) from error
    except (DBAPIError, OSError, TimeoutError) as error:
        raise _translation(error, url) from error


def _translation(error: Exception, url: URL) -> DatabaseError:
    """Say in one line what the driver's error means for whoever asks."""
    reason = reason_of(error)
    state = str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")
    if state in _MISSING_STATES or reason.startswith(_MISSING):
        return SchemaError(
            f"the database {shown(url)} has not the tables of this version ({reason}); "
            "`tracklog ingest` makes them in an empty database, `tracklog db upgrade` brings older ones up to date"
        )
    return translation(error, url) or DatabaseError(f"the database {shown(url)} refuses: {reason}")
