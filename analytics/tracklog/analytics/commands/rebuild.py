"""The command `rebuild`: the database made anew from the files."""

import dataclasses

import click

from tracklog.analytics.commands import units
from tracklog.analytics.commands.asked import Asked, asks
from tracklog.analytics.commands.exits import Exit
from tracklog.analytics.commands.progress import reading
from tracklog.analytics.commands.screen import print_json
from tracklog.analytics.commands.stores import option_host, paths_of, with_store
from tracklog.ingester.rebuild import Rebuilt, rebuild
from tracklog.ingester.store import Store


@click.command("rebuild")
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@option_host
@asks
@click.pass_context
def command(context: click.Context, asked: Asked, paths: tuple[str, ...], host: str | None) -> None:
    """Make the database anew from the log files, in one transaction.

    All files below PATH, or below what the ingesters of this host follow, are read. Kept are verdicts, what was pruned,
    and what came from files that are gone or cannot be read; agents, the ingester and readers may go on meanwhile. Ends
    with 1 if a file could not be read.
    """
    with reading() as progress:

        async def renew(store: Store) -> Rebuilt:
            return await rebuild(store, await paths_of(store, paths), progress)

        result = with_store(asked, host, renew, make=bool(paths))
    if asked.json:
        print_json(dataclasses.asdict(result))
    else:
        click.echo(_sentence(result))
    if result.unreadable:
        context.exit(Exit.FAILED)


def _sentence(result: Rebuilt) -> str:
    gone = "gone or not readable" if result.unreadable else "gone"
    kept = f"; kept {units.plural(result.kept, 'execution')} of files that are {gone}" if result.kept else ""
    pruned = f"; left {units.plural(result.pruned, 'pruned execution')} out" if result.pruned else ""
    unreadable = f"; {units.count(result.unreadable)} not readable" if result.unreadable else ""
    return (
        f"Made {units.plural(result.executions, 'execution')} anew from {units.plural(result.lines, 'line')} of"
        f" {units.plural(result.files, 'file')}{kept}{pruned}{unreadable}."
    )
