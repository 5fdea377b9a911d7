"""Find the log files of a question."""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from tracklog.analytics.commands import settings
from tracklog.analytics.commands.asked import Asked
from tracklog.analytics.commands.known import Known
from tracklog.analytics.commands.text import safe

if TYPE_CHECKING:
    from tracklog.ingester.discover import Discovery


def log_files(asked: Asked, known: Known, paths: Sequence[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Give the log files below some paths, or below those that this host's ingesters follow.

    :raises click.UsageError: No path is named, and none is known.
    :raises SourceNotFoundError: One that is named is not there.
    """
    for found in discovery_of(asked, known, paths).scan():
        yield found.path, found.status


def discovery_of(asked: Asked, known: Known, paths: Sequence[str]) -> "Discovery":
    """Give what scans for the log files below some paths, or below those that this host's ingesters follow.

    :raises click.UsageError: No path is named, and none is known.
    :raises SourceNotFoundError: One that is named is not there.
    """
    from tracklog.ingester.discover import Discovery

    chosen = list(paths) or _followed(known)
    discovery = Discovery(chosen, complain, _database_file(asked))
    if paths:
        discovery.require()
    elif missing := discovery.missing():
        discovery = Discovery([path for path in chosen if path not in missing], complain, _database_file(asked))
    return discovery


def _followed(known: Known) -> list[str]:
    from tracklog.ingester.presence import host_name

    host = host_name(settings.value("host"))
    followed = known.analytics.get_followed_paths(host) if known.analytics is not None else []
    if not followed:
        raise click.UsageError(f"no ingester of {host} is known here; name the log files: PATH...")
    return followed


def _database_file(asked: Asked) -> str | None:
    """Give the SQLite file that is asked, found without the libraries that ask it."""
    url = asked.url
    scheme, separator, rest = url.partition("://")
    if not separator:
        return os.path.realpath(os.path.expanduser(url))
    if not scheme.startswith("sqlite"):
        return None
    return os.path.realpath(os.path.expanduser(rest.removeprefix("/").partition("?")[0]))


def complain(path: str, error: OSError) -> None:
    """Say on stderr what could not be read."""
    click.echo(f"tracklog: {safe(path)}: {error.strerror or error}", err=True)
