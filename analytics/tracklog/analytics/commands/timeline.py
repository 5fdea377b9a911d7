"""The command `timeline`: where an execution's time went, drawn."""

import math
from collections.abc import Sequence
from typing import Final

import click
from rich.text import Text

from tracklog.analytics.commands import screen, units
from tracklog.analytics.commands.asked import Asked, asks
from tracklog.analytics.commands.bars import bar
from tracklog.analytics.commands.columns import GAP
from tracklog.analytics.commands.pager import pages
from tracklog.analytics.commands.screen import Screen
from tracklog.analytics.commands.text import one_line
from tracklog.analytics.errors import ExecutionNotFoundError
from tracklog.analytics.record import Record

_MOST_INDENT: Final = 12
"""Levels that are drawn by blanks; agents that call themselves go deeper than any screen is wide."""

_NAMED: Final = 3
"""So many are named as those that the time went to."""

_SPANS: Final = 300
"""So many spans are drawn; what matters would be lost among thousands."""

_PIPE_BAR: Final = 60
_LEAST_BAR: Final = 8
"""Columns of a bar in a pipe, and at least on a terminal."""

_LEAST_NAME: Final = 8

_WIDEST: Final = 1000
"""Columns of the widest terminal; what is wider is a pipe."""

_LEGEND: Final = "█ on the critical path   ░ beside it   ▸ no end is known"


@click.command("timeline")
@click.argument("id")
@click.option("--full", is_flag=True, help="Draw also what is too short to matter among very many.")
@click.option("--depth", type=click.IntRange(min=0), metavar="N", help="Draw only so many levels.")
@asks
@pages
def command(asked: Asked, id: str, depth: int | None, full: bool) -> None:  # noqa: A002 -- the name is what the help shows.
    """Draw where the time of the execution ID went: its stages, its LLM calls, and all that it called.

    Bars are in proportion to the time. The critical path is what would have to be quicker for all to end sooner.
    """
    with asked.analytics() as analytics:
        execution_id = asked.resolve(analytics, id)
        waterfall = analytics.get_waterfall(execution_id)
        if waterfall is None:
            raise ExecutionNotFoundError(f"the execution {execution_id} was removed just now")
        if asked.json:
            screen.print_json(waterfall)
            return
        out = Screen()
        slowest = _slowest(waterfall)
        shortest = (
            analytics.shortest_prefixes({execution_id, *(span.execution_id for span in slowest)})
            if out.is_terminal
            else {}
        )
    _print(out, waterfall, depth, full=full)
    worst = slowest[0] if slowest else waterfall.spans[0]
    kind = "llm" if worst.kind == "llm" else "show"
    out.hint(asked.hint(kind, shortest.get(worst.execution_id, worst.execution_id)))


def _slowest(waterfall: Record) -> list[Record]:
    return [waterfall.spans[place] for place in waterfall.critical[:_NAMED]]


def _print(out: Screen, waterfall: Record, depth: int | None, *, full: bool) -> None:
    title = screen.name(waterfall.agent_name, waterfall.method)
    title.stylize("bold")
    title.append("  ").append_text(screen.status(waterfall.status))
    title.append(f"  {units.duration(waterfall.duration_ms)}", style="not bold")
    out.print(title, Text())
    spans = [span for span in waterfall.spans if depth is None or span.depth <= depth]
    drawn = spans if full or len(spans) <= _SPANS else _greatest(spans)
    whole = max(((span.start_ms or 0.0) + (span.duration_ms or 0.0) for span in waterfall.spans), default=0.0)
    out.print(_table(out, drawn, whole), Text())
    if deeper := len(waterfall.spans) - len(spans):
        out.print(Text(f"{units.plural(deeper, 'deeper span')} not drawn.", style="dim"))
    if shorter := len(spans) - len(drawn):
        out.print(Text(f"{units.plural(shorter, 'shorter span')} not drawn, see --full.", style="dim"))
    out.print(Text(_LEGEND, style="dim"))
    if went := _went(waterfall):
        out.print(Text(f"Of the critical path {went}."))


