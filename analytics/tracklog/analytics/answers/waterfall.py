"""Lay out on one time line what an execution and all that it called did, and what kept it from ending sooner."""

import datetime as dt
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias
from uuid import UUID

from sqlalchemy import func, select

from tracklog.analytics.answers.calls import interaction, is_going_on
from tracklog.analytics.answers.chains import get_execution_call_chain
from tracklog.analytics.answers.executions import SUMMARY, completed
from tracklog.analytics.query import Query, chunks, execution_key
from tracklog.analytics.record import Record
from tracklog.ingester.schema import agent_execution_logs, agent_executions, agent_llm_calls
from tracklog.processors.line import Kind

_logs = agent_execution_logs.c
_calls = agent_llm_calls.c
_executions = agent_executions.c

_CALL: Final = tuple(column for column in _calls if column.name not in ("request", "response"))
"""Payloads are no part of a time line, and may be megabytes."""

_Below: TypeAlias = Callable[[Record], list[Record]]

_SLACK: Final = dt.timedelta(microseconds=100)
"""So much may a stage begin after, or end before, what happens in it: the clock is read for each line anew."""


def get_waterfall(execution_id: str | UUID) -> Query[Record | None]:
    """Give the stages, LLM calls and executions below an execution as spans of one time line; None when it is unknown.

    :return: `execution_id`, `agent_name`, `method`, `status`, `started_at`, `duration_ms`, `critical` and `spans`, in
        the order they began, each below the one it is part of. A span has `kind` (``execution``, ``stage`` or ``llm``),
        `name`, `depth`, `execution_id`, `call_id` (of an LLM call), `status`, `started_at`, `start_ms` (since the first
        began), `duration_ms`, `ended` (false: the duration is what is known of it so far), `critical` (whether it is on
        the critical path: sooner done, all would have ended sooner) and `critical_ms`, its own part of that path.
        Without any time, `started_at` and `start_ms` are None. `critical` names the places in `spans` that took the
        most of the path, the greatest first.
    """
    own = execution_key(execution_id)
    chain = yield from get_execution_call_chain(own)
    above = next((place for place, link in enumerate(chain, start=1) if link["child_execution_id"] == own), 0)
    links = chain[above:]
    ids = list(dict.fromkeys([own, *(link["child_execution_id"] for link in links)]))
    records: dict[str, Record] = {}
    steps: dict[str, list[Record]] = defaultdict(list)
    ends: dict[str, dt.datetime] = {}
    calls: dict[str, list[Record]] = defaultdict(list)
    for some in chunks(ids):
        rows = yield select(*SUMMARY, _executions.started_at).where(_executions.execution_id.in_(some))
        records.update({row["execution_id"]: row for row in (yield from completed(rows))})
        for row in (
            yield (
                select(_logs.execution_id, func.max(_logs.timestamp).label("last"))
                .where(_logs.execution_id.in_(some))
                .group_by(_logs.execution_id)
            )
        ):
            ends[row["execution_id"]] = row["last"]
        for row in (
            yield (
                select(
                    _logs.execution_id, _logs.timestamp, _logs.kind, _logs.stage, _logs.stage_status, _logs.duration_ms
                )
                .where(_logs.execution_id.in_(some), _logs.stage.is_not(None), _logs.timestamp.is_not(None))
                .order_by(_logs.timestamp, _logs.writer, _logs.seq)
            )
        ):
            steps[row["execution_id"]].append(row)
        for row in (
            yield (
                select(*_CALL, _calls.end_key.is_not(None).label("has_ended"))
                .where(_calls.execution_id.in_(some))
                .order_by(func.coalesce(_calls.request_key, _calls.end_key), _calls.call_id)
            )
        ):
            calls[row["execution_id"]].append(row)
    if own not in records:
        return None
    children: dict[str, list[str]] = defaultdict(list)
    agents: dict[str, str | None] = {}
    for link in links:
        children[link["parent_execution_id"]].append(link["child_execution_id"])
        agents[link["child_execution_id"]] = link["child_agent"]
    spans = {
        one: _execution_span(one, records.get(one, Record(agent_name=agents.get(one))), ends.get(one)) for one in ids
    }
    parts = {
        one: [
            *_stages(one, steps[one], spans[one]),
            *(_call_span(one, row, spans[one]) for row in calls[one]),
            *(spans[child] for child in children[one]),
        ]
        for one in ids
    }
    return _laid_out(records[own], spans[own], parts)


