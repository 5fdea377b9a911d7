"""The command `grep`: find lines in log files, with the executions that they belong to."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from tracklog.analytics.commands.asked import Asked, asks
from tracklog.analytics.commands.filters import Filter, option_filters
from tracklog.analytics.commands.known import Known
from tracklog.analytics.commands.text import as_json

if TYPE_CHECKING:
    from tracklog.analytics.commands.hits import Hit, Printer
    from tracklog.analytics.search.files import Line
    from tracklog.analytics.search.pattern import Pattern

_BATCH: Final = 500
"""Lines whose executions are looked up together."""

_PATIENCE: Final = 0.3
"""Seconds that a line which was found waits for others."""

_SLACK: Final = 3600.0
"""Seconds by which the clock of a file's host may be behind the one of its lines."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be shown of what is found."""

    filter: Filter
    invert: bool
    context: int


@click.command("grep")
@click.argument("pattern")
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@click.option("-F", "--fixed", is_flag=True, help="PATTERN is a text, not a regular expression.")
@click.option("-e", "--regex", is_flag=True, help="PATTERN is a regular expression (the default).")
@click.option("-i", "--ignore-case", is_flag=True, help="Find a and A alike.")
@click.option("-v", "--invert", is_flag=True, help="Find the lines that do not match.")
@click.option("-c", "--count", is_flag=True, help="Print only how many lines match.")
@click.option("-l", "--executions", is_flag=True, help="Print only the executions that have such lines.")
@click.option(
    "-C",
    "--context",
    type=click.IntRange(0, 1000),
    default=0,
    metavar="N",
    help="Print also N lines of the same execution before and after.",
)
@click.option(
    "--in",
    "place",
    type=click.Choice(["files", "db"]),
    default="files",
    show_default=True,
    help="Where to look; db also where the files are gone.",
)
@option_filters
@asks
def command(
    asked: Asked,
    pattern: str,
    paths: tuple[str, ...],
    fixed: bool,
    regex: bool,
    ignore_case: bool,
    invert: bool,
    count: bool,
    executions: bool,
    context: int,
    place: str,
    wanted: Filter,
) -> None:
    """Find lines that match PATTERN, and say what became of the execution of each.

    Looked through are the log files below PATH, or below what the ingesters of this host follow: plain, rotated and
    compressed ones. PATTERN is a regular expression for what stands on a line; a text without special characters, and
    any text with -F, is also found where JSON writes it with escapes.

    What is known of an execution comes from the database. Without one, lines are found all the same, and --agent,
    --conversation and --vault go by what each line says itself. With --json each line that is found is an object on a
    line of its own.
    """
    from tracklog.analytics.search.pattern import PatternError, compiled

    if fixed and regex:
        raise click.UsageError("-F and -e contradict each other")
    if place == "db" and paths:
        raise click.UsageError("--in db looks into the database and not into files; leave out PATH, or --in db")
    try:
        searched = compiled(pattern, literal=fixed, ignore_case=ignore_case)
    except PatternError as error:
        raise click.UsageError(str(error)) from error
    shown = Wanted(wanted, invert, context)
    with Known(asked, needed=place == "db" or wanted.status is not None or context > 0) as known:
        if count and wanted.is_empty and place == "files":
            _print_count(asked, _count(asked, known, searched, paths, invert=invert))
            return
        batches = (
            _from_database(known, searched, shown)
            if place == "db"
            else _from_files(asked, known, searched, paths, shown)
        )
        if count:
            _print_count(asked, sum(len(batch) for batch in batches))
        elif executions:
            _print_executions(asked, known, batches)
        else:
            _print_lines(asked, known, searched, batches, shown)


def _print_count(asked: Asked, number: int) -> None:
    click.echo(as_json({"lines": number}) if asked.json else str(number))


def _print_executions(asked: Asked, known: Known, batches: "Iterator[list[Hit]]") -> None:
    from tracklog.analytics.commands.located import print_found

    print_found(asked, known, (hit for batch in batches for hit in batch))


