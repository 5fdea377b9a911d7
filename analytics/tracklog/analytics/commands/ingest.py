"""The command `ingest`: follow log files into the database, or read once what is there."""

import asyncio
import datetime as dt
import signal
from typing import Any

import click

from tracklog.analytics.commands import settings, units
from tracklog.analytics.commands.asked import Asked, asks
from tracklog.analytics.commands.duration import Duration
from tracklog.analytics.commands.exits import Exit
from tracklog.analytics.commands.messages import messages
from tracklog.analytics.commands.progress import reading
from tracklog.analytics.commands.screen import print_json
from tracklog.ingester.database import database_url, shown
from tracklog.ingester.ingester import Ingester, Progress, Summary

_GRACE_SECONDS = 4
"""How long the batch at hand may take to end after a signal; then it is rolled back, and read again next time."""


@click.command("ingest")
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@click.option("--once", is_flag=True, help="Read what is there, and end.")
@click.option(
    "--stale-after",
    type=Duration(),
    default=lambda: settings.value("stale_after"),
    show_default="1h",
    metavar="TIME",
    help="Take an execution for timed out after so much silence, where its process cannot be asked.",
)
@click.option(
    "--host", metavar="NAME", help="Name of this machine; for containers that are replaced on the same files."
)
@click.option(
    "--remove-after",
    type=Duration(),
    metavar="TIME",
    help="Delete log files that were closed so long ago and are in the database; without it nothing is deleted.",
)
@asks
@click.pass_context
def command(
    context: click.Context,
    asked: Asked,
    paths: tuple[str, ...],
    once: bool,
    stale_after: float,
    remove_after: float | None,
    host: str | None,
) -> None:
    """Follow log files into the database: files, and all logs in directories.

    Runs until SIGTERM or Ctrl-C, and then ends with nothing half done. A database that is away is waited for; the files
    keep the lines. Without PATH those that the settings name.
    """
    paths = paths or settings.value("paths")
    if not paths:
        raise click.UsageError("name the log files or their directories: PATH...; or set paths in tracklog.toml")
    with messages():
        ingester = Ingester(
            paths,
            asked.url,
            host=host or settings.value("host"),
            stale_after=dt.timedelta(milliseconds=stale_after),
            remove_after=dt.timedelta(milliseconds=remove_after) if remove_after is not None else None,
        )
        if once:
            summary = _once(ingester)
        else:
            click.echo(f"tracklog: following {', '.join(paths)} into {shown(database_url(asked.url))}", err=True)
            summary = asyncio.run(_follow(ingester))
    if asked.json:
        print_json(_document(summary))
    else:
        click.echo(_sentence(summary, counted=once))
        if once and summary.executions:
            click.echo(f"→ {asked.hint('list')}", err=True)
        if summary.quarantined:
            click.echo(f"→ {asked.hint('quarantine', 'list')}", err=True)
    if once and summary.unreadable:
        context.exit(Exit.FAILED)


def _once(ingester: Ingester) -> Summary:
    with reading() as progress:
        return asyncio.run(_read(ingester, progress))


async def _read(ingester: Ingester, progress: Progress | None) -> Summary:
    async with ingester:
        return await ingester.run_once(progress)


async def _follow(ingester: Ingester) -> Summary:
    """Run until a signal; a database that does not answer does not hold up the end."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with ingester:
        work = asyncio.create_task(ingester.run(stop))

        def end() -> None:
            stop.set()
            loop.call_later(_GRACE_SECONDS, work.cancel)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end)
        try:
            return await work
        except asyncio.CancelledError:
            return ingester.summary


def _sentence(summary: Summary, *, counted: bool) -> str:
    parts = [
        units.plural(summary.executions, "new execution") if counted else "",
        f"{units.count(summary.passed)} without an execution" if summary.passed else "",
        f"{units.count(summary.quarantined)} quarantined" if summary.quarantined else "",
        f"{units.plural(summary.crashed, 'execution')} crashed" if summary.crashed else "",
        f"{units.plural(summary.timed_out, 'execution')} silent too long" if summary.timed_out else "",
        f"{units.plural(summary.unended, 'file')} without an end of the last line" if summary.unended else "",
        f"{units.count(summary.unreadable)} not readable" if summary.unreadable else "",
    ]
    read = (
        f"Read {units.plural(summary.lines, 'line')} ({units.size(summary.bytes_read)}) of"
        f" {units.plural(summary.files, 'file')} in {units.duration(summary.seconds * 1000)}"
    )
    return f"{read}: {', '.join(part for part in parts if part)}." if any(parts) else f"{read}."


def _document(summary: Summary) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(summary)
