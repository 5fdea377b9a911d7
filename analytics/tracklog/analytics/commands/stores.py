"""Open the database for the commands that look after it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
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
            if make:
                await store.prepare()
            async with store.reading() as connection:
                await connection.run_sync(migrate.check, asked.url)
            return await work(store)
        finally:
            await store.close()

    with messages(), translated(database_url(asked.url)):
        return asyncio.run(run())


async def paths_of(store: Store, paths: Sequence[str]) -> list[str]:
    """Give the paths that were named, else those that this host's ingesters follow.

    :raises click.UsageError: There are none.
    """
    chosen = list(paths) or await noted_paths(store)
    if not chosen:
        raise click.UsageError(f"no ingester has run on {store.host} into this database; name the log files: PATH...")
    return chosen
