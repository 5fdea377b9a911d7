"""The command `annotate`: add to each line of a stream what became of its execution."""

import re
import sys
from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

import click
from rich.text import Text

from tracklog.analytics.answers.endings import error_of
from tracklog.analytics.commands import screen, units
from tracklog.analytics.commands.asked import Asked, asks
from tracklog.analytics.commands.exits import Exit
from tracklog.analytics.commands.known import Known
from tracklog.analytics.commands.screen import Screen
from tracklog.analytics.commands.text import as_json, one_line, safe, shortened
from tracklog.analytics.record import Record
from tracklog.analytics.search.entry import Entry, entry_of
from tracklog.ingester.errors import DatabaseError, DatabaseUrlError
from tracklog.ingester.read import MAX_LINE_BYTES

_READ_BYTES: Final = 1 << 16
"""Lines that come in together are looked up together."""

_AGENT_WIDTH: Final = 20
_WIDTH: Final = 48
"""Columns in front of a line: agent, status, stage and duration of an ordinary execution."""

_NOT_THERE: Final = "not in the database yet"
_AWAY: Final = "the database is away"

_OBJECT: Final = re.compile(rb'\{\s*"')


@click.command("annotate")
@asks
def command(asked: Asked) -> None:
    """Read log lines from a pipe, and put in front of each what became of its execution.

    Lines may stand behind something else, as grep, kubectl and the runtimes of containers put it there; those of no
    execution pass as they are. With --json each line becomes an object, with its execution as a member. Lines that come
    while the database is away, or there is none yet, pass too, and the exit code is 5 then.

    \b
      kubectl logs my-pod | tracklog annotate
      grep -h timeout logs/*.jsonl | tracklog annotate
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise click.UsageError("there is nothing to read; pipe log lines into it: kubectl logs POD | tracklog annotate")
    out = Screen()
    with Known(asked, needed=True) as known:
        unknown, was_away = _NOT_THERE, False
        # It complains of a database that is not there before anything is read.
        for lines in chain([[]], _batches(sys.stdin.buffer)):
            entries = [_understood(line) for line in lines]
            ids = {entry.execution_id for entry in entries if entry.execution_id is not None}
            records: dict[str, Record] = {}
            try:
                known.analytics  # noqa: B018 -- it is opened, also later than at first.
                if ids:
                    records, unknown = known.of(ids, fresh=True), _NOT_THERE
            except DatabaseUrlError:
                raise
            except DatabaseError as error:
                if unknown is _NOT_THERE:
                    click.echo(f"tracklog: {safe(str(error))}", err=True)
                unknown, was_away = _AWAY, True
            for line, entry in zip(lines, entries, strict=True):
                record = records.get(entry.execution_id or "")
                if asked.json:
                    click.echo(as_json(_with_execution(entry, record)))
                else:
                    _print(out, line, entry, record, unknown)
            sys.stdout.flush()
    if was_away:
        raise click.exceptions.Exit(Exit.UNAVAILABLE)


def _batches(stream: Any) -> Iterator[list[bytes]]:
    """Give the lines that have come, as soon as some have, without their newlines."""
    held = b""
    while data := stream.read1(_READ_BYTES):
        *lines, held = (held + data).split(b"\n")
        if len(held) > MAX_LINE_BYTES:
            lines, held = [*lines, held], b""
        if lines:
            yield lines
    if held:
        yield [held]


def _understood(line: bytes) -> Entry:
    """Understand a line, also one with something in front."""
    entry = entry_of(line)
    begins = _OBJECT.search(line) if entry.fields is None else None
    if begins is not None:
        behind = entry_of(line[begins.start() :])
        if behind.fields is not None:
            return behind
    return entry


def _print(out: Screen, line: bytes, entry: Entry, record: Record | None, unknown: str) -> None:
    text = safe(line.decode(errors="replace")) if out.is_terminal else line.decode(errors="surrogateescape")
    if entry.execution_id is None:
        _write(out, text)
        return
    note = _note(entry, record, unknown)
    note.append(" " * max(1, _WIDTH - note.cell_len)).append("│ ", "dim")
    _write(out, (out.styled(note) if out.is_terminal else note.plain) + text)


def _write(out: Screen, text: str) -> None:
    if out.is_terminal:
        click.echo(text, color=True)
    else:
        click.echo(text.encode(errors="surrogateescape"))


def _note(entry: Entry, record: Record | None, unknown: str) -> Text:
    # Imported here: where there is a record, what reads the database has been imported anyway.
    from tracklog.analytics.answers.calls import is_going_on

    if record is None:
        return Text(one_line(entry.stated("agent_name"), _AGENT_WIDTH) or units.NOTHING).append(f"  {unknown}", "dim")
    text = Text(shortened(screen.name(record["agent_name"]).plain, _AGENT_WIDTH))
    text.append("  ").append_text(screen.status(record["status"]))
    if record["current_stage"] and (error_of(record) or is_going_on(record["status"])):
        text.append(f"  {one_line(record['current_stage'], 16)}")
    return text.append(f"  {units.duration(record['duration_ms'])}")


def _with_execution(entry: Entry, record: Record | None) -> dict[str, object]:
    fields = entry.fields if entry.fields is not None else {"message": entry.text}
    name = "execution" if "execution" not in fields else "execution_"
    return {**fields, name: record}
