"""Understand a line that was found, as the ingester would."""

from dataclasses import dataclass
from typing import Any, Final

import orjson

from tracklog.analytics.record import Record
from tracklog.ingester.decode import Event, decode, moment_of
from tracklog.ingester.fold import LOG_COLUMNS, fold
from tracklog.ingester.read import MAX_LINE_BYTES
from tracklog.ingester.unwrap import Unwrapper
from tracklog.processors.line import STAMP_KEYS

_SHOWN: Final = frozenset((*STAMP_KEYS, "level", "event", "kind", "logger"))
"""What a log row has a column for, or nobody looks for."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a line says."""

    text: str
    """The line as its program wrote it."""
    row: Record
    """As a log row has it; of a line that is none, its text is the message."""
    fields: dict[str, Any] | None
    """The whole object; None for what is no log line."""

    @property
    def execution_id(self) -> str | None:
        """Give the execution that the line belongs to."""
        found: str | None = self.row["execution_id"]
        return found

    def stated(self, name: str) -> str | None:
        """Give what the line itself says under a key."""
        value = self.fields.get(name) if self.fields is not None else None
        return value if isinstance(value, str) else None


def entry_of(text: bytes, offset: int = 0) -> Entry:
    """Understand a line; whatever it is, it becomes an entry."""
    line = Unwrapper(MAX_LINE_BYTES).unwrap(offset, text)
    # Half of a line that a container's runtime split is shown as it stands.
    event = decode(line.text, offset, time=line.time) if line is not None else None
    shown = (line.text if line is not None else text).decode("utf-8", "backslashreplace").strip("\r\n\x00")
    if not isinstance(event, Event):
        return Entry(shown, Record({**dict.fromkeys(LOG_COLUMNS), "message": shown, "line_offset": offset}), None)
    if event.execution_id is None:
        fields = event.fields
        row = Record(
            {
                **dict.fromkeys(LOG_COLUMNS),
                "timestamp": moment_of(event.time) if event.time is not None else None,
                "level": fields.get("level"),
                "message": fields.get("event"),
                "kind": event.kind,
                "data": {name: value for name, value in fields.items() if name not in _SHOWN},
                "line_offset": offset,
            }
        )
        return Entry(shown, row, fields)
    (values,) = fold([event], "").logs.values()
    row = Record(zip(LOG_COLUMNS, values, strict=True))
    row["timestamp"] = moment_of(row["timestamp"]) if row["timestamp"] is not None else None
    row["data"] = orjson.loads(row["data"]) if row["data"] is not None else None
    return Entry(shown, row, event.fields)
