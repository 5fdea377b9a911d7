"""Compare two executions step by step: where they first parted, and what else differs."""

import datetime as dt
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from tracklog.analytics.answers.executions import get_execution_with_logs
from tracklog.analytics.query import Query
from tracklog.analytics.record import Record
from tracklog.processors.line import Kind

_IDENTITY: Final = ("agent_name", "method", "vault_id")
_RELEVANCE: Final = ("should_respond", "relevance_score", "relevance_reasoning")
_CALL: Final = ("model", "request", "response", "finish_reason", "status", "error_type", "error_message")
_ENDING: Final = ("output_data", "error_type", "error_message", "current_stage", "status", "metadata")
"""Metadata says where and for whom it ran, and rarely why it did otherwise; so it comes last."""

_HEADER: Final = (
    "execution_id",
    "agent_name",
    "method",
    "status",
    "conversation_id",
    "started_at",
    "duration_ms",
    "llm_calls",
    "llm_tokens_used",
)

_MOST: Final = 2000
"""Steps that are aligned; beyond it each is compared with the one of its place, as alignment takes the square of it."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that an execution did."""

    what: str
    """What it is called, and what steps are aligned by."""
    fields: dict[str, Any]
    duration_ms: float | None = None
    number: int | None = None
    """Which of the LLM calls it is, from 1."""


def compare_executions(execution_id: str | UUID, other_id: str | UUID) -> Query[Record | None]:
    """Compare two executions in the order of what they did; None when one of them is unknown.

    :return: `a` and `b`, what there is to say of each; `differences`, in the order they came about: at the first
        they parted; `durations`, of the steps that both have, those that are furthest apart first. A difference
        has `what`, `field` (None for a step that only one has), `a` and `b` (the values; of a step that one lacks, its
        fields and None), and `a_call` and `b_call`, which LLM calls they are, if any.
    """
    one = yield from get_execution_with_logs(execution_id)
    other = yield from get_execution_with_logs(other_id)
    if one is None or other is None:
        return None
    differences: list[Record] = []
    durations: list[Record] = []
    for a, b in _aligned(_steps(one), _steps(other)):
        differences += _between(a, b)
        if a is not None and b is not None and a.duration_ms is not None and b.duration_ms is not None:
            durations.append(Record(what=_called(a), a_ms=a.duration_ms, b_ms=b.duration_ms))
    durations.sort(key=lambda row: -abs(row["a_ms"] - row["b_ms"]))
    return Record(
        a=Record({name: one.execution[name] for name in _HEADER}),
        b=Record({name: other.execution[name] for name in _HEADER}),
        differences=differences,
        durations=durations,
    )


def _steps(whole: Record) -> list[Step]:
    """Give what an execution did: how it began, what followed in the order of time, and how it ended."""
    execution = whole["execution"]
    middle: list[tuple[dt.datetime | None, Step]] = [
        (log["timestamp"], step) for log in whole["logs"] for step in _of_line(log, execution)
    ]
    for number, call in enumerate(whole["llm_calls"], start=1):
        step = Step("LLM call", {name: call[name] for name in _CALL}, call["latency_ms"], number)
        middle.append((call["started_at"] or call["completed_at"], step))
    for child in whole["children"]:
        fields = {name: child[name] for name in ("status", "error_type", "error_message")}
        name = ".".join(part for part in (child["agent_name"], child["method"]) if part) or "an unknown agent"
        middle.append((child["created_at"], Step(f"call of {name}", fields, child["duration_ms"])))
    last = dt.datetime.max.replace(tzinfo=dt.UTC)
    middle.sort(key=lambda pair: pair[0] or last)
    return [
        Step("execution", {name: execution[name] for name in _IDENTITY}),
        Step("input", {"input_data": execution["input_data"]}),
        *(step for _, step in middle),
        Step("end", {name: execution[name] for name in _ENDING}, execution["duration_ms"]),
    ]


def _of_line(log: Record, execution: Record) -> Iterator[Step]:
    match log["kind"]:
        case Kind.STAGE_STARTED | Kind.STAGE_COMPLETED | Kind.STAGE_FAILED:
            yield Step(f"stage {log['stage']} {log['stage_status']}", {}, log["duration_ms"])
        case Kind.RELEVANCE:
            yield Step("relevance", {name: execution[name] for name in _RELEVANCE})
        case None:
            fields = {"level": log["level"], "stage": log["stage"], "data": log["data"]}
            yield Step(f"line {log['message']!r}", fields, log["duration_ms"])
        case _:  # The record and the calls say it.
            pass


def _aligned(one: Sequence[Step], other: Sequence[Step]) -> Iterator[tuple[Step | None, Step | None]]:
    """Pair the steps of two executions; a step that only one has is paired with None."""
    names = [step.what for step in one], [step.what for step in other]
    pairs = zip(*names, strict=False)
    same = next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
    yield from zip(one[:same], other[:same], strict=True)
    one, other = one[same:], other[same:]
    if max(len(one), len(other)) > _MOST:
        for a, b in zip(one, other, strict=False):
            yield from [(a, b)] if a.what == b.what else [(a, None), (None, b)]
        common = min(len(one), len(other))
        yield from ((a, None) for a in one[common:])
        yield from ((None, b) for b in other[common:])
        return
    matcher = difflib.SequenceMatcher(None, names[0][same:], names[1][same:], autojunk=False)
    for tag, start, end, other_start, other_end in matcher.get_opcodes():
        if tag == "equal":
            yield from zip(one[start:end], other[other_start:other_end], strict=True)
        else:
            yield from ((a, None) for a in one[start:end])
            yield from ((None, b) for b in other[other_start:other_end])


def _between(a: Step | None, b: Step | None) -> Iterator[Record]:
    """Give what differs between two steps."""
    calls = {"a_call": a.number if a else None, "b_call": b.number if b else None}
    if a is None or b is None:
        step = a or b
        assert step is not None
        yield Record(what=_called(step), field=None, a=a and _told(a), b=b and _told(b), **calls)
        return
    for name, value in a.fields.items():
        if value != b.fields[name]:
            yield Record(what=_called(a), field=name, a=value, b=b.fields[name], **calls)


def _told(step: Step) -> dict[str, Any]:
    """Give the fields of a step that say something; `duration_ms` is one of them."""
    fields = {**step.fields, "duration_ms": step.duration_ms}
    return {name: value for name, value in fields.items() if value is not None}


def _called(step: Step) -> str:
    return f"{step.what} {step.number}" if step.number is not None else step.what
