"""Lines for the tests of the ingester: a strategy for any of them, and a writer of plain ones."""

import datetime as dt
import itertools
from typing import Any

import orjson
from hypothesis import strategies as st

from tracklog.ingester.batch import fold_pieces
from tracklog.ingester.decode import Event, decode
from tracklog.ingester.sources import Portion, Source
from tracklog.processors.line import Kind

START = dt.datetime(2026, 1, 1, 10, tzinfo=dt.UTC)


def stamped(writer: str, seq: int, *, at: float | None = None, **fields: Any) -> dict[str, Any]:
    """Make a line as a writer of ours stamps it; `at` is in seconds after `START`, by default a millisecond a line."""
    moment = START + dt.timedelta(seconds=seq / 1000 if at is None else at)
    text = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"timestamp": text, "writer": writer, "seq": seq, "level": "info", "event": "line", **fields}


def dumps(*lines: dict[str, Any]) -> bytes:
    """Write lines as they stand in a file."""
    return b"".join(orjson.dumps(line) + b"\n" for line in lines)


def wrapped(lines: bytes, most: int) -> bytes:
    """Write lines as a container's runtime does, in parts of so many bytes."""
    parts = []
    for line in lines.splitlines():
        starts = range(0, len(line), most)
        for start in starts:
            tag = b"F" if start == starts[-1] else b"P"
            parts.append(b"2026-01-01T10:00:00Z stdout %s %s\n" % (tag, line[start : start + most]))
    return b"".join(parts)


def event_of(line: dict[str, Any], offset: int = 0) -> Event:
    """Decode a line that is one."""
    event = decode(orjson.dumps(line), offset)
    assert isinstance(event, Event)
    return event


NAMES = st.sampled_from(["A", "B", "", "é"])
IDS = st.sampled_from(["x", "y", "z"])
NUMBERS = st.one_of(st.integers(0, 100), st.floats(0, 1e6, allow_nan=False))
VALUES: st.SearchStrategy[Any] = st.sampled_from([None, 1, "text", {"nested": ["ü", None, 1.5]}, [], ""])
KINDS = st.sampled_from([None, *Kind])
FIELDS = st.fixed_dictionaries(
    {"execution_id": IDS},
    optional={
        "kind": KINDS.map(lambda kind: kind.value if kind is not None else "unknown"),
        "agent_name": NAMES,
        "method": NAMES,
        "vault_id": NAMES,
        "conversation_id": NAMES,
        "parent_execution_id": IDS,
        "call_reason": NAMES,
        "stage": st.sampled_from(["init", "mine", 5]),
        "duration_ms": NUMBERS,
        "input_data": VALUES,
        "output_data": VALUES,
        "status": st.sampled_from(["success", "skipped", "failed", "timeout", "nonsense"]),
        "error_type": NAMES,
        "error_message": VALUES,
        "should_respond": st.booleans(),
        "confidence": NUMBERS,
        "call_id": st.sampled_from(["c1", "c2"]),
        "model": NAMES,
        "request": VALUES,
        "response": VALUES,
        "tokens_used": st.one_of(st.integers(0, 1000), st.just("many")),
        "latency_ms": NUMBERS,
    },
)


@st.composite
def histories(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw what a few writers may have written, each its seq in order; moments may coincide between them."""
    fields = draw(st.lists(st.tuples(st.sampled_from(["w1", "w2"]), FIELDS), min_size=1, max_size=14))
    numbers = {"w1": itertools.count(1), "w2": itertools.count(1)}
    return [stamped(writer, seq, at=seq // 3, **line) for writer, line in fields if (seq := next(numbers[writer]))]


def read_on(source: Source, limit: int = 1 << 20) -> Portion:
    """Read a source once, as if what it says were in the database then."""
    portion = source.take(limit)
    ((tally,), _changes) = fold_pieces([portion.piece])
    source.note(portion, tally)
    source.go_on(portion)
    return portion
