"""That an ingester is there, and how far it is: so that a host that is behind shows, and not as silent."""

import datetime as dt
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version

import orjson
from sqlalchemy import select

from tracklog.ingester import bulk, schema
from tracklog.ingester.store import Store, limit_waiting, storable


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
    """Give the paths that this host's ingester follows, or followed last; none if there never was one.

    What is no UTF-8 in one is replaced, so that such a path has to be named.
    """
    table = schema.tracklog_ingesters.c
    async with store.reading() as connection:
        paths = await connection.scalar(select(table.paths).where(table.host == store.host))
    return list(paths or ())


async def note(store: Store, presence: Presence) -> None:
    """Note it for this host."""
    now = dt.datetime.now(dt.UTC)
    row = {
        "host": store.host,
        "version": version("tracklog"),
        "pid": os.getpid(),
        "paths": orjson.dumps([*map(storable, presence.paths)]).decode(),
        "files": presence.files,
        "bytes_seen": presence.bytes_seen,
        "bytes_behind": presence.bytes_behind,
        "started_at": presence.started_at,
        "looked_at": now,
        "stopped_at": now if presence.stopped else None,
    }
    async with store.transaction() as connection:
        await limit_waiting(connection)
        await bulk.insert(
            connection,
            schema.tracklog_ingesters,
            tuple(row),
            [tuple(row.values())],
            f"(host) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in row if name != 'host')}",
        )
