"""The command `doctor`: whether everything that was written is in the database, and what is not and why."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from typing import Final

import click
from rich.table import Table
from rich.text import Text

from tracklog.analytics.commands import settings, units
from tracklog.analytics.commands.asked import Asked, asks
from tracklog.analytics.commands.columns import GAP
from tracklog.analytics.commands.exits import Exit
from tracklog.analytics.commands.logfiles import complain
from tracklog.analytics.commands.screen import Screen, print_json
from tracklog.analytics.commands.stores import option_host, with_store
from tracklog.analytics.commands.text import from_here, one_line
from tracklog.analytics.record import Record
from tracklog.ingester.backlog import Backlog, backlog, wait
from tracklog.ingester.database import database_url, shown
from tracklog.ingester.discover import Discovery
from tracklog.ingester.presence import host_name, noted_paths
from tracklog.ingester.store import Store

_PATIENCE_SECONDS: Final = 3.0
"""How long an ingester that runs is given for what was written before it was asked; it takes tens of milliseconds."""

_NAMED: Final = 5
"""Files, writers and reasons that are named; the numbers are of all."""


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    good: bool
    text: str
    details: tuple[str, ...] = ()


@click.command("doctor")
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@option_host
@asks
@click.pass_context
def command(context: click.Context, asked: Asked, paths: tuple[str, ...], host: str | None) -> None:
    """Say whether everything that was written is in the database, and what is not and why.

    Looks at the files below PATH, or below what the ingesters of this host follow. Ends with 4 if something is missing,
    with 3 if PATH is.
    """
    with asked.analytics() as analytics:
        ingestion = analytics.get_ingestion()
        losses = analytics.get_losses()
        quarantined = analytics.get_quarantined_lines(0)
        here = host_name(host or settings.value("host"))
        following = any(one.host == here and not one.stopped and not one.stale for one in ingestion.hosts)

        async def look(store: Store) -> Backlog | None:
            Discovery(paths, complain).require()
            looked_at = list(paths) or await noted_paths(store)
            if not looked_at:
                return None
            found = await backlog(store, looked_at)
            await wait(store, found, _PATIENCE_SECONDS if following else 0)
            return found

        files = with_store(asked, host, look)
    findings = [
        *_ingesters(ingestion, here),
        _files(files, here, following=following),
        _losses(losses),
        _quarantine(quarantined),
    ]
    good = all(finding.good for finding in findings)
    if asked.json:
        print_json(
            {
                "complete": good,
                "database": shown(database_url(asked.url)),
                "ingestion": ingestion,
                "files": dataclasses.asdict(files) if files is not None else None,
                "losses": losses,
                "quarantine": {"total": quarantined.total, "reasons": quarantined.reasons},
            }
        )
    else:
        _print(asked, findings, good=good)
    if not good:
        context.exit(Exit.UNTRUE)


def _ingesters(ingestion: Record, here: str) -> Iterator[Finding]:
    if not ingestion.hosts:
        yield Finding("Ingester", False, "none has ever worked on this database; run: tracklog ingest PATH")
    ingesters = Counter(host.host for host in ingestion.hosts)
    for host in ingestion.hosts:
        name, looked = one_line(host.host), units.moment(host.looked_at)
        if ingesters[host.host] > 1:
            name += f", {one_line(' '.join(map(from_here, host.paths)))}"
        # Of this host the files themselves are looked at.
        behind = host.bytes_behind if host.host != here else 0
        if host.stopped:
            text = f"{name}: stopped, last looked at {looked}"
        elif host.stale:
            text = f"{name}: has not looked since {looked}; see whether it runs there"
        else:
            text = f"{name}: looked {units.duration(host.age_seconds * 1000)} ago"
        if behind:
            text += f", {units.size(behind)} behind then"
        # What is only behind catches up, as long as somebody is at it.
        stuck = behind > 0 and host.stopped
        yield Finding("Ingester", not (stuck or (host.stale and not host.stopped)), text)


def _files(files: Backlog | None, here: str, *, following: bool) -> Finding:
    if files is None:
        return Finding(
            "Files", True, f"no ingester has run on this host, {one_line(here)}; to look at files, name them: PATH..."
        )
    text = f"{units.plural(files.files, 'file')}, {units.size(files.bytes_total)}"
    details = [f"{one_line(from_here(path))}: {one_line(why)}" for path, why in files.unreadable.items()]
    if files.unread:
        unread = sum(one.bytes for one in files.unread)
        text += f": {units.size(unread)} of {units.plural(len(files.unread), 'file')} not in the database"
        text += ", though an ingester runs" if following else "; run: tracklog ingest PATH"
        details += [f"{one_line(from_here(one.path))}: {units.size(one.bytes)}" for one in files.unread]
    elif files.unreadable:
        text += ", all in the database but what cannot be read"
    else:
        text += ", all in the database"
    if files.unended:
        text += f" ({units.plural(len(files.unended), 'file')} ending within a line, that its writer may still end)"
    return Finding("Files", not (files.unread or files.unreadable), text, _some(details))


def _losses(losses: Record) -> Finding:
    writers = units.plural(losses.writers, "writer")
    if not losses.gaps:
        return Finding("Lines", True, f"none of {writers} is missing")
    details = []
    for gap in losses.gaps:
        ranges = ", ".join(f"{first}" if first == last else f"{first}–{last}" for first, last in gap.missing)
        who = " ".join(filter(None, (one_line(gap.service), f"({one_line(gap.writer)})")))
        where = f" on {one_line(gap.host)}" if gap.host else ""
        dropped = f"; it could not write {units.count(gap.lines_dropped)}" if gap.lines_dropped else ""
        details.append(f"{who}{where}: {units.count(gap.lines_missing)}, seq {ranges}{dropped}")
    text = f"{units.plural(losses.lines_missing, 'line')} of {len(losses.gaps):,} of {writers} missing"
    return Finding("Lines", False, text, _some(details))


def _quarantine(quarantined: Record) -> Finding:
    if not quarantined.total:
        return Finding("Quarantine", True, "empty: every line could be read")
    details = [f"{units.count(number)}: {one_line(reason)}" for reason, number in quarantined.reasons.items()]
    text = f"{units.plural(quarantined.total, 'line')} could not be read; see: tracklog quarantine list"
    return Finding("Quarantine", False, text, _some(details))


def _some(details: list[str]) -> tuple[str, ...]:
    more = (f"and {len(details) - _NAMED:,} more",) if len(details) > _NAMED else ()
    return (*details[:_NAMED], *more)


def _print(asked: Asked, findings: list[Finding], *, good: bool) -> None:
    out = Screen()
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        mark = Text("✓", "green") if finding.good else Text("✗", "bold red")
        table.add_row(mark, finding.subject, Text("\n".join((finding.text, *finding.details))))
    out.print(Text(f"{shown(database_url(asked.url))}", "bold"), table, Text())
    out.print(Text(_VERDICTS[good], "bold green" if good else "bold red"))


_VERDICTS: Final = {
    True: "Everything that was written is in the database.",
    False: "Not everything that was written is in the database.",
}
