"""Print answers: in colours and to the width of a terminal, plain and whole into a pipe."""

import os
import shutil
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import click
from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions, RenderableType
from rich.table import Table
from rich.text import Text

from tracklog.analytics.commands.columns import GAP, Column, fit
from tracklog.analytics.commands.text import as_json, one_line, safe
from tracklog.analytics.commands.units import NOTHING
from tracklog.processors.states import ExecutionStatus

_STYLES: Final = {
    ExecutionStatus.SUCCESS: "green",
    ExecutionStatus.FAILED: "red",
    ExecutionStatus.TIMEOUT: "yellow",
    ExecutionStatus.CRASHED: "bold red",
    ExecutionStatus.SKIPPED: "cyan",
    ExecutionStatus.PENDING: "dim",
}

_ENDLESS: Final = 100_000
"""The width of a pipe."""

_NOTE_WIDTH: Final = 200
"""Columns of a note in a pipe, where nothing else bounds it."""


class Screen:
    """Where answers are printed."""

    def __init__(self) -> None:
        # Rich takes NO_COLOR by its word, and writes other escapes all the same; who sets it wants none.
        colours: Final = None if os.environ.get("NO_COLOR") else "auto"
        self._console = Console(highlight=False, markup=False, emoji=False, color_system=colours)
        if self._console.is_dumb_terminal:  # It may be as wide as any, but Rich takes it for 80 columns.
            self._console.size = ConsoleDimensions(*shutil.get_terminal_size())

    @property
    def is_terminal(self) -> bool:
        """Whether people read along."""
        return self._console.is_terminal

    @property
    def width(self) -> int:
        """Columns of the terminal, or those that were asked for, as `watch` does; a pipe has room for all."""
        return self._console.width if self.is_terminal or "COLUMNS" in os.environ else _ENDLESS

    def print(self, *parts: RenderableType) -> None:
        """Print parts below each other."""
        for part in parts:
            click.echo(self._rendered(part), color=self.is_terminal)

    def styled(self, text: Text) -> str:
        """Give a text with the terminal's colours in it, on one line."""
        return self._rendered(text, soft_wrap=True)

    def table(self, columns: Sequence[Column], rows: Iterable[Sequence[str | Text]]) -> Table:
        """Lay out a table, fitted to this screen."""
        cells = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
        natural = [
            max(cell_len(column.title), *(row[place].cell_len for row in cells), 0)
            for place, column in enumerate(columns)
        ]
        if not self.is_terminal:  # Nothing but a file's reader bounds a note there.
            natural = [
                width if column.least is None else min(width, _NOTE_WIDTH)
                for column, width in zip(columns, natural, strict=True)
            ]
        widths = fit(columns, natural, self.width)
        table = Table(
            box=None,
            pad_edge=False,
            padding=(0, GAP, 0, 0),
            header_style="bold",
            width=sum(widths.values()) + GAP * (len(widths) - 1),
        )
        for place, width in widths.items():
            column = columns[place]
            table.add_column(
                column.title,
                justify="right" if column.right else "left",
                overflow="fold" if column.wrap else "ellipsis",
                no_wrap=not column.wrap,
                width=width,
            )
        for row in cells:
            table.add_row(*(row[place] for place in widths))
        return table

    def hint(self, text: str) -> None:
        """Suggest a command, to people only."""
        if self.is_terminal:
            # Left to the terminal to wrap, so that it can be copied whole.
            click.echo(self._rendered(Text(f"\n→ {safe(text)}", style="dim"), soft_wrap=True), color=True)

    def _rendered(self, part: RenderableType, *, soft_wrap: bool = False) -> str:
        console = self._console
        if self.width == _ENDLESS:
            options = console.options.update(width=_ENDLESS, max_width=_ENDLESS)
            console.width = max(1, console.measure(part, options=options).maximum)
        with console.capture() as captured:
            # A table that could not be fitted is left to the terminal to wrap; cropped, it would lose its numbers.
            console.print(part, crop=False, soft_wrap=soft_wrap)
        return "\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n"))


def print_json(answer: Any) -> None:
    """Print an answer as one JSON document."""
    click.echo(as_json(answer, indent=True))


def changed(line: str) -> Text:
    """Give a line of a unified diff in its colour."""
    style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
    return Text(line, "bold" if line.startswith(("---", "+++")) else style)


def status(value: str | None) -> Text:
    """Give a status in its colour."""
    style = next((style for name, style in _STYLES.items() if name == value), "blue")
    return Text(safe(value or NOTHING), style=style)


def name(agent: str | None, method: str | None = None) -> Text:
    """Give an agent's name, and its method's."""
    text = Text(one_line(agent) or NOTHING)
    return text.append(f".{one_line(method)}", style="dim") if method else text


def ids(screen: Screen, shortest: dict[str, str], execution_id: str, style: Literal["cyan", ""] = "cyan") -> Text:
    """Give an id: on a terminal as short as it is unique, in a pipe whole."""
    return Text(safe(shortest.get(execution_id, execution_id) if screen.is_terminal else execution_id), style=style)


def facts(pairs: Iterable[tuple[str, str | Text]]) -> Table:
    """Lay out facts below each other, each with its name; those that are empty are left out."""
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for title, value in pairs:
        if value:
            table.add_row(title, value if isinstance(value, Text) else Text(value))
    return table
