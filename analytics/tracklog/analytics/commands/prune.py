"""The command `prune`: old executions removed from the database for good."""

import datetime as dt

import click

from tracklog.analytics.commands import units
from tracklog.analytics.commands.asked import Asked, asks
from tracklog.analytics.commands.duration import Duration
from tracklog.analytics.commands.screen import print_json
from tracklog.analytics.commands.stores import with_store
from tracklog.ingester import rollup
from tracklog.ingester.prune import prune
from tracklog.ingester.store import Store


@click.command("prune")
@click.option(
    "--older-than", type=Duration(), required=True, metavar="TIME", help="Since the last line, such as 30d or 12h."
)
@asks
def command(asked: Asked, older_than: float) -> None:
    """Remove executions whose last line is old, with all that belongs to them.

    They do not come back when their log files are read again. No log file is touched. Lines without a time are as old
    as the last reading of their file.
    """
    before = dt.datetime.now(dt.UTC) - dt.timedelta(milliseconds=older_than)

    async def remove(store: Store) -> int:
        removed = 0
        while step := await prune(store, before):
            removed += step
        while await rollup.roll_up(store):
            pass
        return removed

    removed = with_store(asked, None, remove)
    if asked.json:
        print_json({"before": before, "executions": removed})
    else:
        click.echo(f"Removed {units.plural(removed, 'execution')} last heard of before {units.moment(before)}.")
