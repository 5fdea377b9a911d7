"""Let each question be written once: a generator that yields statements, is sent their rows, and returns the answer.

A query knows no connection. `run` drives it on one that blocks, `run_async` on one that is awaited; both give it the
same rows, so that the two faces cannot differ.
"""

import datetime as dt
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from sqlalchemy import ColumnElement, Connection, CursorResult, Select, and_, literal_column
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.selectable import CompoundSelect

from tracklog.analytics.errors import StatementError
from tracklog.analytics.record import Record
from tracklog.ingester.database import is_unreachable, reason_of
from tracklog.ingester.decode import name_of
from tracklog.processors.ids import id_text

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plain:
    """A statement in the database's own SQL, and how many of its rows are wanted; without a number it is all."""

    sql: str
    limit: int | None = None


class Rows(list[Record]):
    """The rows of a statement, and the names of its columns, also where there are no rows."""

    def __init__(self, rows: Iterable[Record] = (), names: Iterable[str] = ()) -> None:
        super().__init__(rows)
        self.names = tuple(names)


Statement: TypeAlias = "Select[Any] | CompoundSelect[Any] | Plain"
Query: TypeAlias = Generator[Statement, Rows, T]

_CHUNK: Final = 500
"""Values in one IN list: few round trips, and far below SQLite's 32,766 and PostgreSQL's 32,767 parameters."""

_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


def run(query: Query[T], connection: Connection) -> T:
    """Answer a query on a connection that blocks."""
    try:
        statement = next(query)
        while True:
            if isinstance(statement, Plain):
                if connection.dialect.name == "sqlite":
                    # What it leaves on its connection, such as temporary tables and settings, no later answer shall
                    # see: the connection is closed after this one.
                    connection.detach()
                with _told():
                    rows = _rows(connection.exec_driver_sql(statement.sql), statement.limit)
            else:
                rows = _rows(connection.execute(statement))
            statement = query.send(rows)
    except StopIteration as end:
        answer: T = end.value
        return answer
    finally:
        query.close()


async def run_async(query: Query[T], connection: "AsyncConnection") -> T:
    """Answer a query on a connection that is awaited."""
    try:
        statement = next(query)
        while True:
            if isinstance(statement, Plain):
                with _told():
                    rows = _rows(await connection.exec_driver_sql(statement.sql), statement.limit)
            else:
                rows = _rows(await connection.execute(statement))
            statement = query.send(rows)
    except StopIteration as end:
        answer: T = end.value
        return answer
    finally:
        query.close()


def _rows(result: CursorResult[Any], limit: int | None = None) -> Rows:
    """Give the rows of a statement; of somebody's own, columns may have the same name several times."""
    if not result.returns_rows:
        return Rows()
    names: list[str] = []
    for name in result.keys():  # noqa: SIM118 -- it is no mapping.
        times = 1
        unique = name
        while unique in names:
            times += 1
            unique = f"{name}_{times}"
        names.append(unique)
    # SQLite's driver takes no rows for all of them.
    rows = result.fetchall() if limit is None else result.fetchmany(limit) if limit else []
    return Rows((Record(zip(names, row, strict=True)) for row in rows), names)


@contextmanager
def _told() -> Iterator[None]:
    """Tell what is wrong with somebody's own statement.

    :raises StatementError: The database refuses it.
    """
    try:
        yield
    except DBAPIError as error:
        reason = reason_of(error)
        is_write = getattr(error.orig, "sqlstate", None) == "25006"  # As a standby says it of all that write.
        if reason == "interrupted" or (is_unreachable(error) and not is_write):
            raise
        raise StatementError(f"the database refuses the statement: {reason}") from error


def chunks(values: Iterable[T], size: int = _CHUNK) -> Iterator[Sequence[T]]:
    """Cut values into lists that fit into one statement.

    >>> list(chunks("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    every = list(values)
    for start in range(0, len(every), size):
        yield every[start : start + size]


def key(value: object) -> str:
    """Give the text under which an id or a name is stored.

    The store holds neither U+0000 nor lone surrogates, and long names only in a shortened form.

    >>> key("a\\x00b")
    'a\ufffdb'
    """
    text = _UNSTORABLE.sub("\ufffd", str(value))
    return name_of(text) or ""


def execution_key(value: object) -> str:
    """Give the text under which an execution's id is stored."""
    return key(id_text(str(value)) or "")


def unindexed(column: ColumnElement[str]) -> ColumnElement[str]:
    """Give a column of texts as an expression, which leaves its index to itself.

    A planner without statistics takes the index of an agent's name to group by it, and so reads all executions where
    only those of an hour are asked for.
    """
    return column.op("||", is_comparison=False)(literal_column("''"))


def begins(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    """Give the condition that a text begins like this, as an index answers it."""
    return and_(column >= text, column < text + "\U0010ffff")


def at_most(limit: int) -> int:
    """Check how many are asked for.

    :raises ValueError: `limit` is negative or no whole number.
    """
    if not isinstance(limit, int) or limit < 0:
        raise ValueError(f"limit must be a whole number, zero or more, not {limit!r}")
    return min(limit, _MOST)


_MOST: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Period:
    """The times from `begin` on and before `end`; what is None is open."""

    begin: dt.datetime | None = None
    end: dt.datetime | None = None

    def has(self, time: ColumnElement[Any]) -> list[ColumnElement[bool]]:
        """Give the conditions under which a time lies in it."""
        begun = [] if self.begin is None else [time >= self.begin]
        return begun if self.end is None else [*begun, time < self.end]


def period(hours: float | None, since: dt.datetime | None = None, until: dt.datetime | None = None) -> Period:
    """Give the time to look at: from `since` on, or so many hours back from `until`, which is now unless it is given.

    :param hours: None means since ever.
    :raises ValueError: `hours` is negative or no number, or a time has no zone.
    """
    for name, time in (("since", since), ("until", until)):
        if time is not None and time.tzinfo is None:
            raise ValueError(f"{name} must be a time with a zone, such as datetime.now(UTC), not {time!r}")
    if since is not None:
        return Period(since, until)
    if hours is None:
        return Period(None, until)
    if not isinstance(hours, (int, float)) or not hours >= 0:
        raise ValueError(f"hours must be zero or more, not {hours!r}")
    try:
        return Period((until or dt.datetime.now(dt.UTC)) - dt.timedelta(hours=hours), until)
    except OverflowError:
        return Period(dt.datetime.min.replace(tzinfo=dt.UTC), until)
