"""The command `tail`: the last lines of all logs, and those that come."""

import datetime as dt
import itertools
import operator
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import click
from rich.text import Text

from tracklog.analytics.commands import units
from tracklog.analytics.commands.asked import Asked, asks
from tracklog.analytics.commands.filters import Filter, option_filters
from tracklog.analytics.commands.hits import Hit
from tracklog.analytics.commands.known import Known
from tracklog.analytics.commands.logfiles import complain, discovery_of
from tracklog.analytics.commands.logline import message_of
from tracklog.analytics.commands.screen import Screen
from tracklog.analytics.commands.text import as_json, one_line, safe, shortened
from tracklog.analytics.search.entry import Entry, entry_of
from tracklog.analytics.search.seen import Seen

if TYPE_CHECKING:
    from tracklog.analytics.search.tail import Part

_LINES: Final = 10
_LINES_SINCE: Final = 10_000
"""How many lines are printed where nobody says how many; with --since it is a bound for the memory."""

_PAUSE: Final = 0.1
"""Seconds between two looks at the files."""

_LONGEST_SCAN_SHARE: Final = 20
"""A look takes at most one in so many parts of the time, whatever the number of files."""

_SLACK: Final = 60.0
"""Seconds by which a file may be older than its lines say."""

_LEVELS: Final = ("debug", "info", "warning", "error", "critical")
_COLOURS: Final = (
    *("cyan", "magenta", "green", "yellow", "blue"),
    *("bright_cyan", "bright_magenta", "bright_green", "bright_yellow", "bright_blue"),
)
"""Of executions; red is for errors."""

_REMEMBERED: Final = 1000
"""Executions whose colours are kept."""

_AGENT_WIDTH: Final = 14
_ID_WIDTH: Final = 13
"""Of an id of ours these characters are one millisecond."""

_WIDE: Final = 100
"""Columns of a terminal that has room for the stage too, and for the level as a word."""

_LEVEL_WIDTH: Final = 8
_LEVEL_STYLES: Final = {"warning": "yellow", "error": "red", "critical": "bold red"}

_VALUE: Final = 300
"""Columns of a message, and of each value beside it."""


@dataclass(slots=True)
class Wanted:
    """Which lines are shown."""

    filter: Filter
    level: str | None
    is_meant: Callable[[str], bool] | None
    """Tells whether an id is that of the execution that was asked for."""
    known: Known

    def wants(self, entry: Entry) -> bool:
        """Tell whether a line is wanted."""
        level = entry.row["level"]
        if self.level is not None and level in _LEVELS and _LEVELS.index(level) < _LEVELS.index(self.level):
            return False
        if self.is_meant is not None and not self.is_meant(entry.execution_id or ""):
            return False
        if self.filter.is_empty:
            return True
        record = None
        if self.filter.is_of_executions and entry.execution_id is not None:
            record = self.known.of([entry.execution_id], fresh=True).get(entry.execution_id)
        return self.filter.wants(entry, record)


@click.command("tail")
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "-n", "--lines", "count", type=click.IntRange(0, 100_000), metavar="N", help="So many lines.  [default: 10]"
)
@click.option("--level", type=click.Choice(_LEVELS), help="Only lines of this level and above.")
@click.option("--execution", metavar="ID", help="Only lines of this execution.")
@click.option("--raw", is_flag=True, help="Print lines as they stand in the file.")
@option_filters
@asks
def command(
    asked: Asked,
    paths: tuple[str, ...],
    follow: bool,
    count: int | None,
    level: str | None,
    execution: str | None,
    raw: bool,
    wanted: Filter,
) -> None:
    """Print the last log lines of all agents, and with -f those that come.

    Looked into are the log files below PATH, or below what the ingesters of this host follow. Lines of one execution
    have one colour. The database is not needed but for --status, and for what a line does not say itself.
    """
    from tracklog.analytics.search.tail import Follower

    if raw and asked.json:
        raise click.UsageError("choose one of --raw and --json")
    if count is None:
        count = _LINES_SINCE if wanted.since is not None else _LINES
    with Known(asked, needed=wanted.status is not None) as known:
        chosen = Wanted(wanted, level, _meant(asked, known, execution, follow=follow), known)
        show = _Shown(Screen(), asked, raw)
        follower = Follower(discovery_of(asked, known, paths).scan, complain)
        parts = follower.start()
        seen = _seen(parts) if follow else Seen()
        for path, entry in _last(parts, chosen, count):
            seen.begin_behind(entry)
            show(path, entry)
        while follow:
            for path, line in follower.new_lines():
                entry = entry_of(line)
                if seen.is_new(entry) and chosen.wants(entry):
                    show(path, entry)
            sys.stdout.flush()
            time.sleep(max(_PAUSE, follower.scan_seconds * _LONGEST_SCAN_SHARE))


