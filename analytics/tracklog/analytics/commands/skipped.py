"""The command `skipped`: executions whose agent decided not to respond."""

import click

from tracklog.analytics.commands import screen, units
from tracklog.analytics.commands.asked import Asked, lists, option_agent, option_limit, option_vault
from tracklog.analytics.commands.columns import Column
from tracklog.analytics.commands.listing import Listed, print_list
from tracklog.analytics.commands.period import Period, option_period
from tracklog.analytics.commands.text import one_line
from tracklog.analytics.record import Record


@click.command("skipped")
@option_agent
@option_vault
@option_period(24.0)
@option_limit(100)
@lists
def command(asked: Asked, agent: str | None, vault: str | None, period: Period, limit: int) -> None:
    """List executions whose agent stayed silent, the newest first, with the score and the reasoning."""
    with asked.analytics() as analytics:
        records = analytics.get_skipped_executions(vault, agent_name=agent, limit=limit, **period.asked)
        print_list(
            asked,
            analytics,
            records,
            [
                Listed(Column("AGENT", least=16), lambda record: screen.name(record.agent_name, record.method)),
                Listed(Column("SCORE", right=True), _score),
                Listed(Column("STARTED", drop=1), lambda record: units.moment(record.created_at)),
                Listed(Column("CONVERSATION", drop=2), lambda record: one_line(record.conversation_id, 40) or "–"),
                Listed(Column("REASONING", least=20), lambda record: one_line(record.relevance_reasoning) or "–"),
            ],
            agent=agent,
            empty=f"No agent stayed silent {period}.",
            fresh=True,
        )


def _score(record: Record) -> str:
    return units.NOTHING if record.relevance_score is None else f"{record.relevance_score:.2f}"