def _greatest(spans: list[Record]) -> list[Record]:
    """Give the spans that took the most of the critical path, then the longest, in their order."""
    order = sorted(range(len(spans)), key=lambda place: (-spans[place].critical_ms, -(spans[place].duration_ms or 0.0)))
    return [spans[place] for place in sorted(order[:_SPANS])]


def _table(out: Screen, spans: Sequence[Record], whole: float) -> Text:
    """Lay out the spans; the bar takes what the names and numbers leave."""
    rows = [(_name(span), _start(span), _took(span)) for span in spans]
    start_width, took_width = (max(len(row[place]) for row in rows) for place in (1, 2))
    natural = max(row[0].cell_len for row in rows)
    room = out.width - start_width - took_width - 3 * GAP
    is_bounded = out.width <= _WIDEST
    name_width = min(natural, max(_LEAST_NAME, room // 2)) if is_bounded else natural
    bar_width = max(_LEAST_BAR, room - name_width) if is_bounded else _PIPE_BAR
    lines = []
    for span, (name, start, took) in zip(spans, rows, strict=True):
        name.truncate(name_width, overflow="ellipsis", pad=True)
        line = name.append(
            f"{'':{GAP}}{start:>{start_width}}{'':{GAP}}{took:>{took_width}}{'':{GAP}}", style="not bold"
        )
        lines.append(line.append_text(_bar(span, whole, bar_width)))
    return Text("\n").join(lines)


def _name(span: Record) -> Text:
    indent = "  " * min(span.depth, _MOST_INDENT)
    match span.kind:
        case "llm":
            name = Text(f"{indent}llm {one_line(span.name) or units.NOTHING}")
        case "stage":
            name = Text(f"{indent}{one_line(span.name)}", style="dim" if not span.critical else "")
        case _:
            name = Text(f"{indent}{one_line(span.name) or units.NOTHING}", style="bold")
    if span.status in ("failed", "timeout", "crashed", "skipped", "pending", "unanswered"):
        name.append(" ").append_text(screen.status(span.status))
    return name


def _start(span: Record) -> str:
    return units.NOTHING if span.start_ms is None else f"+{units.duration(span.start_ms)}"


def _took(span: Record) -> str:
    return units.duration(span.duration_ms) if span.ended else units.NOTHING


def _bar(span: Record, whole: float, width: int) -> Text:
    if span.start_ms is None:
        return Text()
    drawn = bar(span.start_ms, span.duration_ms or 0.0, whole, width, "█" if span.critical else "░", ended=span.ended)
    bad = span.status in ("failed", "timeout", "crashed", "unanswered")
    colour = "red" if bad else {"llm": "magenta", "stage": "blue"}.get(span.kind, "green")
    return Text(drawn, style=colour if span.critical else f"dim {colour}")


def _went(waterfall: Record) -> str:
    """Say what took most of the critical path, of the same name together."""
    path = math.fsum(span.critical_ms for span in waterfall.spans)
    agents = {span.execution_id: span.name for span in waterfall.spans if span.kind == "execution"}
    took: dict[str, list[float]] = {}
    for place in waterfall.critical:
        span = waterfall.spans[place]
        took.setdefault(_what(span, one_line(agents.get(span.execution_id)) or units.NOTHING), []).append(
            span.critical_ms
        )
    parts = []
    for what, spans in sorted(took.items(), key=lambda part: -math.fsum(part[1]))[:_NAMED]:
        whole = math.fsum(spans)
        times = f" ({len(spans):,} times)" if len(spans) > 1 else ""
        parts.append(f"{units.duration(whole)} ({units.share(whole / path)}) went to {what}{times}")
    return ", ".join(parts)


def _what(span: Record, agent: str) -> str:
    match span.kind:
        case "llm":
            return f"{one_line(span.name) or 'a language model'} for {agent}"
        case "stage":
            return f"{one_line(span.name)} of {agent}"
        case _:
            return f"{agent} itself"