def _span(
    kind: str,
    name: str | None,
    execution_id: str,
    status: str | None,
    start: dt.datetime | None,
    end: dt.datetime | None,
    *,
    ended: bool,
    duration_ms: float | None = None,
    call_id: str | None = None,
) -> Record:
    if duration_ms is None and start is not None and end is not None:
        duration_ms = max(0.0, _milliseconds(end - start))
    if start is None and end is not None and duration_ms is not None:
        start = _moved(end, -duration_ms)
    return Record(
        kind=kind,
        name=name,
        depth=0,
        execution_id=execution_id,
        call_id=call_id,
        status=status,
        started_at=start,
        start_ms=None,
        duration_ms=duration_ms,
        ended=ended,
        critical=False,
        critical_ms=0.0,
    )


def _milliseconds(span: dt.timedelta) -> float:
    return span / dt.timedelta(milliseconds=1)


def _execution_span(execution_id: str, record: Record, last: dt.datetime | None) -> Record:
    start = record.get("started_at") or record.get("created_at")
    duration = record.get("duration_ms")
    end = record.get("completed_at") or last
    name = record.get("agent_name")
    method = record.get("method")
    return _span(
        "execution",
        f"{name}.{method}" if name and method else name,
        execution_id,
        record.get("status"),
        start,
        end,
        ended=duration is not None or record.get("completed_at") is not None,
        duration_ms=duration,
    )


def _end(span: Record) -> dt.datetime | None:
    """Give when a span ended, or was heard of last."""
    start: dt.datetime | None = span["started_at"]
    return None if start is None else _moved(start, span["duration_ms"] or 0.0)


def _moved(time: dt.datetime, milliseconds: float) -> dt.datetime:
    """Give the time so much later, or earlier; the time itself where no calendar reaches that far."""
    try:
        return time + dt.timedelta(milliseconds=milliseconds)
    except OverflowError:
        return time


def _stages(execution_id: str, rows: Iterable[Record], execution: Record) -> list[Record]:
    """Make spans of the lines that begin and end stages, and of ordinary lines that name one until another is named."""
    spans: list[Record] = []
    begun: dict[str, list[Record]] = defaultdict(list)
    implied: Record | None = None
    for row in rows:
        time, stage = row["timestamp"], row["stage"]
        match row["kind"]:
            case Kind.STAGE_STARTED:
                span = _span("stage", stage, execution_id, "started", time, None, ended=False)
                begun[stage].append(span)
                spans.append(span)
            case Kind.STAGE_COMPLETED | Kind.STAGE_FAILED:
                status = "completed" if row["kind"] == Kind.STAGE_COMPLETED else "failed"
                if begun[stage]:
                    span = begun[stage].pop()
                    span.update(status=status, ended=True)
                    span["duration_ms"] = row["duration_ms"]
                    if span["duration_ms"] is None:
                        span["duration_ms"] = max(0.0, _milliseconds(time - span["started_at"]))
                else:  # Its beginning was lost.
                    spans.append(
                        _span(
                            "stage", stage, execution_id, status, None, time, ended=True, duration_ms=row["duration_ms"]
                        )
                    )
            case None if not any(begun.values()) and (implied is None or implied["name"] != stage):
                if implied is not None:
                    _close(implied, time)
                implied = _span("stage", stage, execution_id, "logged", time, None, ended=False)
                spans.append(implied)
            case _:
                pass
    until = _end(execution)
    for span in reversed(spans):
        if not span["ended"] and until is not None:
            # Who leaves a stage without saying so has left it when the next one begins.
            _close(span, until)
            span["ended"] = span["status"] == "logged" and execution["ended"]
        until = span["started_at"] or until
    return [span for span in spans if span["started_at"] is not None]


def _close(span: Record, time: dt.datetime) -> None:
    span.update(ended=True, duration_ms=max(0.0, _milliseconds(time - span["started_at"])))


