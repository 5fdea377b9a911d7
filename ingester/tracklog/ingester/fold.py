"""From events to rows: a pure fold that gives the same rows for any order, grouping and repetition of the lines."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tracklog.ingester.decode import (
    Event,
    count_of,
    dumps,
    duration_of,
    name_of,
    number_of,
    ordinal_of,
    text_of,
)
from tracklog.ingester.merge import EXECUTIONS, LLM_CALLS, UNSTATED, Row, merge_into, merge_ranked
from tracklog.ingester.ranges import Ranges, add
from tracklog.ingester.shape import LLM_KINDS, Shape
from tracklog.processors.line import Kind
from tracklog.processors.states import ExecutionStage, ExecutionStatus
from tracklog.processors.usage import TOKEN_COUNTS, whole_of, with_total

# Each line is asked for its kind, and Python 3.11 looks a member of an enumeration up by a call.
_STARTED: Final = Kind.EXECUTION_STARTED
_FINISHED: Final = Kind.EXECUTION_FINISHED
_RELEVANCE: Final = Kind.RELEVANCE
_REQUEST: Final = Kind.LLM_REQUEST
_OUTPUT: Final = Kind.OUTPUT
_OPENED: Final = Kind.WRITER_OPENED
_CLOSED: Final = Kind.WRITER_CLOSED
_COMPLETE: Final = ExecutionStage.COMPLETE.value

LogKey = tuple[str, str, int]
"""The identity of a log row: execution_id, writer, seq."""

LOG_COLUMNS: Final = (
    "execution_id",
    "writer",
    "seq",
    "timestamp",
    "kind",
    "level",
    "logger",
    "message",
    "stage",
    "stage_status",
    "duration_ms",
    "data",
    "source_id",
    "line_offset",
)

_EXECUTION_COLUMNS: Final = EXECUTIONS.columns
_CALL_COLUMNS: Final = LLM_CALLS.columns

LogRow = tuple[
    str,
    str,
    int,
    str | None,
    str | None,
    str | None,
    str | None,
    str | None,
    str | None,
    str | None,
    float | None,
    str | None,
    str,
    int,
]


@dataclass(slots=True)
class WriterSeen:
    """What a batch saw of one writer."""

    seen: Ranges = field(default_factory=list)
    """The seq numbers, as sorted ranges."""
    opened: Event | None = None
    """The header of its newest segment."""
    closed: Event | None = None
    """The last end of a segment."""


@dataclass(slots=True)
class Rows:
    """What a batch of lines adds to the database: rows in the order of their rules' columns, and of `LOG_COLUMNS`."""

    executions: list[tuple[Any, ...]] = field(default_factory=list)
    llm_calls: list[tuple[Any, ...]] = field(default_factory=list)
    logs: list[LogRow] = field(default_factory=list)
    writers: dict[str, WriterSeen] = field(default_factory=dict)


def executions_of(rows: Rows) -> frozenset[str]:
    """Give the executions that rows are about."""
    return frozenset(row[0] for row in rows.executions)


@dataclass(slots=True)
class Changes:
    """What a batch of lines adds to the database, whatever their order and however often each comes."""

    executions: dict[str, Row] = field(default_factory=dict)
    llm_calls: dict[tuple[str, str], Row] = field(default_factory=dict)
    logs: dict[LogKey, LogRow] = field(default_factory=dict)
    writers: dict[str, WriterSeen] = field(default_factory=dict)

    def add(self, event: Event, source_id: str) -> None:
        """Add one line."""
        # Once a line: what is asked often is not looked up again, and what most lines do not say is not asked for.
        writer, seq, stamped, _, _, shape, execution_id, fields, _ = event
        kind = shape.kind
        if stamped:
            if (seen := self.writers.get(writer)) is None:
                seen = self.writers[writer] = WriterSeen()
            ranges = seen.seen
            if ranges and ranges[-1][1] == seq - 1:
                ranges[-1][1] = seq
            else:
                add(ranges, seq)
            if kind is _OPENED:
                seen.opened = newest(seen.opened, event)
            elif kind is _CLOSED:
                seen.closed = newest(seen.closed, event)
        if execution_id is None:
            return
        if (row := self.executions.get(execution_id)) is None:
            row = self.executions[execution_id] = {"execution_id": execution_id}
        stage, stage_status = _stage_of(shape, fields) if shape.has_stage or kind is not None else _NO_STAGE
        if kind is None or (rank := _BEGINNINGS.get(kind)) is None:
            _go_on(row, event, stage)
        else:
            merge_into(EXECUTIONS, row, _beginning(event, rank, stage))
        if kind in LLM_KINDS:
            call_id = name_of(fields.get("call_id")) or f"{writer}:{seq}"
            call = self.llm_calls.get((execution_id, call_id))
            if call is None:
                call = self.llm_calls[execution_id, call_id] = {"execution_id": execution_id, "call_id": call_id}
            _go_on_with_call(call, event)
        key = execution_id, writer, seq
        if key not in self.logs:
            self.logs[key] = _log(event, execution_id, source_id, stage, stage_status)

    def rows(self) -> Rows:
        """Give what a database is given."""
        return Rows(
            [tuple(map(row.get, _EXECUTION_COLUMNS)) for row in self.executions.values()],
            [tuple(map(row.get, _CALL_COLUMNS)) for row in self.llm_calls.values()],
            [*self.logs.values()],
            self.writers,
        )


