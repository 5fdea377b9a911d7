"""Show people how far a long reading is."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Final, Protocol

_BACKLOG_BYTES: Final = 1_000_000
"""Less is read before a bar would be seen."""


class Reading(Protocol):
    """How far it is."""

    @property
    def bytes_read(self) -> int:
        """What is read."""

    @property
    def bytes_total(self) -> int:
        """That, and what is still to be read."""


@contextlib.contextmanager
def reading() -> Iterator[Callable[[Reading], None] | None]:
    """Draw a bar on stderr, if that is a terminal; gives what is to be called now and then."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading", visible=False)

        def show(reading: Reading) -> None:
            bar.update(
                task,
                total=reading.bytes_total,
                completed=reading.bytes_read,
                visible=reading.bytes_total >= _BACKLOG_BYTES,
            )

        yield show
