"""Tell what is missing: lines that were numbered and never came, and lines that could not be read."""

from typing import Any, Final

from sqlalchemy import ColumnElement, Text, cast, func, select

from tracklog.analytics.query import Query, at_most, begins
from tracklog.analytics.record import Record
from tracklog.ingester.ranges import count, gaps
from tracklog.ingester.schema import tracklog_quarantine, tracklog_sources, tracklog_writers

FIELDS: Final = (
    "id",
    "source_id",
    "line_offset",
    "length",
    "reason",
    "quarantined_at",
    "file",
    "file_host",
    "head",
)
"""What each line has that could not be read."""

_MAX_GAPS: Final = 10
"""Gaps of a writer that are named; the count is of all."""


def get_losses() -> Query[Record]:
    """Give what was lost on the way, writer by writer.

    :return: `writers` (how many are known), `lines_missing`, and `gaps`, for each writer of which lines are missing
        `writer`, `service`, `host`, `pid`, `lines_missing`, `missing` (at most ten ranges ``[first, last]`` of `seq`)
        and `lines_dropped` (of these, what the writer itself said that it could not write; None while it has not
        ended). A line is missing if a later one of its writer is there: it was never written whole, its file was lost,
        or it is not read yet.
    """
    table = tracklog_writers.c
    rows = yield (
        select(
            table.writer, table.service, table.host, table.pid, table.seen, table.lines_dropped, table.opened_at
        ).order_by(table.opened_at.nulls_last(), table.writer)
    )
    found = []
    for row in rows:
        missing = gaps(row["seen"])
        if missing:
            found.append(
                Record(
                    writer=row["writer"],
                    service=row["service"],
                    host=row["host"],
                    pid=row["pid"],
                    lines_missing=count(missing),
                    missing=missing[:_MAX_GAPS],
                    lines_dropped=row["lines_dropped"],
                )
            )
    return Record(writers=len(rows), lines_missing=sum(one["lines_missing"] for one in found), gaps=found)


def get_quarantined_lines(limit: int = 100, line_id: str | None = None) -> Query[Record]:
    """Give the lines that could not be read and were not settled since, the newest first.

    :param line_id: Only those whose `id` it is; of its first part, the source's id, the beginning may do.
    :return: `total` (how many there are, also those of which only the number was kept), `reasons` (how many for each,
        of those that were kept), and `lines`, each with `id`, `source_id`, `line_offset`, `length` (both in bytes),
        `reason`, `head` (its first bytes, as text), `quarantined_at`, and the `file` and `file_host` where it stands.
    """
    sources, quarantine = tracklog_sources.c, tracklog_quarantine.c
    counted = yield select(func.coalesce(func.sum(sources.lines_quarantined), 0).label("lines"))
    settled = yield select(func.count().label("lines")).where(quarantine.settled_at.is_not(None))
    reasons = yield (
        select(quarantine.reason, func.count().label("lines"))
        .where(quarantine.settled_at.is_(None))
        .group_by(quarantine.reason)
        .order_by(func.count().desc(), quarantine.reason)
    )
    chosen: list[ColumnElement[bool]] = [quarantine.settled_at.is_(None)]
    if line_id is not None:
        source, _, offset = line_id.partition(":")
        chosen.append(begins(quarantine.source_id, source))
        if offset:
            chosen.append(cast(quarantine.line_offset, Text) == offset)
    rows = yield (
        select(
            quarantine.source_id,
            quarantine.line_offset,
            quarantine.length,
            quarantine.reason,
            quarantine.head,
            quarantine.quarantined_at,
            sources.path.label("file"),
            sources.host.label("file_host"),
        )
        .select_from(tracklog_quarantine.outerjoin(tracklog_sources, quarantine.source_id == sources.source_id))
        .where(*chosen)
        .order_by(quarantine.quarantined_at.desc(), quarantine.source_id, quarantine.line_offset)
        .limit(at_most(limit))
    )
    lines: list[Record] = []
    for row in rows:
        head: Any = row.pop("head")
        place = Record(id=f"{row['source_id']}:{row['line_offset']}")
        lines.append(Record(place | row | {"head": bytes(head).decode("utf-8", "backslashreplace")}))
    return Record(
        total=int(counted[0]["lines"]) - settled[0]["lines"],
        reasons={row["reason"]: row["lines"] for row in reasons},
        lines=lines,
    )