def fold(events: Iterable[Event], source_id: str) -> Changes:
    """Fold the events of one source into changes."""
    changes = Changes()
    for event in events:
        changes.add(event, source_id)
    return changes


def newest(one: Event | None, other: Event | None) -> Event | None:
    """Give the event that its writer wrote last."""
    if one is None or other is None:
        return one or other
    return one if one.seq >= other.seq else other


# The status that a kind gives, behind a digit that says how much it decides: an end over all that goes on, and among
# ends the worse one; a start over a selection; all of them over what an ordinary line lets one guess.
_GUESSED: Final = ("0", ExecutionStatus.RUNNING.value)
_STATED: Final = "1"
"""Keys from here on are of lines that state a status."""
_STATUS: Final[Mapping[Kind, tuple[str, str]]] = {
    Kind.EXECUTION_PENDING: ("1", ExecutionStatus.PENDING.value),
    Kind.EXECUTION_STARTED: ("2", ExecutionStatus.RUNNING.value),
    Kind.LLM_REQUEST: ("2", ExecutionStatus.LLM_REQUEST.value),
    Kind.LLM_RESPONSE: ("2", ExecutionStatus.LLM_RESPONSE.value),
    Kind.LLM_ERROR: ("2", ExecutionStatus.RUNNING.value),
}
_ENDS: Final[Mapping[str, tuple[str, str]]] = {
    status.value: (digit, status.value)
    for status, digit in (
        (ExecutionStatus.SUCCESS, "3"),
        (ExecutionStatus.SKIPPED, "4"),
        (ExecutionStatus.FAILED, "5"),
        (ExecutionStatus.TIMEOUT, "5"),
    )
}

_STAGE: Final[Mapping[Kind, tuple[str, str]]] = {
    Kind.EXECUTION_STARTED: (ExecutionStage.INIT.value, "started"),
    Kind.RELEVANCE: (ExecutionStage.SHOULD_RESPOND.value, "completed"),
    Kind.LLM_REQUEST: (ExecutionStage.LLM_CALL.value, "started"),
    Kind.LLM_RESPONSE: (ExecutionStage.LLM_CALL.value, "completed"),
    Kind.LLM_ERROR: (ExecutionStage.LLM_CALL.value, "failed"),
}
_STAGE_STATUS: Final[Mapping[Kind, str]] = {
    Kind.STAGE_STARTED: "started",
    Kind.STAGE_COMPLETED: "completed",
    Kind.STAGE_FAILED: "failed",
}

_BEGINNINGS: Final[Mapping[Kind | None, str]] = {Kind.EXECUTION_STARTED: "0", Kind.EXECUTION_PENDING: "1"}
"""Lines by which an execution begins, with the rank of what they say that it is."""

_ORDINARY_RANK: Final = "2"

_PARENT: Final = "parent_execution_id"
"""No execution called itself: a line that says so, perhaps one about its children, is not believed."""


def _ranked(names: tuple[str, ...], rank: str, fields: Mapping[str, Any], row: Row) -> str:
    digits = ""
    for name in names:
        if name in fields and isinstance(value := fields[name], (str, int)) and (value := name_of(value)) is not None:
            row[name] = value
            digits += rank
        else:
            digits += UNSTATED
    return digits