def _print_lines(
    asked: Asked, known: Known, searched: "Pattern", batches: "Iterator[list[Hit]]", wanted: Wanted
) -> None:
    from tracklog.analytics.commands.hits import Printer
    from tracklog.analytics.commands.screen import Screen

    printer = Printer(Screen(), known, asked.json, None if wanted.invert else searched.text)
    for batch in batches:
        _print_batch(printer, known, batch, wanted.context)
    printer.end(lambda one: asked.hint("show", one))


def _print_batch(printer: "Printer", known: Known, batch: "list[Hit]", context: int) -> None:
    if context:
        from tracklog.analytics.commands.located import with_context

        batch = with_context(known, batch, context)
    printer.print(batch)


def _count(asked: Asked, known: Known, searched: "Pattern", paths: tuple[str, ...], *, invert: bool) -> int:
    from tracklog.analytics.commands.logfiles import complain, log_files
    from tracklog.analytics.search.files import count_in
    from tracklog.analytics.search.pattern import inverted

    spans = inverted(searched.spans) if invert else searched.spans
    number = 0
    for path, _ in log_files(asked, known, paths):
        try:
            number += count_in(path, spans)
        except OSError as error:
            complain(path, error)
    return number


def _from_files(
    asked: Asked, known: Known, searched: "Pattern", paths: tuple[str, ...], wanted: Wanted
) -> "Iterator[list[Hit]]":
    from tracklog.analytics.commands.logfiles import complain, log_files
    from tracklog.analytics.search.files import found_in
    from tracklog.analytics.search.pattern import inverted

    spans = inverted(searched.spans) if wanted.invert else searched.spans
    since = wanted.filter.since.timestamp() - _SLACK if wanted.filter.since is not None else None
    held: list[Line] = []
    first = 0.0
    for path, status in log_files(asked, known, paths):
        if since is not None and status.st_mtime < since:
            continue  # Its last line is older.
        try:
            for line in found_in(path, spans):
                if not held:
                    first = time.monotonic()
                held.append(line)
                if len(held) >= _BATCH or time.monotonic() - first > _PATIENCE:
                    yield _looked_up(known, held, wanted.filter)
                    held = []
        except OSError as error:
            complain(path, error)
        if held and time.monotonic() - first > _PATIENCE:
            yield _looked_up(known, held, wanted.filter)
            held = []
    yield _looked_up(known, held, wanted.filter)


def _looked_up(known: Known, lines: "list[Line]", wanted: Filter) -> "list[Hit]":
    from tracklog.analytics.commands.hits import Hit
    from tracklog.analytics.search.entry import entry_of

    entries = [(line, entry_of(line.text, line.offset)) for line in lines]
    records = known.of(entry.execution_id for _, entry in entries)
    hits = []
    for line, entry in entries:
        record = records.get(entry.execution_id or "")
        if wanted.wants(entry, record):
            hits.append(Hit(entry, record, line.path, line.number, line.offset))
    return hits


def _from_database(known: Known, searched: "Pattern", wanted: Wanted) -> "Iterator[list[Hit]]":
    from tracklog.analytics.commands.lines import place_rows
    from tracklog.analytics.commands.located import hit_of

    assert known.analytics is not None
    chosen = wanted.filter
    last = None
    while True:
        rows = known.analytics.search_log_lines(
            searched.source,
            ignore_case=searched.ignore_case,
            invert=wanted.invert,
            agent_name=chosen.agent,
            status=chosen.status,
            conversation_id=chosen.conversation,
            vault_id=chosen.vault,
            since=chosen.since,
            until=chosen.until,
            after=last,
            limit=_BATCH,
        )
        records = known.of(row["execution_id"] for row in rows)
        place_rows(rows)
        yield [hit_of(row, records.get(row["execution_id"])) for row in rows]
        if len(rows) < _BATCH:
            return
        last = rows[-1]
