"""How a database is reached: URLs, engines and their settings."""

import contextlib
import errno
import os
import re
import sqlite3
import stat
import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import orjson
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError

from tracklog.ingester import sqlite
from tracklog.ingester.errors import (
    DatabaseError,
    DatabaseRefusedError,
    DatabaseUnreachableError,
    DatabaseUrlError,
    RowsRefusedError,
    TransactionConflictError,
)
from tracklog.processors.errors import TracklogError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

DEFAULT_URL: Final = "sqlite:///tracklog.db"
ENVIRONMENT_VARIABLE: Final = "TRACKLOG_DATABASE_URL"

_CONNECT_SECONDS: Final = 10
"""A host that answers nothing is given up after this; a refused connection fails at once."""

_ANSWER_SECONDS: Final = 60
"""A server that is connected and answers nothing is given up after this: longer than a batch waits for a lock."""

_READS: Final = "tracklog_reads"

_STEPS: Final = 100_000
"""After so many steps of SQLite, about a millisecond, Python looks whether somebody pressed Ctrl-C."""

_UNREADABLE: Final = "the database URL cannot be read; write sqlite:///PATH or postgresql://USER@HOST/NAME"

_NUMBERS: Final = {"connect_timeout": "[0-9]+", "port": "[0-9]+(,[0-9]+)*"}

_ALMOST_URL: Final = re.compile(r"(?:sqlite|postgres)[\w+]*(?::|//)|[a-z][a-z0-9+]+:/", re.IGNORECASE)
"""What nobody calls a file."""


def database_url(url: str) -> URL:
    """Name the driver that tracklog uses for `url`.

    >>> database_url("postgresql://me@db/agents").drivername
    'postgresql+asyncpg'
    >>> database_url("tracklog.db").database
    'tracklog.db'

    :raises DatabaseUrlError: The URL is of no database that tracklog knows.
    """
    if _ALMOST_URL.match(url) and "://" not in url:
        # Not shown: it may hold a password where nobody would look for one.
        raise DatabaseUrlError(_UNREADABLE)
    if url and "://" not in url:
        # A plain path is what one types on a laptop; nothing in it is taken for a URL's own signs.
        return _file(URL.create("sqlite+aiosqlite", database=url))
    try:
        several = _SEVERAL_HOSTS.fullmatch(url)
        parsed = make_url(_hosts_apart(*several.groups("")) if several is not None else url)
    except (ArgumentError, ValueError) as error:
        raise DatabaseUrlError(_UNREADABLE) from error
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        for key in _NOT_POSSIBLE & parsed.query.keys():
            raise DatabaseUrlError(f"{key} in the database URL is not supported: leave it out")
        for key in _FILES & parsed.query.keys():
            if not os.path.exists(path := str(parsed.query[key])):
                raise DatabaseUrlError(f"{key} in the database URL names no file: {path}")
        for key, pattern in _NUMBERS.items():
            if not re.fullmatch(pattern, str(parsed.query.get(key, 0))):
                raise DatabaseUrlError(f"{key} in the database URL must be a number")
        # Without a name the database is that of PGDATABASE, or of the service; an empty one would be taken for a name.
        return parsed._replace(drivername="postgresql+asyncpg", database=parsed.database or None)
    if backend == "sqlite":
        return _file(parsed.set(drivername="sqlite+aiosqlite"))
    raise DatabaseUrlError(
        f"tracklog works on SQLite and PostgreSQL, not on {backend!r}; write sqlite:///PATH or postgresql://USER@HOST/NAME"
    )


_SEVERAL_HOSTS: Final = re.compile(
    r"(postgres\w*(?:\+\w+)?://(?:[^/?#]*@)?)([^@/?#]*,[^@/?#]*)((?:/[^?]*)?)(?:\?(.*))?"
)
"""Hosts with a port each, which SQLAlchemy reads behind `?host=` only."""


def _hosts_apart(scheme: str, hosts: str, name: str, query: str) -> str:
    return f"{scheme}{name or '/'}?host={hosts}{query and f'&{query}'}"


_FILES: Final = {"sslcert", "sslcrl", "sslkey", "sslrootcert"}

_NOT_POSSIBLE: Final = {"hostaddr", "min_protocol_version", "max_protocol_version", "require_auth", "requirepeer"}
"""What asyncpg knows nothing of, and nobody who wrote it would want to be passed over."""


def _file(url: URL) -> URL:
    """Give the URL of an SQLite file, with the home directory for a `~`: in `--db=~/x.db` no shell puts it there.

    :raises DatabaseUrlError: It is of none.
    """
    if url.database in (":memory:", "file::memory:") or url.query.get("mode") == "memory":
        raise DatabaseUrlError("a database in memory is gone with the command that made it; write sqlite:///PATH")
    if "uri" in url.query:
        raise DatabaseUrlError("a database URL cannot say `uri`: write sqlite:///PATH, and nothing in SQLite's own way")
    if not url.database:
        raise DatabaseUrlError("an SQLite database of tracklog is a file: write sqlite:///PATH")
    return url.set(database=os.path.expanduser(url.database))


