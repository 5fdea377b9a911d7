"""The command `slow`: executions that took long, and what took their time."""

import click

from tracklog.analytics.answers.executions import SLOW_FIELDS
from tracklog.analytics.commands import screen, units
from tracklog.analytics.commands.asked import Asked, lists, option_agent, option_limit, option_vault
from tracklog.analytics.commands.columns import Column
from tracklog.analytics.commands.duration import Duration
from tracklog.analytics.commands.listing import Listed, print_list
from tracklog.analytics.commands.period import Period, option_period


@click.command("slow")
@click.option(
    "--over",
    type=Duration(),
    default="5s",
    show_default=True,
    metavar="TIME",
    help="Longer than this: 500ms, 2min.",
)
@option_agent
@option_vault
@option_period(24.0)
@option_limit(100)
@lists
def command(asked: Asked, over: float, agent: str | None, vault: str | None, period: Period, limit: int) -> None:
    """List slow executions, the slowest first, and how long they waited for language models."""
    with asked.analytics() as analytics:
        records = analytics.find_slow_executions(over, vault, agent_name=agent, limit=limit, **period.asked)
        print_list(
            asked,
            analytics,
            records,
            [
                Listed(Column("AGENT", least=16), lambda record: screen.name(record.agent_name, record.method)),
                Listed(Column("STATUS"), lambda record: screen.status(record.status)),
                Listed(Column("TOOK", right=True), lambda record: units.duration(record.duration_ms)),
                Listed(Column("LLM", right=True, drop=1), lambda record: units.duration(record.llm_latency_ms)),
                Listed(Column("OTHER", right=True, drop=2), lambda record: units.duration(record.overhead_ms)),
                Listed(Column("CALLS", right=True, drop=4), lambda record: units.count(record.llm_calls)),
                Listed(Column("STARTED", drop=3), lambda record: units.moment(record.created_at)),
            ],
            fields=SLOW_FIELDS,
            agent=agent,
            empty=f"Nothing took longer than {units.duration(over)} {period}.",
        )
