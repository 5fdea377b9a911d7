"""Open the database for the commands that look after it."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

import click

from tracklog.analytics.commands import settings
from tracklog.analytics.commands.asked import Asked
from tracklog.analytics.commands.messages import messages
from tracklog.analytics.reader import translated
from tracklog.ingester import migrate
from tracklog.ingester.database import database_url, open_reader
from tracklog.ingester.presence import host_name, noted_paths
from tracklog.ingester.store import Store

T = TypeVar("T")

option_host = click.option("--host", metavar="NAME", help="Name of this machine, if `ingest` was given one.")


def with_store(asked: Asked, host: str | None, work: Callable[[Store], Awaitable[T]], *, make: bool = False) -> T:
    """Do something with the database.

    :param make: Make it if there is none.
    :raises DatabaseUnreachableError: It is away, or there is none.
    :raises SchemaError: Its tables are not those of this version.
    """

    async def run() -> T:
        if not make and database_url(asked.url).get_backend_name() == "sqlite":
            open_reader(asked.url).dispose()  # It complains of a file that is not there.
        store = Store(asked.url, host_name(host or settings.value("host")))
        try:
            with _leaving_nothing_behind():
                if make:
                    await store.prepare()
                async with store.reading() as connection:
                    await connection.run_sync(migrate.check, asked.url)
                return await work(store)
        finally:
            await store.close()

    with messages(), translated(database_url(asked.url)):
        return asyncio.run(run())


@contextlib.contextmanager
def _leaving_nothing_behind() -> Iterator[None]:
    """Leave by an exception when told to end, so that what is half done is undone."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    told: list[int] = []

    def end(number: int) -> None:
        if task is not None and not told:
            told.append(number)
            task.cancel()

    # nohup has one of them ignored.
    numbers = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is signal.SIG_DFL]
    for number in numbers:
        loop.add_signal_handler(number, end, number)
    try:
        yield
    except asyncio.CancelledError:
        if not told:  # It was Ctrl-C.
            raise
        raise click.exceptions.Exit(128 + told[0]) from None
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def paths_of(store: Store, paths: Sequence[str]) -> list[str]:
    """Give the paths that were named, else those that this host's ingesters follow.

    :raises click.UsageError: There are none.
    """
    chosen = list(paths) or await noted_paths(store)
    if not chosen:
        raise click.UsageError(f"no ingester has run on {store.host} into this database; name the log files: PATH...")
    return chosen