def shown(url: URL) -> str:
    """Render a URL for people: without its password.

    >>> shown(database_url("postgresql://me:secret@db/agents"))
    'postgresql://me:***@db/agents'
    """
    if url.get_backend_name() == "sqlite":
        return f"sqlite:///{url.database}"
    if "@" in (url.database or ""):
        return "postgresql://***"  # Of a password with an @ and a slash the end is taken for the name.
    text = url.render_as_string(hide_password=True).replace("+asyncpg", "")
    # An @ that was not escaped ends the password for whoever parses it, and not for whoever typed it.
    return re.sub(r"password=[^&]*", "password=***", re.sub(r"(://[^:/@]*:)[^/]*@", r"\1***@", text))


def open_engine(url: str, *, patient: bool = True) -> "AsyncEngine":
    """Make the engine that writes; connections are made when they are needed.

    On SQLite it has one connection, which takes the write lock when a transaction begins: a lock that is asked for
    later, by a transaction that has read, is refused whatever the timeout.

    :param patient: Whether a statement may take any time.
    """
    parsed = database_url(url)
    if parsed.get_backend_name() == "postgresql":
        return postgresql_engine(
            parsed,
            asyncpg_arguments(parsed, patient=patient),
            pool_size=2,  # One for batches, one for rollups and presence beside them.
            pool_pre_ping=False,  # The first statement of a batch tells as well, and the batch is repeated.
            isolation_level="READ COMMITTED",  # Whatever the database's own default is: what came first is merged with.
        )
    # Imported here because the readers of an SQLite database do without it, and it takes a fifth of a second.
    from sqlalchemy.ext.asyncio import create_async_engine

    try:
        Path(parsed.database or "").parent.mkdir(parents=True, exist_ok=True)
    except PermissionError as error:
        raise _closed(parsed, error.strerror or str(error)) from error
    except OSError as error:
        raise DatabaseRefusedError(
            f"the database {shown(parsed)} cannot be made: {error}; choose another path"
        ) from error
    engine = create_async_engine(
        parsed,
        pool_size=1,
        max_overflow=0,
        connect_args={"isolation_level": None, "timeout": sqlite.BUSY_SECONDS},
    )
    # Absolute, as whoever has it may go elsewhere.
    path = os.path.realpath(parsed.database or "")
    event.listen(engine.sync_engine, "do_connect", partial(_make_private, parsed, path))
    event.listen(engine.sync_engine, "connect", _set_up_writer)
    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def postgresql_engine(url: URL, arguments: Mapping[str, Any], **settings: Any) -> "AsyncEngine":
    """Make an engine whose connections are made with `arguments`; see `asyncpg_arguments`."""
    from sqlalchemy.ext.asyncio import create_async_engine

    def connect_with(_dialect: object, _record: object, _given: object, named: dict[str, Any]) -> None:
        named.clear()
        named.update(arguments, prepared_statement_cache_size=0)

    engine = create_async_engine(
        url.set(query={}),  # What else it says SQLAlchemy would read in its own way; it is for asyncpg.
        max_overflow=0,
        json_deserializer=orjson.loads,
        json_serializer=_dumps,
        **settings,
    )
    engine.sync_engine.url = url
    event.listen(engine.sync_engine, "do_connect", connect_with)
    return engine


def asyncpg_arguments(url: URL, *, name: str = "tracklog ingest", patient: bool = True) -> dict[str, Any]:
    """Give what asyncpg connects with: what the URL says, as PostgreSQL's own programs read it, and our settings.

    :param name: What the server shows of who is connected, where the URL does not say it.
    :param patient: Whether a statement may take any time.
    """
    query = {_ASYNCPG_NAMES.get(key, key): value for key, value in url.query.items() if key not in _NOT_ASYNCPG}
    patience = query.pop("connect_timeout", None)
    return {
        "dsn": url.set(drivername="postgresql", query=query).render_as_string(hide_password=False),
        "timeout": _CONNECT_SECONDS if patience is None else int(str(patience)) or None,
        "command_timeout": None if patient else _ANSWER_SECONDS,
        # Behind a pooler each transaction has another connection, which knows no statement of the last one. So none has
        # a name either: asyncpg closes those that have one, and waits for that for ever.
        "statement_cache_size": 0,
        "server_settings": {} if "application_name" in query else {"application_name": name},
    }


_ASYNCPG_NAMES: Final = {"ssl": "sslmode"}
"""How SQLAlchemy's users write it."""

