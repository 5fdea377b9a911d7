"""The command `export`: executions as files, for other programs and for colleagues."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from tracklog.analytics.commands import units
from tracklog.analytics.commands.asked import Asked, asks
from tracklog.analytics.commands.called import with_called
from tracklog.analytics.commands.page import page
from tracklog.analytics.commands.perfetto import trace
from tracklog.analytics.commands.text import as_json
from tracklog.analytics.errors import ExecutionNotFoundError
from tracklog.analytics.record import Record

if TYPE_CHECKING:
    from tracklog.analytics.faces import ExecutionAnalytics

_FORMATS: Final = {".html": "html", ".htm": "html", ".json": "perfetto", ".jsonl": "jsonl"}
"""What a file is written in, by the end of its name."""


@click.command("export")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "perfetto", "html"]),
    help="An execution a line; a trace for ui.perfetto.dev; one page. Without it as FILE ends, else jsonl.",
)
@click.option(
    "-o", "--output", "path", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write to FILE."
)
@click.option("--alone", is_flag=True, help="Without the executions that they called.")
@asks
def command(asked: Asked, ids: tuple[str, ...], form: str | None, path: Path | None, alone: bool) -> None:
    """Export executions, with all that they called: to other programs, or as a page to be handed to a colleague.

    The page is one file that loads nothing and runs nothing. It holds what was logged: look at it before it leaves the
    house.
    """
    form = form or _FORMATS.get(path.suffix.lower() if path is not None else "", "jsonl")
    with asked.analytics() as analytics:
        wanted = list(dict.fromkeys(asked.resolve(analytics, one) for one in ids))
        chunks = _written(analytics, wanted, form, alone=alone)
        if path is None:
            for chunk in chunks:
                click.echo(chunk, nl=False)
            return
        size = _write(path, chunks)
    click.echo(f"Wrote {form} to {path} ({units.size(size)}).")


def _write(path: Path, chunks: Iterator[bytes]) -> int:
    first = next(chunks)  # So that what stood in the file is not lost for a question that cannot be answered.
    try:
        with path.open("wb") as file:
            return sum(file.write(chunk) for chunk in itertools.chain([first], chunks))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # Of a full disk it has no name.


def _written(analytics: "ExecutionAnalytics", ids: list[str], form: str, *, alone: bool) -> Iterator[bytes]:
    """Write executions in a format, piece by piece."""
    if form == "jsonl":
        for whole in _wholes(analytics, with_called(analytics, ids, alone=alone)):
            yield as_json(whole) + b"\n"
        return
    waterfalls = [_waterfall(analytics, one, alone=alone) for one in ids]
    if form == "perfetto":
        yield as_json(trace(waterfalls)) + b"\n"
    else:
        told = dict.fromkeys(span.execution_id for one in waterfalls for span in one.spans)
        yield page(waterfalls, _wholes(analytics, list(told))).encode()


def _waterfall(analytics: "ExecutionAnalytics", execution_id: str, *, alone: bool) -> Record:
    waterfall = analytics.get_waterfall(execution_id)
    if waterfall is None:
        raise ExecutionNotFoundError(f"the execution {execution_id} was removed just now")
    if alone:
        waterfall["spans"] = [span for span in waterfall.spans if span.execution_id == execution_id]
    return waterfall


def _wholes(analytics: "ExecutionAnalytics", ids: list[str]) -> Iterator[Record]:
    """Give the executions whole; those of which no line came are left out."""
    for one in ids:
        whole = analytics.get_execution_with_logs(one)
        if whole is not None:
            yield whole
