"""The command `failed`: executions that failed, timed out or crashed."""

import click

from tracklog.analytics.answers.endings import error_of
from tracklog.analytics.commands import screen, units
from tracklog.analytics.commands.asked import Asked, lists, option_agent, option_limit, option_vault
from tracklog.analytics.commands.columns import Column
from tracklog.analytics.commands.failures import print_groups
from tracklog.analytics.commands.listing import Listed, print_list
from tracklog.analytics.commands.period import Period, option_period
from tracklog.analytics.commands.text import one_line


@click.command("failed")
@click.option(
    "--group", "grouped", is_flag=True, help="Count them by error; numbers, ids and quoted texts do not matter."
)
@option_agent
@option_vault
@option_period(24.0)
@option_limit(100)
@lists
def command(asked: Asked, grouped: bool, agent: str | None, vault: str | None, period: Period, limit: int) -> None:
    """List executions that failed, timed out or crashed, the newest first."""
    empty = f"Nothing failed {period}."
    with asked.analytics() as analytics:
        if grouped:
            print_groups(
                asked,
                analytics,
                analytics.get_failure_groups(vault, agent_name=agent, limit=limit, **period.asked),
                empty,
            )
            return
        records = analytics.get_failed_executions(vault, agent_name=agent, limit=limit, **period.asked)
        print_list(
            asked,
            analytics,
            records,
            [
                Listed(Column("AGENT", least=16), lambda record: screen.name(record.agent_name)),
                Listed(Column("STATUS"), lambda record: screen.status(record.status)),
                Listed(Column("STARTED", drop=2), lambda record: units.moment(record.created_at)),
                Listed(
                    Column("STAGE", least=11, drop=1),
                    lambda record: one_line(record.current_stage, 30) or units.NOTHING,
                ),
                Listed(Column("ERROR", least=20), lambda record: one_line(error_of(record)) or units.NOTHING),
            ],
            agent=agent,
            empty=empty,
            fresh=True,
        )
