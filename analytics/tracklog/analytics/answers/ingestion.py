"""Tell how far ingestion has come: lines not yet read must not be taken for an agent that did nothing."""

from typing import Final

from sqlalchemy import func, select

from tracklog.analytics.query import Query
from tracklog.analytics.record import Record
from tracklog.ingester.schema import Time, tracklog_ingesters, tracklog_sources

STALE_SECONDS: Final = 60
"""A running ingester looks every few seconds; after this long without a look it cannot be relied on."""


def get_ingestion() -> Query[Record]:
    """Give how much of the logs the database holds.

    :return: `as_of` (what was written before is in, unless some bytes are behind; None when nothing was ever ingested),
        `bytes_behind`, `lines_quarantined` (lines that could not be read), `hosts`, for each ingester of each host
        `host`, `paths`, `looked_at` (by the clock of the database's server), `age_seconds` (how long ago that was),
        `bytes_behind`, `stale` (no look within a minute) and `stopped`, and `complete`: whether all that was logged a
        few seconds ago can be expected here.
    """
    ingesters = tracklog_ingesters.c
    rows = yield (
        select(
            ingesters.host,
            ingesters.paths,
            ingesters.looked_at,
            ingesters.bytes_behind,
            ingesters.stopped_at,
            # By the same clock; SQLite's has whole seconds.
            func.now(type_=Time).label("now"),
        ).order_by(ingesters.host, ingesters.started_at)
    )
    sources = yield select(func.coalesce(func.sum(tracklog_sources.c.lines_quarantined), 0).label("lines"))
    hosts = [
        Record(
            host=row["host"],
            paths=list(row["paths"] or ()),
            looked_at=row["looked_at"],
            age_seconds=(age := max(0.0, (row["now"] - row["looked_at"]).total_seconds())),
            bytes_behind=row["bytes_behind"],
            stale=age > STALE_SECONDS,
            stopped=row["stopped_at"] is not None,
        )
        for row in rows
    ]
    running = [host for host in hosts if not host["stopped"]]
    # Hosts whose ingester was stopped on purpose may be gone for good; they count only while no other runs.
    looks = [host["looked_at"] for host in running] or [max((host["looked_at"] for host in hosts), default=None)]
    bytes_behind = sum(host["bytes_behind"] for host in hosts)
    stale = [host["stale"] for host in running or hosts]
    return Record(
        as_of=min(looks) if looks != [None] else None,
        bytes_behind=bytes_behind,
        lines_quarantined=int(sources[0]["lines"]),
        hosts=hosts,
        complete=bool(hosts) and not (any(stale) if running else all(stale)) and bytes_behind == 0,
    )


def get_followed_paths(host: str) -> Query[list[str]]:
    """Give the paths that the ingesters of a host follow, or followed last; none if there never was one."""
    ingesters = tracklog_ingesters.c
    rows = yield select(ingesters.paths).where(ingesters.host == host).order_by(ingesters.started_at)
    return [*dict.fromkeys(path for row in rows for path in row["paths"] or ())]


def reservation(ingestion: Record) -> str | None:
    """Say why what is not in the database may have happened all the same; None when it can be relied on.

    Times in it are those of the clock on the wall, as all that people read, and name their zone.
    """
    if not ingestion["hosts"]:
        return "but nothing was ever ingested into this database"
    if ingestion["bytes_behind"]:
        return f"but ingestion is {ingestion['bytes_behind']:,} bytes behind"
    if ingestion["complete"]:
        return None
    since = f"{ingestion['as_of'].astimezone():%Y-%m-%d %H:%M:%S %Z}"
    stale = [host for host in ingestion["hosts"] if host["stale"] and not host["stopped"]]
    if stale:
        names = ", ".join(dict.fromkeys(host["host"] for host in stale))
        return f"but the ingester on {names} has not looked since {since}"
    return f"but no ingester runs, and what was logged since {since} is not in"