_NOT_ASYNCPG: Final = frozenset(
    (
        "channel_binding",
        "client_encoding",
        "fallback_application_name",
        "gssdelegation",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "load_balance_hosts",
        "prepared_statement_cache_size",
        "prepared_statement_name_func",
        "sslcertmode",
        "sslcompression",
        "sslsni",
        "tcp_user_timeout",
    )
)
"""What the URLs of servers say to other drivers, and asyncpg would take for a setting of the server."""


def open_reader(url: str) -> Engine:
    """Make an engine that only reads an SQLite database, without asyncio.

    :raises DatabaseUnreachableError: There is no such file; none is made.
    :raises DatabaseRefusedError: The file may not be looked at, or is a directory.
    """
    parsed = database_url(url)
    path = Path(parsed.database or "")
    query = {"mode": "ro", "uri": "true"}
    try:
        if path.is_dir():
            raise _closed(parsed, os.strerror(errno.EISDIR))
        if not path.is_file():
            raise DatabaseUnreachableError(
                f"there is no database at {path}; `tracklog ingest PATH --db {shown(parsed)}` makes it from log files"
            )
        path = path.resolve()  # SQLite's files are beside the file itself, not beside a link to it.
        is_written = any(Path(f"{path}{end}").exists() for end in ("-wal", "-journal"))
        if not is_written and not os.access(path.parent, os.W_OK):
            # SQLite would make its files beside it; nobody is writing there, so it needs none.
            query["immutable"] = "1"
    except OSError as error:
        raise _closed(parsed, error.strerror or str(error)) from error
    engine = create_engine(
        URL.create("sqlite", database=f"file:{quote(str(path))}", query=query),
        connect_args={"isolation_level": None, "timeout": sqlite.BUSY_SECONDS, "check_same_thread": False},
        max_overflow=-1,  # A file has no number of readers that it bears; whoever asks at the same time is not refused.
    )
    event.listen(engine, "connect", _set_up_reader)
    event.listen(engine, "begin", _begin_deferred)
    return engine


def use_wal(path: str) -> None:
    """Switch an SQLite file, for good, to where readers and the writer do not wait for each other.

    :raises sqlite3.OperationalError: Somebody holds the file for longer than we wait.
    """
    connection = sqlite3.connect(path, timeout=sqlite.BUSY_SECONDS, isolation_level=None)
    deadline = time.monotonic() + sqlite.BUSY_SECONDS
    try:
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError:
                # Of several that switch at the same time all but one are refused at once, whatever the timeout.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
    finally:
        connection.close()


