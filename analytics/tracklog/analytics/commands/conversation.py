"""The command `conversation`: all executions of one conversation on one time line."""

from collections import Counter
from typing import TYPE_CHECKING, Final

import click
from rich.text import Text

from tracklog.analytics.commands import screen, units
from tracklog.analytics.commands.asked import Asked, lists, option_limit
from tracklog.analytics.commands.bars import bar
from tracklog.analytics.commands.columns import Column
from tracklog.analytics.commands.executions import note
from tracklog.analytics.commands.freshness import freshness
from tracklog.analytics.commands.listing import short_ids
from tracklog.analytics.commands.screen import Screen
from tracklog.analytics.commands.text import one_line
from tracklog.analytics.errors import AmbiguousIdError, ExecutionNotFoundError
from tracklog.analytics.record import Record
from tracklog.processors.states import ExecutionStatus

if TYPE_CHECKING:
    from tracklog.analytics.faces import ExecutionAnalytics

_MATCHES: Final = 6
_BAR: Final = 24
"""Columns of the time line; where there is no room for it, it is left out."""

_MOST_INDENT: Final = 12
_WORTH: Final = (
    (ExecutionStatus.FAILED, ExecutionStatus.TIMEOUT, ExecutionStatus.CRASHED),
    (ExecutionStatus.PENDING, ExecutionStatus.RUNNING, ExecutionStatus.LLM_REQUEST, ExecutionStatus.LLM_RESPONSE),
)
"""Statuses of what is worth being looked at next, what ended badly before what did not end."""


@click.command("conversation")
@click.argument("id")
@option_limit(1000)
@lists
def command(asked: Asked, id: str, limit: int) -> None:  # noqa: A002 -- the name is what the help shows.
    """Show the executions of the conversation ID in the order they came, each below its caller."""
    with asked.analytics() as analytics:
        conversation_id = _resolve(asked, analytics, id)
        records = analytics.get_conversation(conversation_id, limit)
        if asked.is_for_programs:
            asked.print(records)
            return
        ingestion = analytics.get_ingestion()
        out = Screen()
        shortest = short_ids(out, analytics, [record.execution_id for record in records])
    _print_head(out, conversation_id, records, limit)
    _print_records(out, records, shortest)
    out.print(Text(), freshness(ingestion))
    silent = next((record for record in records if record.status == ExecutionStatus.SKIPPED), None)
    bad = next((record for statuses in _WORTH for record in records if record.status in statuses), None)
    if bad is None and silent is not None and silent.agent_name:
        out.hint(asked.hint("why", silent.agent_name, "--conversation", conversation_id))
    else:
        worth = bad or records[0]
        out.hint(asked.hint("show", shortest.get(worth.execution_id, worth.execution_id)))


def _resolve(asked: Asked, analytics: "ExecutionAnalytics", prefix: str) -> str:
    """Give the one conversation whose id begins with `prefix`.

    :raises ExecutionNotFoundError: None does.
    :raises AmbiguousIdError: Several do.
    """
    found = analytics.find_conversations(prefix, _MATCHES + 1)
    if not found:
        raise ExecutionNotFoundError(
            f"no execution is of a conversation whose id begins with {prefix!r}; "
            f"see which there are with: {asked.hint('list')}"
        )
    if len(found) > 1:
        more = ", …" if len(found) > _MATCHES else ""
        raise AmbiguousIdError(
            f"several conversations have ids that begin with {prefix!r}, give more of it: "
            f"{', '.join(found[:_MATCHES])}{more}"
        )
    return found[0]


def _print_head(out: Screen, conversation_id: str, records: list[Record], limit: int) -> None:
    counts = Counter(record.status for record in records)
    first = next((record.created_at for record in records if record.created_at is not None), None)
    facts = [
        ("Began", units.moment(first)),
        ("Lasted", units.duration(_lasted(records))),
        ("Statuses", ", ".join(f"{one_line(status)} {number:,}" for status, number in counts.most_common())),
    ]
    title = Text(one_line(conversation_id), style="bold")
    out.print(title.append(f"  {units.plural(len(records), 'execution')}", style="not bold"), screen.facts(facts))
    if len(records) == limit:
        out.print(Text("Only the newest are shown; see --limit.", style="dim"))
    out.print(Text())


def _lasted(records: list[Record]) -> float:
    return max(((record.start_ms or 0.0) + (record.duration_ms or 0.0) for record in records), default=0.0)


def _print_records(out: Screen, records: list[Record], shortest: dict[str, str]) -> None:
    columns = (
        Column("AT", right=True),
        Column("AGENT", least=20),
        Column("STATUS"),
        Column("TOOK", right=True),
        Column("TIME LINE", drop=3),
        Column("ID", drop=2),
        Column("NOTE", least=14, drop=1),
    )
    whole = _lasted(records)
    rows = (
        (
            f"+{units.duration(record.start_ms)}" if record.start_ms is not None else units.NOTHING,
            Text("  " * min(record.depth, _MOST_INDENT)).append_text(screen.name(record.agent_name, record.method)),
            screen.status(record.status),
            units.duration(record.duration_ms),
            _bar(record, whole),
            screen.ids(out, shortest, record.execution_id),
            note(record),
        )
        for record in records
    )
    out.print(out.table(columns, rows))


def _bar(record: Record, whole: float) -> Text:
    if record.start_ms is None:
        return Text()
    drawn = bar(record.start_ms, record.duration_ms or 0.0, whole, _BAR, "█", ended=record.status in _ENDED)
    return Text(drawn, style=screen.status(record.status).style)


_ENDED: Final = (ExecutionStatus.SUCCESS, ExecutionStatus.SKIPPED, ExecutionStatus.FAILED, ExecutionStatus.TIMEOUT)
"""What wrote its own end; of others only the beginning is drawn."""
