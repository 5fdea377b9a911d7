"""A line at the foot of a terminal that is written over, below what scrolls by."""

import os
from types import TracebackType
from typing import Self

import click
from rich.text import Text

from tracklog.analytics.commands.screen import Screen


class Footer:
    """The line; where no terminal is, or none that can, there is nothing."""

    def __init__(self, out: Screen) -> None:
        self._out = out
        self._is_able = out.is_terminal and os.environ.get("TERM", "dumb") != "dumb"
        self._is_shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.clear()

    def show(self, text: Text) -> None:
        """Show a text in place of the one before."""
        if self._is_able:
            text.truncate(max(1, self._out.width - 1), overflow="ellipsis")
            click.echo(f"\r\x1b[K{self._out.styled(text)}", nl=False, color=True)
            self._is_shown = True

    def clear(self) -> None:
        """Take it away, before something is printed."""
        if self._is_shown:
            click.echo("\r\x1b[K", nl=False, color=True)
            self._is_shown = False
