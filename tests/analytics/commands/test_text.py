"""Test making text safe and short."""

import datetime as dt
import json

import pytest

from tracklog.analytics.commands.text import as_json, one_line, safe, shortened


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain é 日本", "plain é 日本"),
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("over\rwritten", "over\\x0dwritten"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\ud800", "\\ud800"),
    ],
)
def test_dangerous_characters_are_written_out(text: str, written: str) -> None:
    """What steers a terminal, or hides what is said, is written as an escape; all else stays."""
    assert safe(text) == written


def test_wide_characters_count_twice() -> None:
    """A text is cut to the columns it takes, not to its characters."""
    assert shortened("日本語日本語", 7) == "日本語…"
    assert shortened("日本語", 6) == "日本語"
    assert one_line("a\n b\t c", 4) == "a b…"


def test_json_of_what_a_database_gives() -> None:
    """Times are ISO 8601 and UTC, and nesting deeper than orjson writes is written all the same."""
    time = dt.datetime(2026, 11, 23, 10, 0, 0, 5, tzinfo=dt.UTC)
    assert as_json({"time": time, "none": None}) == b'{"time":"2026-11-23T10:00:00.000005Z","none":null}'
    deep: object = time
    for _ in range(300):
        deep = [deep]
    text = as_json(deep).decode()
    assert text.replace(" ", "").strip("[]") == '"2026-11-23T10:00:00.000005Z"'
    assert json.loads(as_json({"a": 1}, indent=True)) == {"a": 1}


@pytest.mark.parametrize("character", "\x1b\x7f\x85\x9b\u061c\u200f\u2028\u202e\u2066")
def test_json_cannot_steer_a_terminal(character: str) -> None:
    """JSON that is read on a terminal holds no such character, and a program reads the same value."""
    written = as_json([f"a{character}é日"]).decode()
    assert character not in written
    assert [f"a{character}é日"] == json.loads(written)
