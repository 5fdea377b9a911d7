"""The command `demo`: let agents work, and show what became of them."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import click

from tracklog.analytics.demo.directory import Directory
from tracklog.analytics.demo.play import play
from tracklog.analytics.demo.tour import show
from tracklog.analytics.faces import ExecutionAnalytics


@click.command("demo")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo"),
    show_default=True,
    metavar="DIR",
    help="Where logs and database are left; what an earlier demo left there is removed.",
)
def command(directory: Path) -> None:
    """Run a room of agents and an ingester for some seconds, then show the answers with the commands that give them.

    The agents are processes of their own that work on a manuscript with a small local model; one fails, one is too
    slow, one is killed. Nothing leaves this machine.
    """
    place = Directory(directory)
    with _ending_children(), place.fresh(), ExecutionAnalytics(str(place.database)) as analytics:
        show(place, analytics, play(place, analytics))


@contextlib.contextmanager
def _ending_children() -> Iterator[None]:
    """Leave by an exception when told to end, so that the processes that were started end too."""

    def leave(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
