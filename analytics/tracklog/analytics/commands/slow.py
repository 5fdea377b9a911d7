"""The command `slow`: executions that took long, and what took their time."""

import re
from typing import Any

import click

from tracklog.analytics.commands import screen, units
from tracklog.analytics.commands.asked import Asked, asks, option_agent, option_hours, option_limit, option_vault
from tracklog.analytics.commands.columns import Column
from tracklog.analytics.commands.listing import Listed, print_list

_UNITS = {"": 1.0, "ms": 1.0, "s": 1000.0, "m": 60_000.0, "min": 60_000.0, "h": 3_600_000.0}


class Duration(click.ParamType[float]):
    """A duration such as 500ms, 5s or 2min; a plain number is milliseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Give milliseconds."""
        if isinstance(value, (int, float)):
            return float(value)
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", str(value).strip().lower())
        if match is None or match[2] not in _UNITS:
            self.fail(f"{value!r} is no duration; write 500ms, 5s or 2min", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


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
@option_hours(24.0)
@option_limit(100)
@asks
def command(asked: Asked, over: float, agent: str | None, vault: str | None, hours: float, limit: int) -> None:
    """List slow executions, the slowest first, and how long they waited for language models."""
    with asked.analytics() as analytics:
        records = analytics.find_slow_executions(over, vault, hours, agent, limit)
        print_list(
            asked,
            analytics,
            records,
            [
                Listed(Column("AGENT", least=16), lambda record: screen.name(record.agent_name, record.method)),
                Listed(Column("STATUS"), lambda record: screen.status(record.status)),
                Listed(Column("TOOK", right=True), lambda record: units.duration(record.duration_ms)),
                Listed(Column("LLM", right=True), lambda record: units.duration(record.llm_latency_ms)),
                Listed(Column("OTHER", right=True), lambda record: units.duration(record.overhead_ms)),
                Listed(Column("CALLS", right=True, drop=2), lambda record: units.count(record.llm_calls)),
                Listed(Column("STARTED", drop=1), lambda record: units.moment(record.created_at)),
            ],
            empty=f"Nothing took longer than {units.duration(over)} in the last {hours:g} hours.",
        )
