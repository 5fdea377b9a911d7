"""Lines that could not be read: try them again, from the files where they stand."""

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import select, update

from tracklog.ingester import schema
from tracklog.ingester.decode import Event
from tracklog.ingester.fold import Changes
from tracklog.ingester.sources import Source, find
from tracklog.ingester.store import Store, limit_waiting


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of quarantined lines that were read again."""

    settled: int = 0
    """Lines that are in the database now."""
    refused: int = 0
    """Lines that still cannot be read."""
    gone: int = 0
    """Lines whose file is not there any more, or is another one, or lies on another host."""


async def retry(store: Store) -> Retried:
    """Read all quarantined lines of this host's files again: another version may understand them, a file be mended."""
    quarantine, sources = schema.tracklog_quarantine, schema.tracklog_sources
    waiting = (
        select(quarantine.c.source_id, quarantine.c.line_offset, sources.c.path, sources.c.host, sources.c.inode)
        .outerjoin_from(quarantine, sources, quarantine.c.source_id == sources.c.source_id)
        .where(quarantine.c.settled_at.is_(None))
        .order_by(quarantine.c.source_id, quarantine.c.line_offset)
    )
    async with store.reading() as connection:
        rows = (await connection.execute(waiting)).mappings().all()
    result = Retried()
    for source_id, group in groupby(rows, key=lambda row: str(row["source_id"])):
        lines = list(group)
        known = await store.checkpoints(row["inode"] for row in lines[:1] if row["inode"] is not None)
        with _opened(store, source_id, lines[0], known) as source:
            if source is None:
                result = Retried(result.settled, result.refused, result.gone + len(lines))
                continue
            changes, settled, now = Changes(), [], dt.datetime.now(dt.UTC)
            for row in lines:
                event = source.reread(row["line_offset"])
                if isinstance(event, Event):
                    changes.add(event, source_id)
                    settled.append(row["line_offset"])
        if settled:
            async with store.transaction() as connection:
                await limit_waiting(connection)
                await store.add(connection, changes.rows(), now)
                await connection.execute(
                    update(quarantine)
                    .where(quarantine.c.source_id == source_id, quarantine.c.line_offset.in_(settled))
                    .values(settled_at=now)
                )
        result = Retried(result.settled + len(settled), result.refused + len(lines) - len(settled), result.gone)
    return result


@contextlib.contextmanager
def _opened(
    store: Store, source_id: str, row: Mapping[Any, Any], known: Mapping[tuple[int, int], Any]
) -> Iterator[Source | None]:
    """Open a source, if its file is here and still has the content that was read."""
    source = None
    if row["host"] == store.host:
        with contextlib.suppress(OSError):
            source = find(store.host, row["path"], known)
    try:
        yield source if source is not None and source.checkpoint.source_id == source_id else None
    finally:
        if source is not None:
            source.close()
