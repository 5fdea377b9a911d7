"""From bytes to events."""

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracklog.ingester.decode import Event, Rejected, decode, dumps, name_of, parse_time
from tracklog.processors.line import Kind


def event_of(line: bytes | dict[str, Any], offset: int = 0, **options: Any) -> Event:
    event = decode(line if isinstance(line, bytes) else json.dumps(line).encode(), offset, **options)
    assert isinstance(event, Event), event
    return event


def rejected(line: bytes, offset: int = 0) -> Rejected:
    result = decode(line, offset)
    assert isinstance(result, Rejected), result
    return result


def test_a_stamped_line_is_identified_by_its_stamp() -> None:
    """Wherever a stamped line stands, it is the same line."""
    line = {"writer": "w", "seq": 7, "timestamp": "2026-11-23T10:00:00.000001Z", "event": "e", "execution_id": "x"}
    one, other = event_of(line, 0), event_of(line, 512)
    assert ("w", 7, True, "x") == (one.writer, one.seq, one.stamped, one.execution_id)
    assert one.key == other.key == "2026-11-23T10:00:00.000001Z w 0000000000000000007"


def test_a_foreign_line_is_identified_by_its_bytes_and_offset() -> None:
    """The same bytes at the same offset are the same line, in whichever copy of the file; elsewhere they are not."""
    line = b'{"event": "tick", "execution_id": "x"}'
    assert event_of(line, 10).writer == event_of(line, 10).writer
    assert (event_of(line, 10).writer, event_of(line, 10).seq) != (event_of(line, 50).writer, event_of(line, 50).seq)
    assert not event_of(line).stamped


@pytest.mark.parametrize(
    "stamp",
    [
        {"writer": "w"},
        {"seq": 3},
        {"writer": 5, "seq": 3},
        {"writer": "w", "seq": True},
        {"writer": "alice", "seq": 1, "timestamp": None},
        {"writer": "Jane Austen", "seq": 1},
        {"writer": "w", "seq": 0},
    ],
)
def test_half_a_stamp_is_none(stamp: dict[str, Any]) -> None:
    """A line that happens to have keys named writer or seq is a foreign line."""
    assert not event_of({"event": "e", "timestamp": "2026-11-23T10:00:00Z", **stamp}).stamped
    assert not event_of({"event": "e", "timestamp": 1795428000, "writer": "w", "seq": 1}).stamped


def test_foreign_lines_of_the_same_time_stay_in_their_order() -> None:
    """Lines of a file that have no time, or one in seconds, are sorted by where they stand."""
    events = [event_of(b'{"event": "%d", "execution_id": "x"}' % number, number * 40) for number in range(300)]
    assert events == sorted(events, key=lambda event: event.key)


@pytest.mark.parametrize(
    "stated",
    [
        {"timestamp": "2026-11-23T10:00:00.500000Z"},
        {"timestamp": "2026-11-23T11:00:00.5+01:00"},
        {"timestamp": "2026-W48-1T10:00:00.500000Z"},
        {"timestamp": 1795428000.5},
        {"timestamp": "2026-13-23T10:00:00.700000Z", "time": "2026-11-23T10:00:00.500000Z"},
        {"timestamp": "0001-11-23T10:00:00.500000Z", "time": "2026-11-23 10:00:00,5"},
    ],
)
def test_a_time_is_sorted_by_alike_however_it_is_stated(stated: dict[str, Any]) -> None:
    """Of each time that can be read there is one form to sort by; one that cannot be read is not sorted by."""
    assert event_of({"event": "e", **stated}).key.startswith("2026-11-23T10:00:00.500000Z ")


@pytest.mark.parametrize(
    "time", ["0001-01-01T00:00:00Z", -62135596800, "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+05:00"]
)
def test_a_time_that_means_none_is_none(time: str | int) -> None:
    """The zero time of some languages, and the end of all."""
    assert event_of({"event": "e", "timestamp": time}).time is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"GET / HTTP/1.1", "not JSON"),
        (b'{"a": 1', "not JSON"),
        (b'{"a": 1}{"b": 2}', "not JSON"),
        (b'{"a": "\xff"}', "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"42", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b'{"a": ' + b"[" * 600 + b"]" * 600 + b"}", "nested deeper than 500 levels"),
        (b'{"a":' * 550 + b"1" + b"}" * 550, "nested deeper than 500 levels"),
        (b'{"execution_id": "' + b"x" * 129 + b'"}', "execution_id is longer than 128 characters"),
    ],
)
def test_a_line_that_cannot_be_taken_says_why(line: bytes, reason: str) -> None:
    """What is no JSON object is rejected with its place, its length, the reason and its first bytes."""
    result = rejected(line, 99)
    assert result.reason.startswith(reason)
    assert (99, len(line), line) == (result.offset, result.length, result.head)


@pytest.mark.parametrize("line", [b"", b"   ", b"\r", b"\x00\x00\x00"])
def test_a_blank_line_is_nothing(line: bytes) -> None:
    """A blank line is neither an event nor an error."""
    assert decode(line, 5) is None


@pytest.mark.parametrize("line", [b'\xef\xbb\xbf{"event": "e"}', b'{"event": "e"}\r', b'\x00\x00{"event": "e"}'])
def test_what_surrounds_a_line_is_taken_off(line: bytes) -> None:
    """A byte order mark at the beginning, a carriage return, the hole that a truncation leaves."""
    assert {"event": "e"} == event_of(line).fields


