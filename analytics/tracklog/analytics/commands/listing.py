"""Print lists of executions alike: the same columns, short ids, and what to ask next."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from tracklog.analytics.answers.executions import FIELDS
from tracklog.analytics.commands import screen
from tracklog.analytics.commands.asked import Asked
from tracklog.analytics.commands.columns import Column
from tracklog.analytics.commands.freshness import freshness
from tracklog.analytics.commands.screen import Screen
from tracklog.analytics.commands.text import one_line
from tracklog.analytics.record import Record

if TYPE_CHECKING:
    from tracklog.analytics.faces import ExecutionAnalytics


@dataclass(frozen=True, slots=True)
class Listed:
    """A column of a list of executions, and what stands in it."""

    column: Column
    cell: Callable[[Record], str | Text]


def print_list(
    asked: Asked,
    analytics: "ExecutionAnalytics",
    records: list[Record],
    columns: Sequence[Listed],
    *,
    empty: str,
    fresh: bool = False,
    fields: Sequence[str] = FIELDS,
    agent: str | None = None,
    next_id: Callable[[Record], bool] = lambda _record: True,
) -> None:
    """Print executions with their ids in front.

    :param empty: What to say when there are none.
    :param fresh: Say how far it can be trusted: for lists whose shortness is good news.
    :param fields: What the records have, whether or not there are any.
    :param agent: Whose they are to be; where it never ran, the name may be another one's mistyped.
    :param next_id: Tells the execution that is worth being looked at next.
    """
    if asked.is_for_programs:
        asked.print(records, fields)
        return
    out = Screen()
    if not records:
        out.print(Text(empty))
        if agent is not None and (similar := analytics.debug_why_agent_didnt_fire(agent).similar_agents):
            out.print(Text(did_you_mean(similar)))
        _print_freshness(out, analytics, fresh=fresh)
        return
    shortest = short_ids(out, analytics, [record["execution_id"] for record in records])
    table = out.table(
        [Column("ID"), *(listed.column for listed in columns)],
        (
            [screen.ids(out, shortest, record["execution_id"]), *(listed.cell(record) for listed in columns)]
            for record in records
        ),
    )
    out.print(table)
    _print_freshness(out, analytics, fresh=fresh)
    worth = next((record for record in records if next_id(record)), records[0])
    out.hint(asked.hint("show", shortest.get(worth["execution_id"], worth["execution_id"])))


def did_you_mean(names: Sequence[str]) -> str:
    """Ask whether one of some names was meant."""
    return f"Did you mean {' or '.join(map(one_line, names))}?"


def _print_freshness(out: Screen, analytics: "ExecutionAnalytics", *, fresh: bool) -> None:
    if fresh:
        out.print(Text(), freshness(analytics.get_ingestion()))


def short_ids(out: Screen, analytics: "ExecutionAnalytics", execution_ids: Sequence[str]) -> dict[str, str]:
    """Give the shortest unique beginnings of ids, where people read them."""
    return analytics.shortest_prefixes(execution_ids) if out.is_terminal else {}
