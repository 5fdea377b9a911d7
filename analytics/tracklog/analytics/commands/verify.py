"""The command `verify`: whether the database says what the files say."""

import dataclasses

import click

from tracklog.analytics.commands import units
from tracklog.analytics.commands.asked import Asked, asks
from tracklog.analytics.commands.exits import Exit
from tracklog.analytics.commands.progress import reading
from tracklog.analytics.commands.screen import print_json
from tracklog.analytics.commands.stores import option_host, paths_of, with_store
from tracklog.analytics.commands.text import safe
from tracklog.ingester.store import Store
from tracklog.ingester.verify import Verification, verify


@click.command("verify")
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@option_host
@asks
@click.pass_context
def command(context: click.Context, asked: Asked, paths: tuple[str, ...], host: str | None) -> None:
    """Compare the log files with the database, and print the first difference.

    All files below PATH, or below what the ingesters of this host follow, are read anew; agents and the ingester may go
    on meanwhile. Ends with 4 if there is a difference, or a file that cannot be read.
    """
    with reading() as progress:

        async def compare(store: Store) -> Verification:
            return await verify(store, await paths_of(store, paths), progress)

        result = with_store(asked, host, compare)
    if asked.json:
        print_json(dataclasses.asdict(result))
    elif result.difference is not None:
        click.echo(safe(result.difference))
        click.echo(f"→ {asked.hint('rebuild', *paths)}", err=True)
    else:
        click.echo(_sentence(result))
    if result.difference is not None or result.unreadable:
        context.exit(Exit.UNTRUE)


def _sentence(result: Verification) -> str:
    parts = [
        f"{units.count(result.unreadable)} not readable" if result.unreadable else "",
        f"{units.plural(result.unread, 'line')} not read yet" if result.unread else "",
        f"{units.plural(result.pruned, 'execution')} pruned" if result.pruned else "",
        f"{units.plural(result.elsewhere, 'execution')} of other files too, compared in part"
        if result.elsewhere
        else "",
    ]
    more = f" ({', '.join(part for part in parts if part)})" if any(parts) else ""
    return (
        f"No difference: {units.plural(result.lines, 'line')} of {units.plural(result.executions, 'execution')}"
        f" in {units.plural(result.files, 'file')}{more}."
    )
