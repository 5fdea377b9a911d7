"""Patterns that are looked for in blocks of whole lines, as bytes: a line is decoded only once it is found."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tracklog.processors.errors import TracklogError

Block = bytes | bytearray
Span = tuple[int, int]
"""Where a line starts in its block, and where its newline stands, or the block's end."""

_SPECIAL: Final = re.compile(r"[.^$*+?{}\[\]\\|()]")
"""What makes a pattern more than its own text."""


class PatternError(TracklogError):
    """This is no regular expression."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """What is looked for."""

    text: re.Pattern[str]
    """The same, for a line that was decoded: where in it the match is."""
    source: str
    """A regular expression that a database takes as well; without its flags."""
    ignore_case: bool
    spans: Callable[[Block, int], Iterator[Span]]
    """(block, length) -> the lines in its first bytes that match, in order."""


def compiled(pattern: str, *, literal: bool = False, ignore_case: bool = False) -> Pattern:
    r"""Prepare a pattern.

    A text without special characters is found as it is, and as JSON writes it. A regular expression sees lines as they
    stand in the file, each alone.

    :raises PatternError: It is no regular expression.

    >>> block = b'{"event":"a"}\n{"event":"say \\"b\\""}\n'
    >>> list(compiled('say "b"').spans(block, len(block)))
    [(14, 35)]
    """
    flags = re.IGNORECASE if ignore_case else 0
    if literal or not _SPECIAL.search(pattern):
        if ignore_case and not pattern.isascii():
            # Bytes know the cases of ASCII only, and an escape has no case.
            source = "".join(map(_of_any_case, pattern))
            return Pattern(text := re.compile(source, flags), source, ignore_case, _in_text(text))
        forms = _forms(pattern)
        source = "|".join(re.escape(form) for form in forms)
        text = re.compile(source, flags)
        return Pattern(text, source, ignore_case, _of_literals([form.encode() for form in forms], ignore_case))
    try:
        text = re.compile(pattern, flags | re.MULTILINE)
        if not pattern.isascii():
            return Pattern(text, pattern, ignore_case, _in_text(text))
        return Pattern(text, pattern, ignore_case, _in_bytes(re.compile(pattern.encode(), flags | re.MULTILINE)))
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(f"{pattern!r} is no regular expression: {error}; with -F it is taken as it is") from error


def inverted(spans: Callable[[Block, int], Iterator[Span]]) -> Callable[[Block, int], Iterator[Span]]:
    """Give the lines that do not match, those without any byte left out."""

    def others(block: Block, end: int) -> Iterator[Span]:
        place = 0
        for start, stop in spans(block, end):
            yield from _lines(block, place, start)
            place = stop + 1
        yield from _lines(block, place, end)

    return others


def every_line(block: Block, end: int) -> Iterator[Span]:
    """Give all lines, those without any byte left out."""
    return _lines(block, 0, end)


def _lines(block: Block, place: int, end: int) -> Iterator[Span]:
    while place < end:
        stop = block.find(b"\n", place, end)
        stop = end if stop < 0 else stop
        if stop > place:
            yield place, stop
        place = stop + 1


def _forms(text: str) -> list[str]:
    """Give the ways in which a text may stand in a line: as it is, as JSON, and as JSON that a runtime wrapped."""
    forms = [text]
    for escape in (_with_unicode, _in_ascii):
        once = escape(text)
        forms += [once, _with_unicode(once)]
    return list(dict.fromkeys(forms))


def _of_any_case(character: str) -> str:
    cases = (character, character.lower(), character.upper())
    return f"(?:{'|'.join(re.escape(form) for form in dict.fromkeys(form for one in cases for form in _forms(one)))})"


def _with_unicode(text: str) -> str:
    try:
        return orjson.dumps(text)[1:-1].decode()
    except orjson.JSONEncodeError:
        return text  # Half of a surrogate pair stands in no file.


def _in_ascii(text: str) -> str:
    return json.dumps(text)[1:-1]


def _of_literals(needles: list[bytes], ignore_case: bool) -> Callable[[Block, int], Iterator[Span]]:
    if ignore_case:
        of_lowered = _of_literals(list(dict.fromkeys(needle.lower() for needle in needles)), False)
        return lambda block, end: of_lowered(block[:end].lower(), end)
    if len(needles) == 1:
        needle = needles[0]
        return lambda block, end: _find(needle, block, end)

    def spans(block: Block, end: int) -> Iterator[Span]:
        yield from sorted({span for needle in needles for span in _find(needle, block, end)})

    return spans


def _find(needle: bytes, block: Block, end: int) -> Iterator[Span]:
    place = block.find(needle, 0, end)
    while 0 <= place < end:
        start = block.rfind(b"\n", 0, place) + 1
        stop = block.find(b"\n", place, end)
        if stop < 0:
            stop = end
        yield start, stop
        place = block.find(needle, stop + 1, end)


def _in_bytes(pattern: re.Pattern[bytes]) -> Callable[[Block, int], Iterator[Span]]:
    return lambda block, end: _matching(pattern, block, end, b"\n")


def _in_text(pattern: re.Pattern[str]) -> Callable[[Block, int], Iterator[Span]]:
    def spans(block: Block, end: int) -> Iterator[Span]:
        text = block[:end].decode("utf-8", "surrogateescape")
        characters = place = 0
        for start, stop in _matching(pattern, text, len(text), "\n"):
            place += _size(text[characters:start])
            length = _size(text[start:stop])
            yield place, place + length
            characters, place = stop, place + length

    return spans


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


def _matching(pattern: re.Pattern[Any], data: Any, end: int, newline: Any) -> Iterator[Span]:
    place = 0
    while place < end and (match := pattern.search(data, place, end)) is not None:
        start = data.rfind(newline, 0, match.start()) + 1
        stop = data.find(newline, match.start(), end)
        if stop < 0:
            stop = end
        # A match that goes on behind the line may be one in the line as well, or none.
        if match.end() <= stop or pattern.search(data, start, stop) is not None:
            yield start, stop
        place = stop + 1
