"""Group executions that ended badly by what went wrong."""

import datetime as dt
import re
from collections import Counter
from typing import Final
from uuid import UUID

from sqlalchemy import select

from tracklog.analytics.answers.executions import SUMMARY, UNSUCCESSFUL, completed
from tracklog.analytics.query import Query, at_most, key, period
from tracklog.analytics.record import Record
from tracklog.ingester.schema import agent_executions

_executions = agent_executions.c

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
    statement = select(*SUMMARY).where(_executions.status.in_(UNSUCCESSFUL), *when.has(_executions.created_at))
    for column, value in ((_executions.vault_id, vault_id), (_executions.agent_name, agent_name)):
        if value is not None:
            statement = statement.where(column == key(value))
    rows = yield statement.order_by(_executions.created_at.desc(), _executions.execution_id.desc())
    groups: dict[tuple[str | None, str], Record] = {}
    for row in (yield from completed(rows)):
        error = row["error_type"], folded(row["error_message"])
        if (group := groups.get(error)) is None:
            group = groups[error] = Record(
                error_type=error[0],
                error_message=error[1],
                executions=0,
                agents=Counter(),
                stages=Counter(),
                first_at=row["created_at"],
                last_at=row["created_at"],
                execution_id=row["execution_id"],
                example=row["error_message"],
            )
        group["executions"] += 1
        group["agents"][row["agent_name"] or ""] += 1
        group["stages"][row["current_stage"] or ""] += 1
        group["first_at"] = row["created_at"] or group["first_at"]
        group["last_at"] = group["last_at"] or row["created_at"]
    found = sorted(groups.values(), key=lambda group: -group["executions"])  # Stable: the newer stays before.
    found = found[: at_most(limit)]
    for group in found:
        group.update(agents=dict(group["agents"].most_common()), stages=dict(group["stages"].most_common()))
    return found
