"""Print records for programs: JSON, a JSON object a line, or CSV; and the fields that were asked for."""

import csv
import datetime as dt
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import click

from tracklog.analytics.commands import units
from tracklog.analytics.commands.asked import Format
from tracklog.analytics.commands.text import as_json, one_line, safe


def print_records(
    records: Sequence[Mapping[str, Any]], form: Format, fields: Sequence[str], names: Sequence[str] = ()
) -> None:
    """Print records with raw numbers and times in UTC; in a table, with both as people read them.

    :param fields: Names of what to print of each, in this order, inner ones with dots: ``llm_stats.total_tokens``.
        Without any it is all.
    :param names: The fields there are, for the head of CSV where there are no records.
    :raises click.UsageError: No record has a field that was named.
    """
    if fields:
        records = _chosen(records, fields)
    if form == Format.JSON:
        click.echo(as_json(records, indent=True))
    elif form == Format.JSONL:
        for record in records:
            click.echo(as_json(record))
    elif form == Format.CSV:
        _print_csv(records, fields or _names(records) or names)
    else:
        _print_table(records, fields)


def _chosen(records: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> list[dict[str, Any]]:
    known = _names(records)
    # What is within one differs from record to record, and none of these may have it.
    unknown = [name for name in fields if records and name not in known and name.partition(".")[0] not in known]
    if unknown:
        raise click.UsageError(f"there is no field {unknown[0]!r}; there are {', '.join(known)}")
    return [
        {name: None if (value := _value(record, name)) is _ABSENT else value for name in fields} for record in records
    ]


_ABSENT: Final = object()


def _value(record: Mapping[str, Any], name: str) -> Any:
    if name in record:
        return record[name]
    outer, dot, inner = name.partition(".")
    within = record.get(outer)
    return _value(within, inner) if dot and isinstance(within, Mapping) else _ABSENT


def _names(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Give the names of all fields, in the order they come."""
    return list(dict.fromkeys(name for record in records for name in record))


def _print_csv(records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    if names:
        writer.writerow(names)
    writer.writerows([_cell(record.get(name), safe) for name in names] for record in records)
    click.echo(written.getvalue(), nl=False)


def _print_table(records: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> None:
    # Imported here because programs need no tables.
    from tracklog.analytics.commands.columns import Column
    from tracklog.analytics.commands.screen import Screen

    out = Screen()
    names = fields or _names(records)
    numbers = {
        name for name in names if all(isinstance(record.get(name), (int, float, type(None))) for record in records)
    }
    columns = [Column(one_line(name), right=name in numbers, least=None if name in numbers else 12) for name in names]
    out.print(out.table(columns, ([_read(record.get(name)) for name in names] for record in records)))


def _read(value: Any) -> str:
    """Write a value for people."""
    if isinstance(value, dt.datetime):
        return units.moment(value)
    return _cell(round(value, 3) if isinstance(value, float) else value, one_line)


def _cell(value: Any, clean: Callable[[str], str]) -> str:
    """Write a value on its own: a text as it is, a time without quotes, nothing as nothing, and the rest as JSON."""
    if value is None:
        return ""
    return clean(value if isinstance(value, str) else as_json(value).decode().strip('"'))