def _go_on(row: Row, event: Event, stage: str | None) -> None:
    """Merge into a row, in place, what a line says by which its execution does not begin.

    It is what `merge_into` would do with a row made of the line alone; most lines are such.
    """
    _, _, _, time, key, shape, execution_id, fields, _ = event
    kind, get = shape.kind, row.get
    if (last := get("last_key")) is None or key > last:
        row["last_key"] = key
    if time is not None and ((created := get("created_at")) is None or time < created):
        row["created_at"] = time
    known = get(_RANKS)
    ranks = known or _UNRANKED
    for place, name in shape.identity:
        if (rank := ranks[place]) < _ORDINARY_RANK:
            continue
        value = fields[name]
        if isinstance(value, (str, int)) and (value := name_of(value)) is not None:
            if value == execution_id and name == _PARENT:
                continue
            if rank == UNSTATED:
                ranks = f"{ranks[:place]}{_ORDINARY_RANK}{ranks[place + 1 :]}"
                row[name] = value
            elif value < row[name]:
                row[name] = value
    if ranks is not known:
        row[_RANKS] = ranks
    if (status_key := get("status_key")) is None:
        row.update(_NOT_ENDED)
    if kind is not None or status_key is None or status_key < _STATED:
        digit, status = _status_of(kind, fields)
        if status_key is None or digit > status_key[0] or (digit == status_key[0] and key > status_key[2:]):
            row["status_key"] = f"{digit} {key}"
            row["line_status"] = status
            if status in _ENDS:  # What is no end does not come over one.
                _state_end(row, event)
    if stage is not None and ((stage_key := get("stage_key")) is None or key > stage_key):
        row["stage_key"] = key
        row["current_stage"] = stage
    if kind is None:
        return
    if kind is _RELEVANCE:
        if (relevance_key := row.get("relevance_key")) is None or key > relevance_key:
            _state_relevance(row, event)
    elif kind is _OUTPUT and ((output_key := row.get("output_key")) is None or key > output_key):
        _state_output(row, event)


_RANKS: Final = EXECUTIONS.ranks
_UNRANKED: Final = UNSTATED * len(EXECUTIONS.ranked)
_NOT_ENDED: Final = dict.fromkeys(
    ("completed_at", "duration_ms", "error_type", "error_message", "error_traceback"), None
)


def _beginning(event: Event, rank: str, stage: str | None) -> Row:
    """Give what a line says by which an execution begins."""
    fields, kind, key, time = event.fields, event.kind, event.key, event.time
    if _PARENT in fields and name_of(fields[_PARENT]) == event.execution_id:
        fields = {**fields, _PARENT: None}
    row: Row = {"last_key": key, **_NOT_ENDED}
    if time is not None:
        row["created_at"] = time
    row[EXECUTIONS.ranks] = _ranked(EXECUTIONS.ranked, rank, fields, row)
    if kind is _STARTED:
        row["start_key"] = key
        row["started_at"] = time
        row["writer"] = event.writer
        row["root_execution_id"] = name_of(fields.get("root_execution_id"))
        row["depth"] = ordinal_of(fields.get("depth"))
        row["input_data"] = json_of(fields.get("input_data"))
        row["metadata"] = json_of(fields.get("metadata"))
    digit, status = _status_of(kind, fields)
    row["status_key"] = f"{digit} {key}"
    row["line_status"] = status
    if stage is not None:
        row["stage_key"] = key
        row["current_stage"] = stage
    return row


def _status_of(kind: Kind | None, fields: Mapping[str, Any]) -> tuple[str, str]:
    if kind is None:
        return _GUESSED
    if kind is _FINISHED:
        end = fields.get("status")
        return _ENDS.get(end, _GUESSED) if isinstance(end, str) else _GUESSED
    return _STATUS.get(kind, _GUESSED)


def _state_end(row: Row, event: Event) -> None:
    fields = event.fields
    row["completed_at"] = event.time
    row["duration_ms"] = duration_of(fields.get("duration_ms"))
    row["error_type"] = name_of(fields.get("error_type"))
    row["error_message"] = text_of(fields.get("error_message"))
    row["error_traceback"] = traceback_of(fields.get("exception"))


def _state_relevance(row: Row, event: Event) -> None:
    answer = event.fields.get("should_respond")
    row["relevance_key"] = event.key
    row["should_respond"] = answer if isinstance(answer, bool) else None
    row["relevance_score"] = number_of(event.fields.get("confidence"))
    row["relevance_reasoning"] = text_of(event.fields.get("reasoning"))


def _state_output(row: Row, event: Event) -> None:
    row["output_key"] = event.key
    row["output_data"] = json_of(event.fields.get("output_data"))


