"""Watch from the database how far the room is, and check that all it wrote is there."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from tracklog.analytics.faces import ExecutionAnalytics
from tracklog.analytics.query import Query
from tracklog.analytics.record import Record
from tracklog.ingester.errors import DatabaseError
from tracklog.ingester.schema import agent_executions, tracklog_sources, tracklog_writers
from tracklog.processors.states import ExecutionStatus

_GOING_ON = (ExecutionStatus.RUNNING, ExecutionStatus.LLM_REQUEST, ExecutionStatus.LLM_RESPONSE)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the database holds at one moment."""

    executions: tuple[Record, ...] = ()
    """Each with `execution_id`, `agent_name`, `conversation_id`, `status`, the oldest first."""
    positions: tuple[tuple[str, int], ...] = ()
    """How many bytes of each file are in the database."""
    lines: int = 0
    gaps: int = 0
    """Writers of whose lines one or more are missing."""

    def of(self, agent: str, status: ExecutionStatus | None = None) -> list[Record]:
        """Give an agent's executions, those of a status if one is given."""
        return [one for one in self.executions if one.agent_name == agent and status in (None, one.status)]

    @property
    def statuses(self) -> set[str]:
        """What became of executions."""
        return {one.status for one in self.executions}

    def is_whole(self, logs: Path) -> bool:
        """Tell whether all that the processes wrote is in, and no execution is going on."""
        sizes = {(str(path.resolve()), path.stat().st_size) for path in logs.glob("*.jsonl")}
        there = {(str(Path(path).resolve()), position) for path, position in self.positions}
        return bool(sizes) and sizes <= there and not self.statuses & set(_GOING_ON)


def look(analytics: ExecutionAnalytics) -> Snapshot:
    """Take a snapshot; an empty one while there is no database yet."""
    try:
        return analytics.reader().answer(_snapshot)
    except DatabaseError:
        return Snapshot()


def _snapshot() -> Query[Snapshot]:
    columns = agent_executions.c
    executions = yield select(
        columns.execution_id, columns.agent_name, columns.conversation_id, columns.status
    ).order_by(columns.created_at, columns.execution_id)
    sources = yield select(tracklog_sources.c.path, tracklog_sources.c.position)
    writers = yield select(tracklog_writers.c.seen, tracklog_writers.c.last_seq)
    return Snapshot(
        tuple(executions),
        tuple((source["path"], source["position"]) for source in sources),
        sum(_count(writer["seen"]) for writer in writers),
        sum(writer["seen"] != [[1, writer["last_seq"]]] for writer in writers),
    )


def _count(ranges: Iterable[tuple[int, int]]) -> int:
    return sum(last - first + 1 for first, last in ranges)
