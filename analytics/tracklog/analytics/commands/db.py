"""The commands `db upgrade` and `db current`: the database's schema."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import click

from tracklog.analytics.commands.asked import Asked, asks
from tracklog.analytics.commands.screen import print_json
from tracklog.analytics.reader import translated
from tracklog.ingester import migrate
from tracklog.ingester.database import database_url, shown

T = TypeVar("T")


@click.group("db")
def command() -> None:
    """Look after the database's schema."""


@command.command("upgrade")
@asks
def upgrade(asked: Asked) -> None:
    """Bring the database to the schema of this version; an empty one gets it whole."""
    before = _run(asked, _current_or_none)
    _run(asked, migrate.upgrade)
    name = shown(database_url(asked.url))
    if asked.json:
        print_json({"database": name, "before": before, "version": migrate.HEAD})
    elif before == migrate.HEAD:
        click.echo(f"{name} has schema {migrate.HEAD}, the newest; nothing was to be done.")
    else:
        click.echo(f"{name} has schema {migrate.HEAD} now" + (f", it had {before}." if before else "."))


@command.command("current")
@asks
def current(asked: Asked) -> None:
    """Show which schema the database has, and which one this version works on."""
    version = _run(asked, migrate.current)
    name = shown(database_url(asked.url))
    if asked.json:
        print_json({"database": name, "version": version, "newest": migrate.HEAD})
    elif version is not None and version > migrate.HEAD:
        click.echo(f"{name} has schema {version}; this version works on {migrate.HEAD}. Install a newer tracklog.")
    elif version == migrate.HEAD:
        click.echo(f"{name} has schema {version}, the newest.")
    else:
        has = f"has schema {version}" if version else "has no tables of tracklog"
        click.echo(f"{name} {has}; this version works on {migrate.HEAD}. Run: {asked.hint('db', 'upgrade')}")


async def _current_or_none(url: str) -> str | None:
    from tracklog.ingester.errors import DatabaseUnreachableError

    try:
        return await migrate.current(url)
    except DatabaseUnreachableError:
        if database_url(url).get_backend_name() == "sqlite":
            return None  # The file is about to be made.
        raise


def _run(asked: Asked, work: Callable[[str], Coroutine[Any, Any, T]]) -> T:
    with translated(database_url(asked.url)):
        return asyncio.run(work(asked.url))
