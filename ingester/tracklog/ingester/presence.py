"""That an ingester is there, and how far it is: so that a host that is behind shows, and not as silent."""

import datetime as dt
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

import orjson
from sqlalchemy import Select, delete, select

from tracklog.ingester import bulk, schema
from tracklog.ingester.store import Store, clock, limit_waiting, storable

PRESENT: Final = dt.timedelta(seconds=60)
"""An ingester looks every few seconds; one that has within this time judges its host's writers itself."""


def host_name(given: str | None = None) -> str:
    """Name this machine: as it was given, else TRACKLOG_HOST, else its own name."""
    return given or os.environ.get("TRACKLOG_HOST") or socket.gethostname()


@dataclass(frozen=True, slots=True)
class Presence:
    """What an ingester saw when it last looked."""

    paths: Sequence[str]
    files: int
    bytes_seen: int
    bytes_behind: int
    started_at: dt.datetime
    stopped: bool = False


async def noted_paths(store: Store) -> list[str]:
    """Give the paths that this host's ingesters follow, or followed last; none if there never was one.

    What is no UTF-8 in one is replaced, so that such a path has to be named.
    """
    async with store.reading() as connection:
        noted = [row.paths for row in await connection.execute(_of_host(store.host))]
    return [*dict.fromkeys(path for paths in noted for path in paths or ())]


async def succeed(store: Store, presence: Presence) -> None:
    """Forget those of this host that one which starts succeeds: that do not look any more, or follow its paths."""
    table = schema.tracklog_ingesters
    paths = {*map(storable, presence.paths)}
    async with store.transaction() as connection:
        await limit_waiting(connection)
        recent = await clock(connection) - PRESENT
        gone = [
            row.started_at
            for row in await connection.execute(_of_host(store.host))
            if row.stopped_at is not None or row.looked_at < recent or not paths.isdisjoint(row.paths or ())
        ]
        await connection.execute(delete(table).where(table.c.host == store.host, table.c.started_at.in_(gone)))


def _of_host(host: str) -> Select[Any]:
    table = schema.tracklog_ingesters
    return select(table).where(table.c.host == host).order_by(table.c.started_at)


async def note(store: Store, presence: Presence) -> None:
    """Note it for this host, beside its other ingesters."""
    row = {
        "host": store.host,
        "version": version("tracklog"),
        "pid": os.getpid(),
        "paths": orjson.dumps([*map(storable, presence.paths)]).decode(),
        "files": presence.files,
        "bytes_seen": presence.bytes_seen,
        "bytes_behind": presence.bytes_behind,
        "started_at": presence.started_at,
    }
    async with store.transaction() as connection:
        await limit_waiting(connection)
        now = await clock(connection)
        row |= {"looked_at": now, "stopped_at": now if presence.stopped else None}
        await bulk.insert(
            connection,
            schema.tracklog_ingesters,
            tuple(row),
            [tuple(row.values())],
            f"(host, started_at) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in row)}",
        )
