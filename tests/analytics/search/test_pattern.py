"""Test looking for patterns in blocks of lines."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracklog.analytics.search.pattern import PatternError, compiled, inverted

BLOCK = '{"event":"déjà vu"}\n{"event":"Say \\"b\\""}\n{"event":"d\\u00e9j\\u00e0 vu"}\n\nplain'.encode()


def found(pattern: str, *, literal: bool = False, ignore_case: bool = False, invert: bool = False) -> list[str]:
    """Give the lines of the block that are found, as far as their event."""
    spans = compiled(pattern, literal=literal, ignore_case=ignore_case).spans
    chosen = inverted(spans) if invert else spans
    return [BLOCK[start:stop].decode() for start, stop in chosen(BLOCK, len(BLOCK))]


@pytest.mark.parametrize(
    ("pattern", "options", "lines"),
    [
        ("plain", {}, [4]),
        ("déjà", {}, [0, 2]),  # As it is, and as other writers of JSON escape it.
        ('"b"', {}, [1]),
        ("SAY", {}, []),
        ("SAY", {"ignore_case": True}, [1]),
        ("DÉJÀ", {"ignore_case": True}, [0, 2]),
        ("d.*j", {}, [0, 2]),
        ("d.j", {}, []),  # One character of the file is none of two bytes,
        ("[é]j", {}, [0]),  # but for a pattern that has one itself.
        ("p[l]", {}, [4]),
        ("d.*j", {"literal": True}, []),
        ("^p", {}, [4]),
        ("}$", {}, [0, 1, 2]),
        ("vu[^x]*plain", {}, []),  # No match goes over the end of a line.
        ("event[^x]*", {}, [0, 1, 2]),
        ("event", {"invert": True}, [4]),
        ("nowhere", {"invert": True}, [0, 1, 2, 4]),
        ("", {}, [0, 1, 2, 3, 4]),
    ],
)
def test_lines_are_found(pattern: str, options: dict[str, bool], lines: list[int]) -> None:
    """Texts are found as they are and as JSON writes them, regular expressions in each line alone."""
    every = BLOCK.decode().split("\n")
    assert [every[number] for number in lines] == found(pattern, **options)


@given(st.lists(st.text('ab"é', max_size=4), min_size=1, max_size=6), st.sampled_from(["a", "é", "a+b", "[^a]b"]))
def test_it_is_like_looking_line_by_line(lines: list[str], pattern: str) -> None:
    """A block gives what each of its lines gives alone."""
    block = "\n".join(lines).encode()
    spans = list(compiled(pattern).spans(block, len(block)))
    matching = [line for line in lines if re.search(pattern, line)]
    if "é" in pattern or "[" not in pattern:
        assert [line.encode() for line in matching] == [block[start:stop] for start, stop in spans]
    both = [*spans, *inverted(compiled(pattern).spans)(block, len(block))]
    assert sorted(line.encode() for line in lines if line) == sorted(block[a:b] for a, b in both if b > a)


def test_what_is_no_regular_expression() -> None:
    """It is said how to look for it as a text."""
    with pytest.raises(PatternError, match="with -F it is taken as it is"):
        compiled("call(")
