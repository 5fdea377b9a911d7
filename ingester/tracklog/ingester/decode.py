"""From the bytes of a line to an event, or to the reason why it is none."""

import datetime as dt
import functools
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from tracklog.ingester.remembered import Remembered
from tracklog.ingester.shape import Shape, shape_of
from tracklog.processors.line import MAX_ID_LENGTH, MAX_NAME_LENGTH, Kind, cut_name

_INT64: Final = range(-(1 << 63), 1 << 63)
_MOST: Final = _INT64[-1]

_TIME_KEYS: Final = ("timestamp", "@timestamp", "time", "ts")
"""Where a foreign line may keep its time; `timestamp` is structlog's own."""

_LONGEST_WRITER: Final = 64
_WRITER: Final = re.compile(rf"[\w.-]{{1,{_LONGEST_WRITER}}}", re.ASCII)
"""What a writer's id may look like; ours are 16 hexadecimal digits."""

_DEEPEST: Final = 500
"""Levels of nesting: half of what readers of JSON take, as a rule; writers of ours end at 200."""

_BACKSLASH: Final = 0x5C
_NUL_ESCAPE: Final = b"\\u0000"

_SECOND: Final = re.compile(r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d\.", re.ASCII)
"""The beginning of a time as our writers state it, and as it stands in an event's key; it goes on as `123456Z`."""

_SURROGATES: Final = re.compile("[\ud800-\udfff]")


class Event(NamedTuple):
    """A line that was understood.

    `fields` is the whole object, still with every key. Two lines are the same exactly if `writer` and `seq` are.
    """

    writer: str
    seq: int
    stamped: bool
    """Whether the line carries its writer's stamp; else `writer` is its offset and the hash of its bytes, `seq` the
    offset."""
    time: str | None
    """In UTC, as `written` writes it."""
    key: str
    """Sorts lines by (time, writer, seq), byte by byte."""
    shape: Shape
    execution_id: str | None
    fields: dict[str, Any]
    offset: int
    """Where the line starts in its (decompressed) file, in bytes."""

    @property
    def kind(self) -> Kind | None:
        """Say what it is about."""
        return self.shape.kind


_event: Final[Callable[[tuple[Any, ...]], Event]] = functools.partial(tuple.__new__, Event)
"""Make an event of its values, in half of the time that its class takes; each line is one."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that cannot be taken, for the quarantine."""

    offset: int
    length: int
    reason: str
    head: bytes
    """Its first bytes."""


QUARANTINE_HEAD: Final = 4096
"""How much of a rejected line is kept, in bytes."""


def decode(line: bytes, offset: int, *, time: str | None = None) -> Event | Rejected | None:
    r"""Decode one line without its newline; a blank line is None.

    :param time: When a container's runtime took the line, used where the line itself does not say.

    >>> decode(b'{"event": "hello", "execution_id": "e1"}', 0).fields
    {'event': 'hello', 'execution_id': 'e1'}
    >>> decode(b'[1, 2]', 12).reason
    'not a JSON object'
    """
    text = line.strip(b" \t\r\x00")
    if offset == 0:
        text = text.removeprefix(b"\xef\xbb\xbf")
    if not text:
        return None
    try:
        fields = orjson.loads(text)
        if _BACKSLASH in text and _NUL_ESCAPE in text:  # The former is found out at once.
            fields = _storable(fields)
    except (ValueError, RecursionError) as refusal:
        try:
            # The standard library's reader takes what its own writer gives and orjson refuses: NaN, lone surrogates.
            fields = _storable(json.loads(text))
        except (ValueError, RecursionError) as error:
            return reject(line, offset, f"not JSON: {refusal if isinstance(error, ValueError) else error}")
    if fields.__class__ is not dict:
        return reject(line, offset, "not a JSON object")
    # What is opened is closed: a short line cannot be deep, and most are short.
    if len(text) > 2 * _DEEPEST and _openings(text) > _DEEPEST and _is_deeper(fields, _DEEPEST):
        return reject(line, offset, f"nested deeper than {_DEEPEST} levels")
    get: Callable[[str], Any] = fields.get
    execution_id = get("execution_id")
    if execution_id.__class__ is not str and execution_id is not None:
        execution_id = dumps(execution_id)
    if execution_id is not None and len(execution_id) > MAX_ID_LENGTH:
        return reject(line, offset, f"execution_id is longer than {MAX_ID_LENGTH} characters")
    stated, writer, seq, kind = get("timestamp"), get("writer"), get("seq"), get("kind")
    moment, sortable = None, stated
    if is_text := stated.__class__ is str:
        # As our writers state it; every other one, and one that does not exist, is read as anybody's.
        fraction = stated[20:26]
        if len(stated) == 27 and stated[26] == "Z" and fraction.isdecimal() and fraction.isascii():
            second = _seconds[stated[:20]]
            if second is not None:
                moment = second + fraction
    if moment is None:
        other = _time_of(fields, time)
        moment = written(other) if other is not None else None
        sortable = f"{moment[:10]}T{moment[11:]}Z" if moment is not None else ""
    # The time is the stamp's third part, without which these are somebody's own keys.
    stamped = (
        is_text
        and moment is not None
        and seq.__class__ is int
        and 0 < seq <= _MOST
        and writer.__class__ is str
        and len(writer) <= _LONGEST_WRITER
        and _are_writers[writer]
    )
    if not stamped:
        # The offset first: lines of one file that have the same time, or none, stay in their order.
        writer, seq = f"~{offset:012x}{hashlib.blake2b(text, digest_size=12).hexdigest()}", offset
    if kind.__class__ is not str:
        kind = None
    shape = shape_of(kind, fields, len(text))
    if shape.aliases:
        _read_aliases(fields, shape.aliases)
        shape = shape_of(kind, fields, len(text))
    key = f"{sortable} {writer} {str(seq).zfill(19)}"
    return _event((writer, seq, stamped, moment, key, shape, execution_id or None, fields, offset))


def _is_writer(name: str) -> bool:
    return _WRITER.fullmatch(name) is not None


_are_writers: Final = Remembered(_is_writer, 1024)


def _written_second(stated: str) -> str | None:
    """Write a second that our writers stated; None for every other one, and for one that does not exist."""
    if _SECOND.fullmatch(stated) is None or not _FIRST_YEAR <= stated[:4] <= _LAST_YEAR:
        return None
    try:
        dt.datetime.fromisoformat(stated[:19])
    except ValueError:
        return None
    return f"{stated[:10]} {stated[11:]}"


_seconds: Final = Remembered(_written_second, 4096)
"""A second has many lines."""


def written(moment: dt.datetime) -> str:
    """Write a time in UTC so that texts sort as times do; it is how SQLite keeps it.

    >>> written(dt.datetime(2026, 11, 23, 10, 0, tzinfo=dt.UTC))
    '2026-11-23 10:00:00.000000'
    """
    # Not strftime, which writes a year before 1000 without its zeros.
    return moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def moment_of(text: str) -> dt.datetime:
    """Read what `written` wrote.

    >>> moment_of("2026-11-23 10:00:00.000000").isoformat()
    '2026-11-23T10:00:00+00:00'
    """
    return dt.datetime.fromisoformat(f"{text}+00:00")


def reject(line: bytes, offset: int, reason: str) -> Rejected:
    """Describe a line that cannot be taken."""
    return Rejected(offset, len(line), reason[:500].replace("\x00", "\ufffd"), line[:QUARANTINE_HEAD])


def _openings(text: bytes) -> int:
    """Count brackets and braces; `replace` leaps from one to the next, where `count` looks at each byte."""
    return 2 * len(text) - len(text.replace(b"[", b"")) - len(text.replace(b"{", b""))


def _is_deeper(value: Any, levels: int) -> bool:
    """Tell whether a value is nested deeper than so many levels."""
    level = [value]
    while level and levels:
        level = [
            item
            for one in level
            for item in (one.values() if isinstance(one, dict) else one)
            if isinstance(item, (dict, list))
        ]
        levels -= 1
    return bool(level)


def _storable(value: Any) -> Any:
    """Replace what no database holds: U+0000, lone surrogates, numbers that are none."""
    if isinstance(value, str):
        return _SURROGATES.sub("\ufffd", value.replace("\x00", "\ufffd"))
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and value not in _INT64:
        return float(value) if abs(value) < 1 << 1000 else str(value)
    return value


def _time_of(fields: Mapping[str, Any], fallback: str | None) -> dt.datetime | None:
    for name in _TIME_KEYS:
        if (value := fields.get(name)) is not None and (moment := parse_time(value)) is not None:
            return moment
    return parse_time(fallback) if fallback is not None else None


def parse_time(value: Any) -> dt.datetime | None:
    """Read a time: ISO 8601 (without a zone it is UTC), or a number of seconds, ms, us or ns since 1970; else None.

    The zero time of some languages, in the year 1, is none, and neither is one that no calendar follows by a minute.

    >>> parse_time("2026-11-23T10:00:00.5Z").isoformat()
    '2026-11-23T10:00:00.500000+00:00'
    >>> parse_time(1795428000) == parse_time(1795428000000)
    True
    """
    try:
        if isinstance(value, str):
            moment = dt.datetime.fromisoformat(value)
            if moment.tzinfo is not dt.UTC:
                moment = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
            return moment if moment.year in _YEARS else None
        if (seconds := number_of(value)) is not None:
            while abs(seconds) > 1e11:  # The year 5138 in seconds, 1973 in milliseconds: so it is a finer unit.
                seconds /= 1000
            moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
            return moment if moment.year in _YEARS else None
    except (ValueError, OverflowError, OSError):
        pass
    return None


_YEARS: Final = range(2, 9999)
_FIRST_YEAR: Final = f"{_YEARS[0]:04d}"
_LAST_YEAR: Final = f"{_YEARS[-1]:04d}"


# OpenTelemetry's semantic conventions for generative AI, v1.38, and the names they had before.
_GEN_AI: Final[Mapping[str, str]] = {
    "gen_ai.request.model": "model",
    "gen_ai.response.model": "model",
    "gen_ai.provider.name": "provider",
    "gen_ai.system": "provider",
    "gen_ai.usage.input_tokens": "input_tokens",
    "gen_ai.usage.prompt_tokens": "input_tokens",
    "gen_ai.usage.output_tokens": "output_tokens",
    "gen_ai.usage.completion_tokens": "output_tokens",
    "gen_ai.usage.cache_read.input_tokens": "cache_read_tokens",
    "gen_ai.usage.cache_creation.input_tokens": "cache_write_tokens",
    "gen_ai.response.finish_reasons": "finish_reason",
    "gen_ai.input.messages": "request",
    "gen_ai.prompt": "request",
    "gen_ai.output.messages": "response",
    "gen_ai.completion": "response",
    "gen_ai.response.id": "call_id",
}


def _read_aliases(fields: dict[str, Any], aliases: tuple[str, ...]) -> None:
    """Read OpenTelemetry's names as ours."""
    for name in aliases:
        ours = _GEN_AI.get(name)
        if ours is not None and ours not in fields:
            value = fields[name]
            fields[ours] = ", ".join(map(str, value)) if ours == "finish_reason" and isinstance(value, list) else value


def text_of(value: Any) -> str | None:
    """Give a value as text; what is no text as its JSON.

    >>> text_of("a"), text_of(None), text_of({"b": 1})
    ('a', None, '{"b":1}')
    """
    if value is None or isinstance(value, str):
        return value
    return dumps(value)


def dumps(value: Any) -> str:
    """Write JSON that was read; orjson writes a quarter as deep as it reads."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def name_of(value: Any) -> str | None:
    """Give a value as a name that an index can hold; a long one is cut and ends in its hash."""
    name = value if isinstance(value, str) else text_of(value)
    if not name:
        return None
    return name if len(name) <= MAX_NAME_LENGTH else cut_name(name)


def integer_of(value: Any) -> int | None:
    """Give a value as a whole number of 64 bits; None where it is none.

    >>> integer_of(3), integer_of(3.0), integer_of("3"), integer_of(True), integer_of(1 << 70)
    (3, 3, None, None, None)
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value in _INT64 else None


def ordinal_of(value: Any) -> int | None:
    """Give a value as a number in a sequence from 0, such as a depth; None where it is none, or has over 31 bits.

    >>> ordinal_of(2), ordinal_of(-1), ordinal_of(1 << 31)
    (2, None, None)
    """
    number = integer_of(value)
    return number if number is not None and 0 <= number < 1 << 31 else None


def count_of(value: Any) -> int | None:
    """Give a value as an amount of something; None where it is none, or so large that a sum could overflow."""
    number = integer_of(value)
    return number if number is not None and 0 <= number < _LARGEST else None


def duration_of(value: Any) -> float | None:
    """Give a value as a duration in milliseconds; None where it is none, or so large that a sum could overflow."""
    number = number_of(value)
    return number if number is not None and abs(number) < _LARGEST else None


_LARGEST: Final = 10**15
"""Milliseconds of thirty thousand years, and more tokens than were ever used."""


def number_of(value: Any) -> float | None:
    """Give a value as a finite number; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
