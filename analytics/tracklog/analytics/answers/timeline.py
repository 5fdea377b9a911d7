"""Tell an execution's stages in order."""

from uuid import UUID

from sqlalchemy import select

from tracklog.analytics.query import Query, execution_key
from tracklog.analytics.record import Record
from tracklog.ingester.schema import agent_execution_logs


def get_stage_timeline(execution_id: str | UUID) -> Query[list[Record]]:
    """Give the lines of an execution that name or imply a stage, in the order they were written.

    :return: For each its `timestamp`, `stage`, `status`, `duration_ms`, `message`, `level`, `kind`, `data`,
        `elapsed_ms` (since the first line of the execution), `writer` and `seq`. The status is ``started``,
        ``completed`` or ``failed``; an ordinary line that stays in its stage has ``logged``.
    """
    logs = agent_execution_logs.c
    rows = yield (
        select(
            logs.timestamp,
            logs.stage,
            logs.stage_status,
            logs.duration_ms,
            logs.message,
            logs.level,
            logs.kind,
            logs.data,
            logs.writer,
            logs.seq,
        )
        .where(logs.execution_id == execution_key(execution_id))
        .order_by(logs.timestamp.nulls_last(), logs.writer, logs.seq)
    )
    return staged(rows)


def staged(rows: list[Record]) -> list[Record]:
    """Keep the log rows that have a stage, with what each says of it."""
    first = rows[0]["timestamp"] if rows else None
    timeline: list[Record] = []
    stage: str | None = None
    for row in rows:
        if row["stage"] is None:
            continue
        time = row["timestamp"]
        status = row["stage_status"] or ("logged" if row["stage"] == stage else "started")
        stage = row["stage"]
        timeline.append(
            Record(
                timestamp=time,
                stage=stage,
                status=status,
                duration_ms=row["duration_ms"],
                message=row["message"],
                level=row["level"],
                kind=row["kind"],
                data=row["data"],
                elapsed_ms=(time - first).total_seconds() * 1000 if time is not None and first is not None else None,
                writer=row["writer"],
                seq=row["seq"],
            )
        )
    return timeline
