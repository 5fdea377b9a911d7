"""The command `list`: the newest executions."""

import click

from tracklog.analytics.answers.endings import error_of
from tracklog.analytics.commands import screen, units
from tracklog.analytics.commands.asked import Asked, lists, option_agent, option_limit, option_vault
from tracklog.analytics.commands.columns import Column
from tracklog.analytics.commands.listing import Listed, print_list
from tracklog.analytics.commands.period import Period, option_period
from tracklog.analytics.commands.text import one_line
from tracklog.analytics.record import Record
from tracklog.processors.states import ExecutionStatus


@click.command("list")
@option_agent
@click.option("--status", type=click.Choice([status.value for status in ExecutionStatus]), help="Only of this status.")
@option_vault
@click.option("--conversation", metavar="ID", help="Only this conversation's.")
@click.option(
    "--sort",
    type=click.Choice(["newest", "oldest", "slowest", "tokens", "calls", "agent"]),
    default="newest",
    show_default=True,
    help="In this order; the greatest first.",
)
@option_limit(20)
@option_period(None)
@lists
def command(
    asked: Asked,
    agent: str | None,
    status: str | None,
    vault: str | None,
    conversation: str | None,
    sort: str,
    limit: int,
    period: Period,
) -> None:
    """List executions, the newest first unless --sort says otherwise."""
    with asked.analytics() as analytics:
        records = analytics.get_recent_executions(
            vault, agent, status, limit, conversation_id=conversation, sort=sort, **period.asked
        )
        print_list(
            asked,
            analytics,
            records,
            [
                Listed(Column("AGENT", least=16), lambda record: screen.name(record.agent_name, record.method)),
                Listed(Column("STATUS"), lambda record: screen.status(record.status)),
                Listed(Column("STARTED", drop=2), lambda record: units.moment(record.created_at)),
                Listed(Column("TOOK", right=True), lambda record: units.duration(record.duration_ms)),
                Listed(Column("TOKENS", right=True, drop=3), _tokens),
                Listed(Column("CONVERSATION", drop=4), lambda record: one_line(record.conversation_id, 40) or "–"),
                Listed(Column("NOTE", least=20, drop=1), note),
            ],
            agent=agent,
            empty="No executions match."
            if agent or status or vault or conversation or period
            else "No executions yet.",
            next_id=lambda record: record.status not in (ExecutionStatus.SUCCESS, ExecutionStatus.SKIPPED),
        )


def _tokens(record: Record) -> str:
    return units.count(record.llm_tokens_used)


def note(record: Record) -> str:
    """Give the one thing to say of an execution: its error, why it was skipped or selected, or where it stands."""
    if error := error_of(record):
        return one_line(error)
    if record.status == ExecutionStatus.SKIPPED:
        return one_line(record.relevance_reasoning)
    if record.status == ExecutionStatus.PENDING:
        return one_line(record.call_reason)
    if record.status == ExecutionStatus.SUCCESS:
        return ""
    return one_line(f"in stage {record.current_stage}") if record.current_stage else ""
