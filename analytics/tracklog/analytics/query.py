"""Let each question be written once: a generator that yields selects, is sent their rows, and returns the answer.

A query knows no connection. `run` drives it on one that blocks, `run_async` on one that is awaited; both give it the
same rows, so that the two faces cannot differ.
"""

import datetime as dt
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from sqlalchemy import Connection, Select
from sqlalchemy.sql.selectable import CompoundSelect

from tracklog.analytics.record import Record
from tracklog.ingester.decode import name_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")

Statement: TypeAlias = "Select[Any] | CompoundSelect[Any]"
Query: TypeAlias = Generator[Statement, list[Record], T]

_CHUNK: Final = 500
"""Values in one IN list: few round trips, and far below SQLite's 32,766 and PostgreSQL's 32,767 parameters."""

_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


def run(query: Query[T], connection: Connection) -> T:
    """Answer a query on a connection that blocks."""
    try:
        statement = next(query)
        while True:
            statement = query.send([Record(row) for row in connection.execute(statement).mappings()])
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
            statement = query.send([Record(row) for row in (await connection.execute(statement)).mappings()])
    except StopIteration as end:
        answer: T = end.value
        return answer
    finally:
        query.close()


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


def at_most(limit: int) -> int:
    """Check how many are asked for.

    :raises ValueError: `limit` is negative or no whole number.
    """
    if not isinstance(limit, int) or limit < 0:
        raise ValueError(f"limit must be a whole number, zero or more, not {limit!r}")
    return min(limit, _MOST)


_MOST: Final = (1 << 63) - 1


def since(hours: float | None) -> dt.datetime | None:
    """Give the moment `hours` ago; None means since ever.

    :raises ValueError: `hours` is negative or no number.
    """
    if hours is None:
        return None
    if not isinstance(hours, (int, float)) or not hours >= 0:
        raise ValueError(f"hours must be zero or more, not {hours!r}")
    now = dt.datetime.now(dt.UTC)
    try:
        return now - dt.timedelta(hours=hours)
    except OverflowError:
        return dt.datetime.min.replace(tzinfo=dt.UTC)