def test_what_no_database_holds_is_made_storable() -> None:
    """U+0000, lone surrogates, NaN and numbers beyond 64 bit do not cost the line."""
    line = rb'{"nul": "a\u0000b", "\ud800": "\udc00", "nan": NaN, "big": 1' + b"0" * 30 + b', "event": "e"}'
    assert {"nul": "a\ufffdb", "\ufffd": "\ufffd", "nan": None, "big": 1e30, "event": "e"} == event_of(line).fields


def test_a_pair_of_surrogates_is_a_character() -> None:
    """Escaped astral characters stay what they are."""
    assert {"event": "😀"} == event_of(rb'{"event": "\ud83d\ude00"}').fields


@pytest.mark.parametrize(
    ("stated", "execution_id"), [("e", "e"), (17, "17"), ("", None), (None, None), ("é" * 128, "é" * 128)]
)
def test_an_execution_id_is_text(stated: Any, execution_id: str | None) -> None:
    """Any string of 1 to 128 characters is an id; a number becomes one; an empty one is none."""
    assert execution_id == event_of({"execution_id": stated}).execution_id


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-23T10:00:00Z",
        "2026-11-23T10:00:00.000000+00:00",
        "2026-11-23T11:00:00+01:00",
        "2026-11-23 10:00:00",
        1795428000,
        1795428000.0,
        1795428000000,
        1795428000000000000,
    ],
)
def test_times_are_read_in_the_usual_forms(written: Any) -> None:
    """ISO 8601 with and without zone, and numbers since 1970 in any unit, are one moment."""
    assert dt.datetime(2026, 11, 23, 10, tzinfo=dt.UTC) == parse_time(written)


@pytest.mark.parametrize("written", ["yesterday", "", None, [], True, float("inf"), "10:00:00"])
def test_what_is_no_time_is_none(written: Any) -> None:
    """A time that cannot be read is left out, and the line stays."""
    assert parse_time(written) is None


def test_the_containers_time_stands_in() -> None:
    """A line that does not say when has the time at which its container's runtime took it."""
    assert "2026-01-01 00:00:00.000000" == event_of({"event": "e"}, time="2026-01-01T00:00:00Z").time


@given(moment=st.datetimes(), zone=st.sampled_from("Z0+-"))
def test_a_time_is_the_same_however_it_is_stated(moment: dt.datetime, zone: str) -> None:
    """What our writers state is read in a shorter way, to the same time and the same key."""
    ours = f"{moment.isoformat(timespec='microseconds')}Z"
    other = {"Z": ours.replace("T", " "), "0": ours[:-1], "+": f"{ours[:-1]}+00:00", "-": f"{ours[:-1]}-00:00"}[zone]
    one, two = (event_of({"event": "e", "timestamp": stated, "writer": "w", "seq": 1}) for stated in (ours, other))
    assert one.time == two.time
    assert one.time is None or (one.key, one.stamped) == (two.key, two.stamped) == (f"{ours} w {1:019d}", True)
    assert (one.time is None) == (moment.year not in range(2, 9999))


@pytest.mark.parametrize("stated", ["2026-02-30T10:00:00.000000Z", "2026-13-01T10:00:00.000000Z"])
def test_a_day_that_is_none_is_no_time(stated: str) -> None:
    """It looks like a time of ours, and no calendar has it."""
    assert event_of({"event": "e", "timestamp": stated}).time is None


def test_an_unknown_kind_is_an_ordinary_line() -> None:
    """Only the kinds of the format mean something; any other is the caller's own key."""
    assert event_of({"kind": "click", "event": "e"}).kind is None
    assert Kind.LLM_REQUEST is event_of({"kind": "llm.request", "event": "e"}).kind


def test_opentelemetry_names_are_read_as_ours() -> None:
    """A line with gen_ai.* attributes is an LLM call."""
    event = event_of(
        {
            "event": "chat",
            "execution_id": "x",
            "gen_ai.request.model": "gpt-5.1",
            "gen_ai.provider.name": "openai",
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 5,
            "gen_ai.response.finish_reasons": ["stop"],
        }
    )
    assert Kind.LLM_RESPONSE is event.kind
    expected = ("gpt-5.1", "openai", 10, 5, "stop")
    assert expected == tuple(
        event.fields[name] for name in ("model", "provider", "input_tokens", "output_tokens", "finish_reason")
    )


def test_a_long_name_is_cut_and_stays_itself() -> None:
    """A name that no index holds is shortened, and two that differ only at their ends stay two."""
    one, other = name_of("x" * 5000 + "a"), name_of("x" * 5000 + "b")
    assert one is not None
    assert len(one) < 256
    assert one != other


def test_what_is_nested_deep_is_kept() -> None:
    """Deeper than orjson writes, and as deep as is taken."""
    nested = b'{"a": ' * 500 + b"[]" + b"}" * 500
    wide, deep = b"[" + b"[]," * 600 + b"[]]", b"[" * 499 + b"]" * 499
    event = event_of(b'{"execution_id": "x", "wide": %s, "deep": %s}' % (wide, deep))
    assert event.execution_id == "x"
    assert isinstance(decode(nested, 0), Rejected)
    assert len(dumps(event.fields["deep"])) == 998
