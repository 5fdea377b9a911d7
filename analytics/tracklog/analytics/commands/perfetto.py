"""Write time lines as Chrome's trace events, which ui.perfetto.dev opens."""

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Any

from tracklog.analytics.commands.text import safe
from tracklog.analytics.record import Record

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


def trace(waterfalls: Iterable[Record]) -> dict[str, Any]:
    """Give a trace: each execution with all that it called as a process, what ran at the same time in its own track."""
    events: list[dict[str, Any]] = []
    for number, waterfall in enumerate(waterfalls, start=1):
        title = f"{waterfall.agent_name or 'unknown agent'} {waterfall.execution_id}"
        events.append(_named("process_name", number, 0, title))
        tracks = 0
        for track, span in _tracked(waterfall.spans):
            if track >= tracks:
                tracks = track + 1
                events.append(_named("thread_name", number, track, "track" if track else "main"))
            events.append(_event(span, number, track))
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _named(what: str, process: int, track: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": process, "tid": track, "args": {"name": safe(name)}}


def _event(span: Record, process: int, track: int) -> dict[str, Any]:
    name = span.name or "unknown"
    return {
        "ph": "X",
        "name": safe(f"llm {name}" if span.kind == "llm" else name),
        "cat": f"{span.kind},critical" if span.critical else span.kind,
        "ts": _begin(span),
        "dur": round((span.duration_ms or 0.0) * 1000),
        "pid": process,
        "tid": track,
        "args": {
            field: safe(value) if isinstance(value, str) else value
            for field in ("execution_id", "call_id", "status", "ended", "critical", "critical_ms")
            if (value := span[field]) is not None
        },
    }


def _begin(span: Record) -> int:
    began: dt.datetime = span.started_at
    return (began - _EPOCH) // _MICROSECOND


def _tracked(spans: Iterable[Record]) -> Iterator[tuple[int, Record]]:
    """Give spans with tracks; on a track each lies within the one around it, as trace viewers require."""
    timed = [span for span in spans if span.started_at is not None]
    timed.sort(key=lambda span: (span.started_at, -(span.duration_ms or 0.0), span.depth))
    tracks: list[list[int]] = []
    for span in timed:
        begin = _begin(span)
        end = begin + round((span.duration_ms or 0.0) * 1000)
        for track, open_ends in enumerate(tracks):
            while open_ends and open_ends[-1] <= begin:
                open_ends.pop()
            if not open_ends or end <= open_ends[-1]:
                open_ends.append(end)
                yield track, span
                break
        else:
            tracks.append([end])
            yield len(tracks) - 1, span
