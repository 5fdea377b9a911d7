"""How a database is reached: URLs, engines and their settings."""

from sqlalchemy import Engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError

from tracklog.ingester.errors import DatabaseError

DEFAULT_URL = "sqlite:///tracklog.db"
ENVIRONMENT_VARIABLE = "TRACKLOG_DATABASE_URL"


def database_url(url: str) -> URL:
    """Name the driver that tracklog uses for `url`.

    >>> database_url("postgresql://me@db/agents").drivername
    'postgresql+asyncpg'
    >>> database_url("tracklog.db").database
    'tracklog.db'

    :raises DatabaseError: The URL is of no database that tracklog knows.
    """
    if "://" not in url:
        url = f"sqlite:///{url}"  # A plain path is what one types on a laptop.
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise DatabaseError(
            "the database URL cannot be read; write sqlite:///PATH or postgresql://USER@HOST/NAME"
        ) from error
    backend = parsed.get_backend_name()
    if backend in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+asyncpg")
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise DatabaseError("an SQLite database of tracklog is a file: write sqlite:///PATH")
        return parsed.set(drivername="sqlite+aiosqlite")
    raise DatabaseError(f"tracklog works on SQLite and PostgreSQL, not on {backend!r}; write sqlite:///PATH or postgresql://…")


def shown(url: URL) -> str:
    """Render a URL for people: without its password."""
    return url.render_as_string(hide_password=True).replace("+asyncpg", "").replace("+aiosqlite", "")