def _stage_of(shape: Shape, fields: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Give the stage that a line names or implies, and what it says of it."""
    kind = shape.kind
    stage = name_of(stated) if isinstance(stated := fields.get("stage"), str) else None
    if kind is None:
        return stage, name_of(status) if isinstance(status := fields.get("stage_status"), str) else None
    if kind is _FINISHED:
        # A run that did not succeed stays at the stage it reached: that is what one asks for.
        return (stage or _COMPLETE, "completed") if fields.get("status") == "success" else (stage, None)
    if kind in _STAGE_STATUS:
        return stage, _STAGE_STATUS[kind]
    if (implied := _STAGE.get(kind)) is not None:
        return stage or implied[0], implied[1]
    return stage, None


_NO_STAGE: Final = (None, None)


def _go_on_with_call(row: Row, event: Event) -> None:
    """Merge into a row, in place, what one line says of its LLM call; as `merge_into` would."""
    fields, key, time, get = event.fields, event.key, event.time, row.get
    is_request = event.kind is _REQUEST
    stated: Row = {}
    # The model that was asked for decides over the name the provider answered with.
    ranks = _ranked(LLM_CALLS.ranked, "0" if is_request else "1", fields, stated)
    merge_ranked(LLM_CALLS, row, stated, ranks)
    request = fields.get("request")
    if (is_request or request is not None) and ((request_key := get("request_key")) is None or key < request_key):
        row["request_key"] = key
        row["request"] = json_of(request)
    if is_request:
        if time is not None and ((started := get("started_at")) is None or time < started):
            row["started_at"] = time
        return
    if (end_key := get("end_key")) is not None and key <= end_key:
        return
    row["end_key"] = key
    row["completed_at"] = time
    row["response"] = json_of(fields.get("response"))
    counts: dict[str, int] = {}
    for name in TOKEN_COUNTS:
        row[name] = None
        if name in fields:
            value = fields[name]
            count = count_of(value if value.__class__ is int else whole_of(value))
            if count is not None:
                row[name] = counts[name] = count
    if counts and row["tokens_used"] is None:
        row.update({name: count_of(whole) for name, whole in with_total(counts).items()})
    row["finish_reason"] = name_of(fields.get("finish_reason"))
    row["latency_ms"] = duration_of(fields.get("latency_ms"))
    row["time_to_first_token_ms"] = (
        duration_of(fields["time_to_first_token_ms"]) if "time_to_first_token_ms" in fields else None
    )
    row["error_type"] = name_of(fields.get("error_type"))
    row["error_message"] = text_of(fields.get("error_message"))


def _message(fields: Mapping[str, Any]) -> Any:
    """Give what happened, of a line without `event`, as structlog's `EventRenamer` and other loggers name it."""
    return fields["message"] if "message" in fields else fields.get("msg")


_SHORT: Final = 32
"""A name of fewer characters is kept as it is, see `name_of`."""


def _log(event: Event, execution_id: str, source_id: str, stage: str | None, stage_status: str | None) -> LogRow:
    """Give the log row of a line: its keys as columns, and the caller's own as data."""
    writer, seq, stamped, time, _, shape, _, fields, offset = event
    kind = shape.kind
    duration = duration_of(fields["duration_ms"]) if shape.has_duration else None
    data = {}
    for name in shape.data:  # Quicker than a comprehension, which is a function.
        data[name] = fields[name]
    for name in shape.taken:
        if (stage if name == "stage" else stage_status if name == "stage_status" else duration) is None:
            data = {one: value for one, value in fields.items() if one in data or one == name}
    if not stamped:  # A foreign line's own `writer` and `seq` are the caller's.
        data.update({name: fields[name] for name in ("writer", "seq") if name in fields})
    if kind is None:
        # What an ordinary line carries under the name of a field of ours, and of another type, is the caller's.
        for _, name in shape.identity:
            value = fields[name]
            if value.__class__ is not str and isinstance(value, (dict, list, float)):
                data[name] = value
    elif kind in _STAGE_STATUS and isinstance(own := data.get("data"), dict):
        del data["data"]
        data = {**own, **data}
    level = fields.get("level")
    message = fields.get("event")
    if message is None and "event" not in fields:
        message = _message(fields)
    return (
        execution_id,
        writer,
        seq,
        time,
        shape.name,
        level if level.__class__ is str and 0 < len(level) < _SHORT else name_of(level),
        name_of(fields["logger"]) if shape.has_logger else None,
        message if message.__class__ is str else text_of(message),
        stage,
        stage_status,
        duration,
        dumps(data) if data else None,
        source_id,
        offset,
    )


def json_of(value: Any) -> str | None:
    """Give the JSON text of a value that a line carried; None for null."""
    return None if value is None else dumps(value)


def traceback_of(value: Any) -> str | None:
    """Give an exception as text, from the text or from the list of dicts that structlog makes of it."""
    if not isinstance(value, list):
        return text_of(value)
    parts = []
    for error in reversed(value):  # structlog's list starts with the last one raised; a traceback ends with it.
        if not isinstance(error, dict):
            continue
        lines = ["Traceback (most recent call last):"]
        frames = error.get("frames")
        lines += [
            f'  File "{frame.get("filename")}", line {frame.get("lineno")}, in {frame.get("name")}'
            for frame in (frames if isinstance(frames, list) else [])
            if isinstance(frame, dict)
        ]
        lines.append(f"{error.get('exc_type')}: {error.get('exc_value')}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) or text_of(value)
