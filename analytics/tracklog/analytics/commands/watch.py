"""The command `watch`: one execution, until it ends."""

import datetime as dt
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import click
from rich.text import Text

from tracklog.analytics.answers.calls import is_going_on
from tracklog.analytics.answers.endings import error_of
from tracklog.analytics.commands import screen, units
from tracklog.analytics.commands.asked import Asked, asks
from tracklog.analytics.commands.called import with_called
from tracklog.analytics.commands.duration import Duration
from tracklog.analytics.commands.exits import Exit
from tracklog.analytics.commands.footer import Footer
from tracklog.analytics.commands.logline import message_of
from tracklog.analytics.commands.screen import Screen
from tracklog.analytics.commands.text import as_json, one_line, safe
from tracklog.analytics.errors import ExecutionNotFoundError
from tracklog.analytics.record import Record
from tracklog.ingester.errors import DatabaseError, DatabaseRefusedError, DatabaseUnreachableError, SchemaError
from tracklog.processors.states import ExecutionStatus

if TYPE_CHECKING:
    from tracklog.analytics.faces import ExecutionAnalytics

_SHORTEST, _LONGEST = 0.2, 1.0
"""Seconds between two looks: soon after something came, and when nothing has come for a while."""

_VALUE: Final = 300
"""Columns of a message, and of each value beside it."""

_WELL: Final = (ExecutionStatus.SUCCESS, ExecutionStatus.SKIPPED)


_TO_COME: Final = (ExecutionNotFoundError, DatabaseUnreachableError, SchemaError)


class _TooLongError(Exception):
    """It has not ended in the time that was given."""


@click.command("watch")
@click.argument("id")
@click.option("--tree", is_flag=True, help="With the lines of all that it called.")
@click.option("--wait", is_flag=True, help="Wait for an execution that is not in the database yet.")
@click.option("--timeout", type=Duration(), metavar="TIME", help="Give up after so long: 30s, 5min.")
@asks
def command(asked: Asked, id: str, tree: bool, wait: bool, timeout: float | None) -> None:  # noqa: A002 -- the name is what the help shows.
    """Follow the execution ID until it ends, line by line as they come into the database.

    Exit code 0 when it ended well or was skipped; 1 when it failed, timed out or crashed, or did not end in time.
    With --json each line is an object, and the last one is the execution.
    """
    until = time.monotonic() + timeout / 1000 if timeout is not None else None
    out = Screen()
    try:
        with asked.analytics() as analytics, Footer(out) as footer:
            execution_id = _resolved(asked, analytics, id, footer, until, wait=wait)
            record = _followed(asked, analytics, execution_id, out, footer, until, tree=tree)
    except _TooLongError:
        click.echo(f"tracklog: {safe(id)} has not ended after {units.duration(timeout)}", err=True)
        raise click.exceptions.Exit(Exit.FAILED) from None
    if asked.json:
        click.echo(as_json({"execution": record}))
    else:
        _print_end(asked, out, record)
    raise click.exceptions.Exit(Exit.DONE if record.status in _WELL else Exit.FAILED)


def _resolved(
    asked: Asked, analytics: "ExecutionAnalytics", prefix: str, footer: Footer, until: float | None, *, wait: bool
) -> str:
    for _ in _Looks(until):
        try:
            return asked.resolve(analytics, prefix)
        except (ExecutionNotFoundError, DatabaseError) as error:
            # An ingester that starts makes the database and its tables, but of what lets nobody in.
            if not wait or not isinstance(error, _TO_COME) or isinstance(error, DatabaseRefusedError):
                raise
            footer.show(Text(f"waiting for {safe(prefix)}", "dim"))
    raise _TooLongError


def _followed(
    asked: Asked,
    analytics: "ExecutionAnalytics",
    execution_id: str,
    out: Screen,
    footer: Footer,
    until: float | None,
    *,
    tree: bool,
) -> Record:
    """Print what comes until it ends, and give the record."""
    seen: set[tuple[str, int]] = set()
    is_away = False
    looks = _Looks(until)
    for _ in looks:
        try:
            # Asked first: lines that are looked for after the end are all there.
            record = analytics.get_execution(execution_id)
            rows = analytics.get_log_lines(with_called(analytics, [execution_id], alone=not tree))
            rows = [row for row in rows if (row["writer"], row["seq"]) not in seen]
            records = analytics.get_executions(sorted({row["execution_id"] for row in rows})) if tree else {}
        except DatabaseError as error:
            if not is_away:
                footer.clear()
                click.echo(f"tracklog: {safe(str(error))}; going on when it is back", err=True)
            is_away = True
            continue
        is_away = False
        if record is None:
            raise ExecutionNotFoundError(f"the execution {execution_id} was removed just now")
        if rows:
            footer.clear()
            looks.soon()
        for row in rows:
            seen.add((row["writer"], row["seq"]))
            _print_line(asked, out, row, records.get(row["execution_id"]))
        sys.stdout.flush()
        if not is_going_on(record.status):
            return record
        footer.show(_state(record))
    raise _TooLongError


def _print_line(asked: Asked, out: Screen, row: Record, record: Record | None) -> None:
    if asked.json:
        click.echo(as_json(row))
        return
    time = row["timestamp"]
    text = Text(f"{time.astimezone():%H:%M:%S.%f}"[:-3] if time is not None else units.NOTHING, "dim")
    text = Text().append_text(text)
    if record is not None:
        text.append("  ").append_text(screen.name(record["agent_name"], record["method"]))
    if row["stage"]:
        text.append(f"  {one_line(row['stage'], 24)}", "cyan")
    text.append("  ").append_text(message_of(row, _VALUE))
    if out.is_terminal:
        text.truncate(max(20, out.width), overflow="ellipsis")
    out.print(text)


def _state(record: Record) -> Text:
    text = screen.name(record["agent_name"], record["method"]).append("  ")
    text.append_text(screen.status(record["status"]))
    if record["current_stage"]:
        text.append(f"  {one_line(record['current_stage'], 24)}", "cyan")
    if record["created_at"] is not None:
        age = dt.datetime.now(dt.UTC) - record["created_at"]
        text.append(f"  {units.duration(max(0.0, age.total_seconds() * 1000))}", "dim")
    return text


def _print_end(asked: Asked, out: Screen, record: Record) -> None:
    text = screen.name(record["agent_name"], record["method"]).append("  ")
    text.append_text(screen.status(record["status"])).append(f"  {units.duration(record['duration_ms'])}")
    if note := error_of(record) or one_line(record["relevance_reasoning"] if record.status == "skipped" else None):
        text.append(f"  {one_line(note)}")
    out.print(text)
    out.hint(asked.hint("show" if record.status in _WELL else "timeline", record["execution_id"]))


class _Looks(Iterator[None]):
    """When to look: soon after something has come, rarely when nothing comes, and not longer than until some time."""

    def __init__(self, until: float | None) -> None:
        self._until = until
        self._wait = 0.0

    def soon(self) -> None:
        """Look soon again, as something has come."""
        self._wait = _SHORTEST

    def __next__(self) -> None:
        now = time.monotonic()
        if self._until is not None and now >= self._until:
            raise StopIteration
        time.sleep(self._wait if self._until is None else min(self._wait, self._until - now))
        self._wait = min(_LONGEST, max(_SHORTEST, self._wait * 1.5))
