"""Print failures grouped by their errors."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.text import Text

from tracklog.analytics.answers.failures import FIELDS
from tracklog.analytics.commands import screen, units
from tracklog.analytics.commands.asked import Asked
from tracklog.analytics.commands.columns import Column
from tracklog.analytics.commands.freshness import freshness
from tracklog.analytics.commands.listing import short_ids
from tracklog.analytics.commands.screen import Screen
from tracklog.analytics.commands.text import one_line
from tracklog.analytics.record import Record

if TYPE_CHECKING:
    from tracklog.analytics.faces import ExecutionAnalytics

_COLUMNS = (
    Column("COUNT", right=True),
    Column("ERROR", least=24),
    Column("AGENTS", least=12, drop=1),
    Column("FIRST", drop=3),
    Column("LAST", drop=2),
    Column("EXAMPLE"),
)


def print_groups(asked: Asked, analytics: "ExecutionAnalytics", groups: list[Record], empty: str) -> None:
    """Print groups of failures, each with an execution to look at.

    :param empty: What to say when there are none.
    """
    if asked.is_for_programs:
        asked.print(groups, FIELDS)
        return
    out = Screen()
    shortest = short_ids(out, analytics, [group.execution_id for group in groups])
    rows = (
        (
            units.count(group.executions),
            _error(group),
            _counted(group.agents),
            units.moment(group.first_at),
            units.moment(group.last_at),
            screen.ids(out, shortest, group.execution_id),
        )
        for group in groups
    )
    out.print(out.table(_COLUMNS, rows) if groups else Text(empty))
    out.print(Text(), freshness(analytics.get_ingestion()))
    if groups:
        example = groups[0].execution_id
        out.hint(asked.hint("show", shortest.get(example, example)))


def _error(group: Record) -> Text:
    text = Text(one_line(group.error_type) or "Unknown", style="bold")
    return text.append(f": {one_line(group.error_message)}", style="not bold") if group.error_message else text


def _counted(counts: Mapping[str, int]) -> str:
    """Write counts, the greatest first; a single one needs no number."""
    if len(counts) == 1:
        return one_line(next(iter(counts))) or units.NOTHING
    return ", ".join(f"{one_line(name) or units.NOTHING} {number:,}" for name, number in counts.items())