def _call_span(execution_id: str, row: Record, execution: Record) -> Record:
    row.update(request=None, response=None)
    call = interaction(row, going_on=is_going_on(execution["status"] or ""))
    ended = bool(row["has_ended"])
    start, latency = call["started_at"], call["latency_ms"]
    if start is not None and call["completed_at"] is not None and latency is not None:
        # A large request takes its time to be written, and its line has the time after that.
        start = min(start, _moved(call["completed_at"], -latency))
    return _span(
        "llm",
        call["model"],
        execution_id,
        call["status"],
        start,
        call["completed_at"] if ended else _end(execution),
        ended=ended,
        duration_ms=latency,
        call_id=call["call_id"],
    )


def _laid_out(record: Record, root: Record, parts: dict[str, list[Record]]) -> Record:
    """Put the spans below each other, and find the critical path."""
    within = {one: _nested(members) for one, members in parts.items()}

    def below(span: Record) -> list[Record]:
        if span["kind"] == "execution":
            return within[span["execution_id"]].get(None, [])
        return within[span["execution_id"]].get(id(span), [])

    _mark(root, below)
    every = (root, *itertools.chain.from_iterable(parts.values()))
    first = min((span["started_at"] for span in every if span["started_at"]), default=None)
    spans: list[Record] = []
    stack = [(root, 0)]
    while stack:
        span, depth = stack.pop()
        span["depth"] = depth
        if span["started_at"] is not None:
            span["start_ms"] = _milliseconds(span["started_at"] - first)
        spans.append(span)
        stack += [(part, depth + 1) for part in reversed(below(span))]
    order = sorted(range(len(spans)), key=lambda place: -spans[place]["critical_ms"])
    return Record(
        execution_id=record["execution_id"],
        agent_name=record["agent_name"],
        method=record["method"],
        status=record["status"],
        started_at=root["started_at"],
        duration_ms=record["duration_ms"],
        critical=[place for place in order if spans[place]["critical_ms"] > 0],
        spans=spans,
    )


def _nested(members: list[Record]) -> dict[int | None, list[Record]]:
    """Give the parts of an execution, by the identity of the stage they lie in; None where they lie in none."""
    timed = [span for span in members if span["started_at"] is not None]
    # Of what begins at once, the longest is around the others, and a stage is around what is no stage.
    timed.sort(key=lambda span: (span["started_at"], -(span["duration_ms"] or 0.0), span["kind"] != "stage"))
    within: dict[int | None, list[Record]] = defaultdict(list)
    around: list[Record] = []
    for span in timed:
        end = _end(span)
        around = [one for one in around if (_end(one) or one["started_at"]) + _SLACK >= span["started_at"]]
        holder = next((one for one in reversed(around) if end and _holds(one, span, end)), None)
        within[id(holder) if holder is not None else None].append(span)
        if span["kind"] == "stage":
            around.append(span)
    within[None] += [span for span in members if span["started_at"] is None]
    return within


def _holds(stage: Record, span: Record, end: dt.datetime) -> bool:
    """Tell whether a span that ends then lies in a stage; a stage that begins where that one ends lies beside it."""
    until = _end(stage) or end
    return end <= until + _SLACK and (span["kind"] != "stage" or span["started_at"] < until)


def _mark(root: Record, below: _Below) -> None:
    """Mark the critical path: from the end back, what ended last, then what ended last before that began."""
    end = _end(root)
    if end is None:
        return
    stack = [(root, end)]
    while stack:
        span, cursor = stack.pop()
        span["critical"] = True
        own = max(0.0, _milliseconds(cursor - span["started_at"]))
        timed = [(_end(part), part) for part in below(span) if part["started_at"] is not None]
        for part_end, part in sorted(timed, key=lambda pair: (pair[0], pair[1]["started_at"]), reverse=True):
            # What goes on after the whole, as an order that nobody waits for, did not hold it up.
            if part_end is None or part_end > cursor + _SLACK or part["started_at"] < span["started_at"] - _SLACK:
                continue
            stop = min(part_end, cursor)
            stack.append((part, stop))
            own -= max(0.0, _milliseconds(stop - part["started_at"]))
            cursor = part["started_at"]
        span["critical_ms"] = max(0.0, own)
