"""The commands `quarantine list`, `show` and `retry`: lines that could not be read."""

import dataclasses
from typing import Final

import click
from rich.text import Text

from tracklog.analytics.answers.losses import FIELDS
from tracklog.analytics.commands import screen, units
from tracklog.analytics.commands.asked import Asked, asks, lists, option_limit
from tracklog.analytics.commands.columns import Column
from tracklog.analytics.commands.screen import Screen
from tracklog.analytics.commands.stores import option_host, with_store
from tracklog.analytics.commands.text import from_here, one_line, safe
from tracklog.analytics.errors import AmbiguousIdError, ExecutionNotFoundError
from tracklog.analytics.record import Record
from tracklog.ingester.quarantine import retry

_SHORT: Final = 8
"""Characters of a source's id that tell it from others, as a rule."""

_ALIKE: Final = 7
"""Lines that an id may mean which are looked at."""


@click.group("quarantine")
def command() -> None:
    """Look at log lines that could not be read."""


@command.command("list")
@option_limit(100)
@lists
def list_(asked: Asked, limit: int) -> None:
    """List lines that could not be read, the newest first."""
    with asked.analytics() as analytics:
        result = analytics.get_quarantined_lines(limit)
    if asked.json:
        screen.print_json(result)
        return
    if asked.is_for_programs:
        asked.print(result.lines, FIELDS)
        return
    out = Screen()
    if not result.lines:
        out.print(Text("Every line could be read."))
        return
    columns = (
        Column("ID"),
        Column("FILE", least=16),
        Column("BYTE", right=True, drop=1),
        Column("LENGTH", right=True, drop=3),
        Column("WHEN", drop=2),
        Column("REASON", least=20),
    )
    rows = (
        (
            Text(_short(line) if out.is_terminal else line.id, "cyan"),
            one_line(from_here(line.file or "")) or units.NOTHING,
            units.count(line.line_offset),
            units.count(line.length),
            units.moment(line.quarantined_at),
            one_line(line.reason),
        )
        for line in result.lines
    )
    out.print(out.table(columns, rows))
    if result.total > len(result.lines):
        out.print(Text(f"and {units.count(result.total - len(result.lines))} more.", "dim"))
    out.hint(asked.hint("quarantine", "show", _short(result.lines[0])))


@command.command("show")
@click.argument("line", metavar="ID")
@asks
def show(asked: Asked, line: str) -> None:
    """Show a line that could not be read: where it stands, why, and how it begins."""
    with asked.analytics() as analytics:
        found = _find(asked, analytics.get_quarantined_lines(_ALIKE, line).lines, line)
    if asked.json:
        screen.print_json(found)
        return
    out = Screen()
    file = one_line(from_here(found.file)) if found.file else units.NOTHING
    host = f" on {one_line(found.file_host)}" if found.file_host else ""
    facts = [
        ("File", f"{file}{host}"),
        ("Byte", f"{units.count(found.line_offset)}, {units.size(found.length)} long"),
        ("Reason", one_line(found.reason)),
        ("When", units.moment(found.quarantined_at)),
    ]
    out.print(screen.facts(facts), Text(), Text(safe(found.head)))
    if found.length > len(found.head.encode("utf-8", "replace")):
        out.print(Text("…", "dim"))


@command.command("retry")
@option_host
@asks
def retry_(asked: Asked, host: str | None) -> None:
    """Read the lines again, from their files; another version may understand them, or a file was mended."""
    result = with_store(asked, host, retry)
    if asked.json:
        screen.print_json(dataclasses.asdict(result))
        return
    gone = f", the files of {units.count(result.gone)} are not here any more" if result.gone else ""
    click.echo(
        f"{units.plural(result.settled, 'line')} could be read now,"
        f" {units.count(result.refused)} still cannot be{gone}."
    )


def _short(line: Record) -> str:
    return f"{line.source_id[:_SHORT]}:{line.line_offset}"


def _find(asked: Asked, found: list[Record], wanted: str) -> Record:
    if not found:
        raise ExecutionNotFoundError(
            f"no line in quarantine has the id {wanted!r}; see them with: {asked.hint('quarantine', 'list')}"
        )
    if len(found) > 1:
        raise AmbiguousIdError(
            f"several lines in quarantine have ids that begin with {wanted!r}, give more of it:"
            f" {', '.join(_short(line) for line in found[: _ALIKE - 1])}"
        )
    return found[0]
