"""Print log lines, each with the execution that it belongs to."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import click
from rich.text import Text

from tracklog.analytics.answers.endings import error_of
from tracklog.analytics.commands import screen, units
from tracklog.analytics.commands.known import Known
from tracklog.analytics.commands.logline import message_of
from tracklog.analytics.commands.screen import Screen
from tracklog.analytics.commands.text import as_json, from_here, one_line, safe
from tracklog.analytics.record import Record
from tracklog.analytics.search.entry import Entry

_AROUND: Final = 60
"""Characters before and after a match that stands in a payload."""

_VALUE: Final = 300
"""Columns of a message, and of each value beside it."""

_PAST_NOTE: Final = 60


@dataclass(frozen=True, slots=True)
class Hit:
    """A line that is shown."""

    entry: Entry
    record: Record | None
    """What the database has of its execution."""
    path: str | None = None
    number: int | None = None
    offset: int | None = None
    is_context: bool = False
    """Whether it is only shown because it stands beside one that was found."""

    def as_answer(self) -> dict[str, Any]:
        """Give what a program gets of it."""
        return {
            "file": self.path,
            "line": self.number,
            "offset": self.offset,
            "execution_id": self.entry.execution_id,
            "is_context": self.is_context,
            "log": self.entry.fields if self.entry.fields is not None else self.entry.text,
            "execution": self.record,
        }


@dataclass(slots=True)
class Printer:
    """Prints lines as they come: on a terminal below a heading for each execution, in a pipe each on a line by itself.

    :ivar match: What was looked for, to be marked.
    """

    out: Screen
    known: Known
    as_json: bool = False
    match: re.Pattern[str] | None = None
    colour: Callable[[str | None], str] = field(default=lambda _id: "")
    """Gives the style of an execution's own mark; without it there is none."""
    lines: int = 0
    executions: set[str] = field(default_factory=set)
    _heading: tuple[str | None, str | None] | None = None

    def print(self, hits: Sequence[Hit]) -> None:
        """Print lines."""
        self.lines += sum(not hit.is_context for hit in hits)
        ids = {hit.entry.execution_id for hit in hits if hit.entry.execution_id is not None}
        self.executions |= ids
        if not hits:
            return
        if self.as_json:
            click.echo(b"\n".join(as_json(hit.as_answer()) for hit in hits))
            return
        if not self.out.is_terminal:
            click.echo("\n".join(self._alone(hit).plain for hit in hits))
            return
        shortest = self.known.shortest(ids)
        for hit in hits:
            self._below_heading(hit, shortest)

    def end(self, hint: Callable[[str], str]) -> None:
        """Say to people how many there were, and what to ask next.

        :param hint: Gives the command that shows an execution.
        """
        if self.as_json or not self.out.is_terminal:
            return
        if not self.lines:
            self.out.print(Text("No line matches."))
            return
        lines, executions = units.plural(self.lines, "line"), units.plural(len(self.executions), "execution")
        self.out.print(Text(), Text(f"{lines} of {executions}.", style="dim"))
        if self._heading is not None and self._heading[0] is not None and self.known.analytics is not None:
            one = self._heading[0]
            self.out.hint(hint(self.known.shortest([one]).get(one, one)))

    def _alone(self, hit: Hit) -> Text:
        """Write a hit with all that is to be said of it, for a pipe."""
        text = Text()
        if hit.path is not None:
            text.append(f"{safe(from_here(hit.path))}{f':{hit.number}' if hit.number is not None else ''}: ")
        text.append(units.moment(hit.entry.row["timestamp"])).append("  ")
        if hit.entry.execution_id is not None:
            text.append_text(self._execution(hit)).append(f"  {safe(hit.entry.execution_id)}  ")
        return text.append_text(self._message(hit))

    def _below_heading(self, hit: Hit, shortest: dict[str, str]) -> None:
        one = hit.entry.execution_id
        if self._heading is None or self._heading[0] != one or (one is None and self._heading[1] != hit.path):
            if self._heading is not None:
                self.out.print(Text())
            self._print_heading(hit, shortest)
            self._heading = one, hit.path
        row = hit.entry.row
        text = Text("┃ ", style=self.colour(one)) if self.colour(one) else Text("  ")
        if hit.number is not None:
            text.append(f"{hit.number:>6} ", style="dim" if hit.is_context else "green")
        time = row["timestamp"]
        text.append(f"{time.astimezone():%H:%M:%S.%f}"[:-3] if time is not None else units.NOTHING, style="dim")
        if row["stage"]:
            text.append(f"  {one_line(row['stage'], 24)}", style="cyan")
        text.append("  ").append_text(self._message(hit))
        if hit.is_context:
            text.stylize("dim")
        text.truncate(max(20, self.out.width), overflow="ellipsis")
        self.out.print(text)

    def _print_heading(self, hit: Hit, shortest: dict[str, str]) -> None:
        one = hit.entry.execution_id
        text = Text()
        if one is None:
            text.append("of no execution", style="dim")
        else:
            text.append_text(self._execution(hit)).append("  ")
            text.append_text(screen.ids(self.out, shortest, one))
            if hit.record is not None:
                text.append(f"  {units.moment(hit.record['created_at'])}", style="dim")
                if note := error_of(hit.record):
                    text.append(f"  {one_line(note, _PAST_NOTE)}", style="red")
        if self.colour(one):
            text.stylize(self.colour(one), 0, 1)
        if hit.path is not None:
            text.append(f"  {safe(from_here(hit.path))}", style="magenta")
        text.truncate(max(20, self.out.width), overflow="ellipsis")
        self.out.print(text)

    def _execution(self, hit: Hit) -> Text:
        record = hit.record
        if record is None:
            return screen.name(hit.entry.stated("agent_name"))
        text = screen.name(record["agent_name"], record["method"])
        text.append("  ").append_text(screen.status(record["status"]))
        if record["current_stage"]:
            text.append(f"  {one_line(record['current_stage'], 30)}")
        return text.append(f"  {units.duration(record['duration_ms'])}")

    def _message(self, hit: Hit) -> Text:
        message = message_of(hit.entry.row, _VALUE)
        if self.match is None or hit.is_context:
            return message
        # What the message does not show stands in the line all the same: a payload, a traceback, an id.
        if (place := self.match.search(message.plain)) is None and (found := self.match.search(hit.entry.text)):
            begin, end = max(0, found.start() - _AROUND), min(len(hit.entry.text), found.end() + _AROUND)
            message.append("  … " if begin else "  ", style="dim").append(one_line(hit.entry.text[begin:end]))
            message.append(" …" if end < len(hit.entry.text) else "", style="dim")
        if place is None or place.end() > place.start():
            message.highlight_regex(self.match, "bold red")
        return message