def _make_private(url: URL, path: str, _dialect: object, _record: object, arguments: list[Any], _named: object) -> None:
    arguments[0] = path
    # What is in it was in log files, which strangers cannot read either; SQLite's files beside it do as it does.
    try:
        if not os.path.exists(path):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o640))
            if os.stat(os.path.dirname(path)).st_mode & stat.S_IWGRP:
                os.chmod(path, 0o660)  # A reader of the group leaves files of its own there, which others must write.
        elif os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        elif not os.access(path, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        # One that is there is not opened: whoever closes a file lets go of all locks that its process has on it (POSIX,
        # fcntl), those of SQLite too, and then others take the WAL away that is written here.
    except FileExistsError:
        return  # Somebody was first.
    except OSError as error:  # The driver would begin a thread, and SQLite only say that it cannot.
        raise _closed(url, error.strerror or str(error)) from error


def _set_up_writer(connection: Any, _record: Any) -> None:
    sqlite.set_up_writer(connection)


def _set_up_reader(connection: sqlite3.Connection, _record: Any) -> None:
    # What a statement attaches is another file, and would be made and written although this one is only read.
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    # While SQLite works, Python sees no signal but in here; then the statement ends with the error "interrupted".
    connection.set_progress_handler(lambda: 0, _STEPS)


def _begin(connection: Any) -> None:
    begin = "BEGIN" if connection.get_execution_options().get(_READS) else "BEGIN IMMEDIATE"
    # By the driver itself: one turn of its thread, where SQLAlchemy's cursor takes three.
    connection.connection.run_async(lambda driver: driver.execute(begin))


def _begin_deferred(connection: Any) -> None:
    connection.exec_driver_sql("BEGIN")  # One snapshot for all the statements of an answer.


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


def is_unreachable(error: BaseException) -> bool:
    """Tell whether an error means that the database is away, so that waiting may help."""
    if isinstance(error, (OSError, TimeoutError, DatabaseUnreachableError)):
        return True
    cause: BaseException | None = error
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return True
        cause = error.orig
    if isinstance(cause, (OSError, TimeoutError)) or "connection is closed" in str(cause):
        return True
    state = str(getattr(cause, "sqlstate", None) or "")
    # Connection failures, a server that starts or stops, one that has no resources left, a standby, a database that
    # takes no connections for now.
    if state:
        return state[:2] in ("08", "53", "57") or state in ("25006", "55000")
    return any(words in str(cause) for words in ("database is locked", "disk is full", "disk I/O error"))


def is_conflict(error: BaseException) -> bool:
    """Tell whether a transaction was only in another's way: a deadlock, a lock that did not come."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    state = str(getattr(cause, "sqlstate", None) or "")
    return state[:2] == "40" or state == "55P03"


def is_refused(error: BaseException) -> bool:
    """Tell whether the database lets nobody in, by a wrong name or password, or is none: waiting does not mend it."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if state := str(getattr(cause, "sqlstate", None) or ""):
        return state[:2] in ("28", "3D")
    return any(words in str(cause) for words in ("unable to open", "not a database", "readonly database", "malformed"))


def is_about_rows(error: BaseException) -> bool:
    """Tell whether a database refuses a value that it was given: it would again."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, (sqlite3.IntegrityError, sqlite3.DataError, OverflowError, UnicodeError)):
        return True
    # Data exceptions, constraints, limits of the program, and what a trigger raises; asyncpg refuses some itself.
    state = str(getattr(cause, "sqlstate", None) or "")
    return state[:2] in ("22", "23", "54", "P0") or type(cause).__name__ == "DataError"


def _closed(url: URL, reason: str) -> DatabaseRefusedError:
    """Say that nobody is let in, why, and what to do."""
    return DatabaseRefusedError(
        f"the database {shown(url)} lets nobody in: {reason}{advice_on(reason) or '; check the URL'}"
    )


_PERMISSIONS: Final = "check the permissions of the file and of its directory"

_ADVICE: Final = {
    "unable to open": _PERMISSIONS,
    "Permission denied": _PERMISSIONS,
    "Is a directory": "name a file in it",
    "readonly database": "SQLite must be able to write into the file's directory, also to read",
    "disk I/O error": "check the disk, and the space on it",
    "is full": "make room on its disk",
    "not a database": "it is another sort of file; name another one",
    "malformed": "the file is damaged; move it away and make it anew with `tracklog rebuild PATH`",
    "is locked": "another program holds it",
    "in a read-only transaction": "it only answers: a standby, or default_transaction_read_only is on",
    "statement timeout": "statement_timeout of the role or of the database is too short for this",
    "rejected SSL upgrade": "the server has no SSL; check sslmode in the URL",
}


def advice_on(reason: str) -> str:
    """Say what to do about what a database complains of, behind a semicolon; nothing where that is not known."""
    return next((f"; {advice}" for words, advice in _ADVICE.items() if words in reason), "")


@contextlib.asynccontextmanager
async def transaction(engine: "AsyncEngine", *, reads: bool = False) -> "AsyncIterator[AsyncConnection]":
    """Run a transaction; what fails on the way is rolled back.

    :param reads: It only reads, and on SQLite waits for nobody who writes.
    :raises DatabaseUnreachableError: The database is away; waiting may help.
    :raises DatabaseRefusedError: The server lets nobody in by that URL.
    :raises TransactionConflictError: Another transaction was in the way.
    :raises RowsRefusedError: It refuses a value that it was given.
    :raises DatabaseError: It refuses for another reason.
    """
    try:
        async with (engine.execution_options(**{_READS: True}) if reads else engine).begin() as connection:
            yield connection
    except TracklogError:
        raise
    except Exception as error:
        meant = translation(error, engine.url)
        if meant is None:
            raise
        raise meant from error


def translation(error: Exception, url: URL) -> DatabaseError | None:
    """Say in one line what an error means for whoever uses a database; None if it is not of one."""
    cause, reason = _cause(error), reason_of(error)
    if is_conflict(error):
        return TransactionConflictError(f"a transaction on {shown(url)} gave way to another: {reason}")
    if is_refused(error):
        return _closed(url, reason)
    if is_unreachable(error):
        advice = advice_on(reason) or "; check that it runs, and the URL"
        return DatabaseUnreachableError(f"the database {shown(url)} cannot be reached: {reason}{advice}")
    if is_about_rows(error):
        return RowsRefusedError(f"the database {shown(url)} refuses: {reason}")
    if isinstance(error, DBAPIError) or isinstance(cause, sqlite3.Error) or hasattr(cause, "sqlstate"):
        return DatabaseError(f"the database {shown(url)} refuses: {reason}{advice_on(reason)}")
    return None


def reason_of(error: Exception) -> str:
    """Give in a line what a driver says."""
    reason = (str(_cause(error)) or type(_cause(error)).__name__).partition("\n")[0]
    # The asyncpg dialect wraps the driver's message in its class.
    return re.sub(r"^<class '[^']*'>: ", "", reason)


def _cause(error: Exception) -> BaseException:
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