def _seen(parts: "list[Part]") -> Seen:
    """Give what is there already: the last line of a file tells how far its writer had come."""
    from tracklog.analytics.search.tail import backwards

    seen = Seen()
    for part in parts:
        if part.is_compressed:
            continue  # It would have to be read whole.
        try:
            for line in itertools.islice(backwards(part), 1):
                seen.begin_behind(entry_of(line))
        except OSError as error:
            complain(part.path, error)
    return seen


def _meant(asked: Asked, known: Known, execution: str | None, *, follow: bool) -> Callable[[str], bool] | None:
    """Give what tells the id that is meant; one that the database does not know may be in the files, or still come.

    :raises AmbiguousIdError: Several are.
    """
    if execution is None:
        return None
    begins = operator.methodcaller("startswith", execution)
    if known.analytics is None:
        return begins
    # Imported here, as all that is of the database; it has been asked now.
    from tracklog.analytics.errors import ExecutionNotFoundError

    try:
        return asked.resolve(known.analytics, execution).__eq__
    except ExecutionNotFoundError as error:
        if execution.startswith("@"):
            raise
        waits = "; going on until there is one" if follow else ""
        click.echo(f"tracklog: {safe(str(error))}{waits}", err=True)
        return begins


def _last(parts: "list[Part]", chosen: Wanted, count: int) -> Iterator[tuple[str, Entry]]:
    """Give the last lines of all files that are wanted, in the order of their times."""
    from tracklog.analytics.search.tail import backwards

    found: list[tuple[dt.datetime, int, str, Entry]] = []
    for part in parts if count else ():
        if len(found) >= count and part.written_at < found[0][0].timestamp() - _SLACK:
            break  # What is older is only in older files.
        try:
            found += _last_of(part, backwards(part), chosen, count)
        except OSError as error:
            complain(part.path, error)
        found = sorted(found, key=lambda one: one[:2])[-count:]
    return ((path, entry) for _, _, path, entry in found)


def _last_of(
    part: "Part", lines: Iterator[bytes], chosen: Wanted, count: int
) -> Iterator[tuple[dt.datetime, int, str, Entry]]:
    later = dt.datetime.fromtimestamp(part.written_at, dt.UTC)
    since = chosen.filter.since
    number = 0
    for place, line in enumerate(lines):
        entry = entry_of(line)
        later = entry.row["timestamp"] or later  # A line without a time stands where it stands.
        if number >= count or (since is not None and later < since):
            return
        if chosen.wants(entry):
            number += 1
            yield later, -place, part.path, entry


@dataclass(slots=True)
class _Shown:
    """Prints lines."""

    out: Screen
    asked: Asked
    raw: bool
    _colours: dict[str, str] = field(default_factory=dict)

    def __call__(self, path: str, entry: Entry) -> None:
        """Print one."""
        if self.asked.json:
            click.echo(as_json(Hit(entry, None, path).as_answer()))
        elif self.raw:
            click.echo(safe(entry.text) if self.out.is_terminal else entry.text)
        elif self.out.is_terminal:
            text = self._told(entry)
            text.truncate(max(20, self.out.width), overflow="ellipsis")
            self.out.print(text)
        else:
            click.echo(self._told(entry).plain)

    def _colour(self, execution_id: str | None) -> str:
        """Give an execution's colour: the next one to each that is new, so that those side by side differ."""
        if execution_id is None:
            return "dim"
        if len(self._colours) > _REMEMBERED:
            self._colours.clear()
        return self._colours.setdefault(execution_id, _COLOURS[len(self._colours) % len(_COLOURS)])

    def _told(self, entry: Entry) -> Text:
        row, one = entry.row, entry.execution_id
        colour = self._colour(one)
        time = row["timestamp"]
        if self.out.is_terminal:
            clock = f"{time.astimezone():%H:%M:%S.%f}"[:-3] if time else units.NOTHING
            text = Text().append("┃ ", colour).append(clock, "dim")
            level = one_line(row["level"], _LEVEL_WIDTH)
            told = f"{level:{_LEVEL_WIDTH}}" if self.out.width >= _WIDE else f"{level[:1].upper():1}"
            text.append(f"  {told}", _LEVEL_STYLES.get(level, "dim"))
            agent = shortened(one_line(entry.stated("agent_name")), _AGENT_WIDTH)
            text.append(f"  {agent:{_AGENT_WIDTH}}  ").append(f"{safe(one or '')[:_ID_WIDTH]:{_ID_WIDTH}}", colour)
        else:
            text = Text(f"{units.moment(time)}  {one_line(row['level']) or units.NOTHING:8}")
            text.append(f"  {one_line(entry.stated('agent_name')) or units.NOTHING}  {safe(one or units.NOTHING)}")
        if row["stage"] and (not self.out.is_terminal or self.out.width >= _WIDE):
            text.append(f"  {one_line(row['stage'], 24)}", "cyan")
        return text.append("  ").append_text(message_of(row, _VALUE if self.out.is_terminal else None))
