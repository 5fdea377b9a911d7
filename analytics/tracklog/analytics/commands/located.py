"""Show lines that the database has, those around a line, and the executions of lines."""

from collections.abc import Iterable, Sequence

import click
from rich.text import Text

from tracklog.analytics.commands import screen, units
from tracklog.analytics.commands.asked import Asked
from tracklog.analytics.commands.columns import Column
from tracklog.analytics.commands.executions import note
from tracklog.analytics.commands.hits import Hit
from tracklog.analytics.commands.known import Known
from tracklog.analytics.commands.lines import place_rows
from tracklog.analytics.commands.screen import Screen
from tracklog.analytics.commands.text import as_json, safe
from tracklog.analytics.record import Record
from tracklog.analytics.search.entry import Entry


def hit_of(row: Record, record: Record | None, *, is_context: bool = False) -> Hit:
    """Give a row of the database, with its `line` or without, as a line that is shown."""
    fields = {name: row[name] for name in ("timestamp", "level", "kind", "message", "stage", "duration_ms", "data")}
    text = " ".join(as_json(row[name]).decode() for name in ("message", "data") if row[name] is not None)
    return Hit(Entry(text, row, fields), record, row["file"], row["line"], row["line_offset"], is_context)


def with_context(known: Known, hits: Sequence[Hit], around: int) -> list[Hit]:
    """Give lines with those of the same execution before and after, each once, one execution after the other."""
    if known.analytics is None:
        return list(hits)
    by_execution: dict[str | None, list[Hit]] = {}
    for hit in hits:
        by_execution.setdefault(hit.entry.execution_id, []).append(hit)
    shown = list(by_execution.pop(None, ()))
    rows: dict[str, list[Record]] = {}
    every = known.analytics.get_log_lines([one for one in by_execution if one is not None])
    place_rows(every)
    for row in every:
        rows.setdefault(row["execution_id"], []).append(row)
    for one, found in by_execution.items():
        own = rows.get(one or "", [])
        places = {(row["writer"], row["seq"]): place for place, row in enumerate(own)}
        at = {}
        for hit in found:
            place = places.get((hit.entry.row["writer"], hit.entry.row["seq"]))
            if place is None:
                shown.append(hit)  # It is not in the database yet.
            else:
                at[place] = hit
        near = sorted({other for hit in at for other in range(hit - around, hit + around + 1) if 0 <= other < len(own)})
        record = found[0].record
        shown += [at.get(other) or hit_of(own[other], record, is_context=True) for other in near]
    return shown


def print_found(asked: Asked, known: Known, hits: Iterable[Hit]) -> None:
    """Print the executions of lines, in the order they were found, with how many lines each has.

    In a pipe these are their ids alone, one a line.
    """
    counts: dict[str, int] = {}
    first: dict[str, Hit] = {}
    for hit in hits:
        if (one := hit.entry.execution_id) is not None:
            counts[one] = counts.get(one, 0) + 1
            first.setdefault(one, hit)
    if asked.json:
        for one, hit in first.items():
            click.echo(as_json({"execution_id": one, "lines": counts[one], "execution": hit.record}))
        return
    out = Screen()
    if not out.is_terminal:
        for one in first:
            click.echo(safe(one))
        return
    if not first:
        out.print(Text("No line matches."))
        return
    shortest = known.shortest(first)
    columns = (
        Column("ID"),
        Column("AGENT", least=16),
        Column("STATUS"),
        Column("STARTED", drop=3),
        Column("TOOK", right=True),
        Column("LINES", right=True, drop=1),
        Column("NOTE", least=20, drop=2),
    )
    rows = []
    for one, hit in first.items():
        record = hit.record
        rows.append(
            (
                screen.ids(out, shortest, one),
                screen.name(record["agent_name"] if record is not None else hit.entry.stated("agent_name")),
                screen.status(record["status"]) if record is not None else Text("?", style="dim"),
                units.moment(record["created_at"] if record is not None else hit.entry.row["timestamp"]),
                units.duration(record["duration_ms"] if record is not None else None),
                units.count(counts[one]),
                note(record) if record is not None else "",
            )
        )
    out.print(out.table(columns, rows))
    one = next(iter(first))
    if known.analytics is not None:
        out.hint(asked.hint("show", shortest.get(one, one)))
