"""The command `lines`: the lines of an execution as they stand in the files, read where they stand."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import click

from tracklog.analytics.commands import screen
from tracklog.analytics.commands.asked import Asked, asks
from tracklog.analytics.commands.called import with_called
from tracklog.analytics.commands.exits import Exit
from tracklog.analytics.commands.lines import place_rows, text_of
from tracklog.analytics.commands.pager import pages
from tracklog.analytics.commands.screen import Screen
from tracklog.analytics.commands.text import from_here, safe
from tracklog.analytics.record import Record

if TYPE_CHECKING:
    from tracklog.ingester.read import Fetch


@click.command("lines")
@click.argument("id")
@click.option("--tree", is_flag=True, help="With those of all that it called, in the order they were written.")
@asks
@pages
def command(asked: Asked, id: str, tree: bool) -> None:  # noqa: A002 -- the name is what the help shows.
    """Print the lines of the execution ID as they stand in the log files, in the order they were written.

    They are read where they stand, without looking through the files; in a pipe, byte by byte. Exit code 1 if some are
    there no more.
    """
    with asked.analytics() as analytics:
        execution_id = asked.resolve(analytics, id)
        rows = analytics.get_log_lines(with_called(analytics, [execution_id], alone=not tree))
    found = list(raw_lines(rows)) if asked.json else raw_lines(rows)
    missing: dict[str, int] = {}
    if asked.json:
        screen.print_json(
            [
                {
                    "execution_id": row["execution_id"],
                    "file": row["file"],
                    "line_offset": row["line_offset"],
                    "text": line.decode(errors="replace") if line is not None else None,
                }
                for row, line in found
            ]
        )
    is_terminal = Screen().is_terminal
    for row, line in found:
        if line is None:
            name = from_here(row["file"]) if row["file"] else "a file that is not known any more"
            missing[name] = missing.get(name, 0) + 1
        elif not asked.json:
            click.echo(safe(line.decode(errors="replace")) if is_terminal else line)
    for name, count in missing.items():
        lines = "a line of it is" if count == 1 else f"{count:,} lines of it are"
        click.echo(f"tracklog: {lines} not in {safe(name)} any more; see: {asked.hint('show', execution_id)}", err=True)
    if missing:
        raise click.exceptions.Exit(Exit.FAILED)


def raw_lines(rows: Sequence[Record]) -> Iterator[tuple[Record, bytes | None]]:
    """Read the line of each log row, without its newline; None where it does not stand there any more."""
    from tracklog.ingester.read import reading

    place_rows(rows)
    with contextlib.ExitStack() as stack:
        readers: dict[str, Fetch | None] = {}
        for row in rows:
            path = row["file"]
            if path is not None and path not in readers:
                try:
                    readers[path] = stack.enter_context(reading(path))
                except OSError:
                    readers[path] = None
            reader = readers[path] if path is not None else None
            text = None
            with contextlib.suppress(OSError):
                text = text_of(reader, row) if reader is not None else None
            yield row, text


def execution_at(place: str) -> str:
    """Give the id of the execution that a line belongs to, named as FILE:LINE, as editors and grep do.

    :raises click.BadParameter: That is no place in a file.
    :raises ExecutionNotFoundError: There is no such line, or it is of no execution.
    """
    from tracklog.analytics.errors import ExecutionNotFoundError
    from tracklog.ingester.decode import Event, decode
    from tracklog.ingester.read import reading
    from tracklog.ingester.unwrap import line_at

    path, _, number = place.rpartition(":")
    if not path or not number.isdecimal() or int(number) < 1:
        raise click.BadParameter(f"{place!r} is no place; write FILE:LINE, such as logs/agents.jsonl:12.")
    try:
        with reading(path) as fetch:
            offset = _start_of(fetch, int(number))
            line = line_at(fetch, offset) if offset is not None else None
    except OSError as error:
        raise ExecutionNotFoundError(f"{path} cannot be read: {error.strerror or error}") from error
    if line is None:
        raise ExecutionNotFoundError(f"{path} has no line {number} that has ended, and is more than a part of one")
    event = decode(line.text, line.offset, time=line.time)
    if not isinstance(event, Event):
        raise ExecutionNotFoundError(f"line {number} of {path} could not be read: {event.reason if event else 'blank'}")
    if event.execution_id is None:
        raise ExecutionNotFoundError(f"line {number} of {path} belongs to no execution")
    return event.execution_id


def _start_of(fetch: "Fetch", number: int) -> int | None:
    """Give the offset at which a line starts; None where there are fewer."""
    offset, passed = 0, 1
    while passed < number:
        piece = fetch(offset, _PIECE)
        if not piece:
            return None
        count = piece.count(b"\n")
        if passed + count < number:
            passed += count
            offset += len(piece)
            continue
        for _ in range(number - passed):
            place = piece.find(b"\n") + 1
            piece, offset = piece[place:], offset + place
        return offset
    return offset


_PIECE: Final = 1 << 18
