"""Group executions that ended badly by what went wrong."""

import datetime as dt
import re
from collections import Counter
from typing import Final
from uuid import UUID

from sqlalchemy import select

from tracklog.analytics.answers.executions import UNSUCCESSFUL, completed
from tracklog.analytics.query import Query, at_most, key, period
from tracklog.analytics.record import Record
from tracklog.ingester.schema import agent_executions

_executions = agent_executions.c

FIELDS: Final = (
    "error_type",
    "error_message",
    "executions",
    "agents",
    "stages",
    "first_at",
    "last_at",
    "execution_id",
    "example",
)
"""What each group has."""

_VOLATILE: Final = re.compile(
    r"""(?x)
    (?P<quoted> (?<!\w) (?: '[^'\n]*' | "[^"\n]*" | `[^`\n]*` ) (?!\w) )
    | (?P<id> \b(?:0x)?[0-9a-fA-F]{8,}(?:-[0-9a-fA-F]+)*\b | \b[A-Za-z]+_[A-Za-z0-9]*\d[A-Za-z0-9]{6,}\b )
    | (?P<number> (?<![A-Za-z]) \d+(?:[.,:]\d+)* )
    """
)
"""What differs between two occurrences of the same error."""

_LONGEST: Final = 500
"""Characters of a message that tell one error from another; what follows is often what was being worked on."""


def folded(message: str | None) -> str:
    """Write a message without what is of one occurrence only: quoted texts, ids and numbers.

    >>> folded("no chapter 'storm' in 7.5 s for 01a20799-7e93-7f90-baac-350fc875cbd4")
    "no chapter '…' in # s for #"
    >>> folded("can't read, don't know"), folded(None)
    ("can't read, don't know", '')
    """
    text = " ".join((message or "").split())[:_LONGEST]
    return _VOLATILE.sub(lambda match: f"{match[0][0]}…{match[0][0]}" if match["quoted"] else "#", text)


def get_failure_groups(
    vault_id: str | UUID | None = None,
    hours: float | None = 24,
    agent_name: str | None = None,
    limit: int = 100,
    *,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
) -> Query[list[Record]]:
    """Group the executions that failed, timed out or crashed by their errors, the most frequent first.

    :return: For each group its `error_type` and `error_message`, without what differs from one to the other; the number
        of `executions`; `agents` and `stages`, ``{name: executions}``; `first_at` and `last_at`; and of the newest its
        `execution_id` and `example`, its message as it is.
    """
    when = period(hours, since, until)
    statement = select(*_TOLD).where(_executions.status.in_(UNSUCCESSFUL), *when.has(_executions.created_at))
    for column, value in ((_executions.vault_id, vault_id), (_executions.agent_name, agent_name)):
        if value is not None:
            statement = statement.where(column == key(value))
    rows = yield statement.order_by(_executions.created_at.desc().nulls_last(), _executions.execution_id.desc())
    groups: dict[tuple[str | None, str], list[Record]] = {}
    for row in (yield from completed(rows)):
        groups.setdefault((row["error_type"], folded(row["error_message"])), []).append(row)
    found = sorted(groups.items(), key=lambda group: -len(group[1]))  # Stable: the newer stays before.
    return [_group(*error, executions) for error, executions in found[: at_most(limit)]]


_TOLD: Final = tuple(
    _executions[name]
    for name in (
        "execution_id",
        "agent_name",
        "status",
        "current_stage",
        "created_at",
        "error_type",
        "error_message",
        "line_status",
    )
)


def _group(error_type: str | None, error_message: str, executions: list[Record]) -> Record:
    """Sum executions up, of which the newest comes first; those without a time may stand at either end."""
    times = [row["created_at"] for row in executions if row["created_at"] is not None] or [None]
    return Record(
        error_type=error_type,
        error_message=error_message,
        executions=len(executions),
        agents=dict(Counter(row["agent_name"] or "" for row in executions).most_common()),
        stages=dict(Counter(row["current_stage"] or "" for row in executions).most_common()),
        first_at=times[-1],
        last_at=times[0],
        execution_id=executions[0]["execution_id"],
        example=executions[0]["error_message"],
    )
