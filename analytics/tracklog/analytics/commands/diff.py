"""The command `diff`: where two executions parted, and what else differs."""

import difflib
from typing import Any, Final

import click
from rich.text import Text

from tracklog.analytics.commands import screen, units
from tracklog.analytics.commands.asked import Asked, asks
from tracklog.analytics.commands.columns import Column
from tracklog.analytics.commands.dialogue import dialogue
from tracklog.analytics.commands.listing import short_ids
from tracklog.analytics.commands.pager import pages
from tracklog.analytics.commands.screen import Screen
from tracklog.analytics.commands.text import ELLIPSIS, one_line, safe
from tracklog.analytics.errors import ExecutionNotFoundError
from tracklog.analytics.record import Record

_LINES: Final = 40
"""Lines of the first difference that are shown."""

_ROWS: Final = 30
"""Rows of the table of what else differs."""

_TIMES: Final = 5
_NOTABLE: Final = 0.05
"""Durations are shown if they are further apart than this share of the longer execution; at most so many."""

_SHARED: Final = 20
"""Characters that two values may begin with alike before that beginning is left out."""

_TITLES: Final = {"input_data": "input", "output_data": "output", "current_stage": "last stage"}


@click.command("diff")
@click.argument("id_a", metavar="ID")
@click.argument("id_b", metavar="ID")
@click.option("--full", is_flag=True, help="Shorten nothing.")
@asks
@pages
def command(asked: Asked, id_a: str, id_b: str, full: bool) -> None:
    """Compare two executions: where they first parted, then what else differs, and whose time.

    What they did is compared in its order: input, stages, lines, LLM calls, calls of other agents, output, error,
    status.
    """
    with asked.analytics() as analytics:
        ids = [asked.resolve(analytics, one) for one in (id_a, id_b)]
        answer = analytics.compare_executions(*ids)
        if answer is None:
            raise ExecutionNotFoundError(f"the execution {ids[0]} or {ids[1]} was removed just now")
        if asked.json:
            screen.print_json(answer)
            return
        out = Screen()
        shortest = short_ids(out, analytics, ids)
    _print_heads(out, answer, shortest)
    if not answer.differences:
        same = ids[0] == ids[1]
        out.print(Text(), Text("That is one and the same execution." if same else "Nothing differs but ids and times."))
    else:
        _print_first(out, answer.differences[0], full=full)
        _print_others(out, answer.differences[1:], full=full)
    _print_durations(out, answer)
    first = answer.differences[0] if answer.differences else Record(a_call=None, b_call=None)
    second = shortest.get(ids[1], ids[1])
    if first.b_call is not None:
        out.hint(asked.hint("llm", second, "--call", str(first.b_call)))
    elif first.a_call is not None:
        out.hint(asked.hint("llm", shortest.get(ids[0], ids[0]), "--call", str(first.a_call)))
    else:
        out.hint(asked.hint("timeline", second))


def _print_heads(out: Screen, answer: Record, shortest: dict[str, str]) -> None:
    columns = (
        Column(""),
        Column("EXECUTION"),
        Column("AGENT", least=12),
        Column("STATUS"),
        Column("STARTED", drop=2),
        Column("TOOK", right=True),
        Column("CALLS", right=True, drop=3),
        Column("TOKENS", right=True, drop=1),
    )
    rows = (
        (
            sign,
            screen.ids(out, shortest, one.execution_id),
            screen.name(one.agent_name, one.method),
            screen.status(one.status),
            units.moment(one.started_at),
            units.duration(one.duration_ms),
            units.count(one.llm_calls),
            units.count(one.llm_tokens_used),
        )
        for sign, one in (("a", answer.a), ("b", answer.b))
    )
    out.print(out.table(columns, rows))


def _print_first(out: Screen, difference: Record, *, full: bool) -> None:
    title = Text("First divergence: ", style="bold").append(_what(difference), style="not bold")
    out.print(Text(), title)
    if difference.field is None:
        only = "a" if difference.a is not None else "b"
        out.print(Text(f"only in {only}"))
    lines = list(difflib.unified_diff(_lines(difference.a), _lines(difference.b), "a", "b", lineterm="", n=2))
    shown = lines if full else lines[:_LINES]
    out.print(*map(screen.changed, shown))
    if len(shown) < len(lines):
        out.print(Text(f"{ELLIPSIS} {units.plural(len(lines) - len(shown), 'more line')}, see --full", style="dim"))


def _lines(value: Any) -> list[str]:
    return dialogue(value).lines() if value not in (None, {}) else []


def _what(difference: Record) -> str:
    what = one_line(difference.what)
    if difference.field is None:
        return what
    field = _TITLES.get(difference.field, difference.field.replace("_", " "))
    return field if what in ("input", "end", "execution", "relevance") else f"{what}, {field}"


def _print_others(out: Screen, differences: list[Record], *, full: bool) -> None:
    if not differences:
        return
    shown = differences if full else differences[:_ROWS]
    columns = (Column("ALSO DIFFERENT", least=20), Column("A", least=12, wrap=full), Column("B", least=12, wrap=full))
    rows = [(_what(difference), *_apart(difference)) for difference in shown]
    out.print(Text(), out.table(columns, rows))
    if len(shown) < len(differences):
        more = units.plural(len(differences) - len(shown), "more difference")
        out.print(Text(f"{ELLIPSIS} {more}, see --full", style="dim"))


def _apart(difference: Record) -> tuple[str, str]:
    """Write two values on a line each, from where they are no longer the same."""
    if difference.field is None:
        return tuple(_told(value) for value in (difference.a, difference.b))  # type: ignore[return-value]
    a, b = one_line(difference.a), one_line(difference.b)
    pairs = zip(a, b, strict=False)
    same = next((place for place, (x, y) in enumerate(pairs) if x != y), min(len(a), len(b)))
    if same > _SHARED:
        a, b = (ELLIPSIS + text[same - _SHARED // 2 :] for text in (a, b))
    return a or units.NOTHING, b or units.NOTHING


def _told(value: dict[str, Any] | None) -> str:
    if value is None:
        return units.NOTHING
    said = {name: part for name, part in value.items() if name != "duration_ms"}
    return one_line(said) if said else "there"


def _print_durations(out: Screen, answer: Record) -> None:
    longest = max(answer.a.duration_ms or 0.0, answer.b.duration_ms or 0.0)
    notable = [row for row in answer.durations if abs(row.a_ms - row.b_ms) > _NOTABLE * longest][:_TIMES]
    if not notable:
        return
    columns = (
        Column("TIME OF", least=16),
        Column("A", right=True),
        Column("B", right=True),
        Column("B MINUS A", right=True),
    )
    rows = (
        (
            "all" if row.what == "end" else safe(one_line(row.what)),
            units.duration(row.a_ms),
            units.duration(row.b_ms),
            f"{'+' if row.b_ms > row.a_ms else ''}{units.duration(row.b_ms - row.a_ms)}",
        )
        for row in notable
    )
    out.print(Text(), out.table(columns, rows))
