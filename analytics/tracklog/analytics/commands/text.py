"""Make text from logs safe to print, and short enough to read."""

import os
import re
import unicodedata
from decimal import Decimal
from typing import Any, Final

import orjson

_DANGEROUS: Final = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # What moves the cursor, clears the screen, or starts a terminal's commands.
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # What reverses the order of the characters around it.
    "\u2028\u2029"
    "\ud800-\udfff"
    "]"
)

_STEERS: Final = re.compile(b"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]")
"""The same in UTF-8, so far as JSON lets it stand."""

ELLIPSIS: Final = "…"


def safe(text: str) -> str:
    r"""Write control characters as escapes; newlines and tabs stay.

    >>> safe("red: \x1b[31m")
    'red: \\x1b[31m'
    """
    return _DANGEROUS.sub(_escaped, text.replace("\r\n", "\n"))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def from_here(path: str) -> str:
    """Name a file from the working directory on, if it is below that; else as it is named from everywhere."""
    try:
        return path.removeprefix(os.path.join(os.getcwd(), ""))
    except OSError:  # Somebody removed that directory.
        return path


def one_line(value: Any, width: int | None = None) -> str:
    """Write a value on one line, what is no text as JSON, cut to `width` columns if given.

    >>> one_line("two\\nlines"), one_line({"a": [1, 2]}), one_line("abcdef", 4), one_line(None)
    ('two lines', '{"a":[1,2]}', 'abc…', '')
    """
    if value is None:
        return ""
    text = safe(" ".join(value.split()) if isinstance(value, str) else as_json(value).decode())
    return text if width is None else shortened(text, width)


def shortened(text: str, width: int) -> str:
    """Cut a text to so many columns of a terminal; it ends in an ellipsis then."""
    if len(text) <= width // 2:  # No character is wider than two columns.
        return text
    columns = cut = 0
    for place, character in enumerate(text, start=1):
        columns += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if columns > width:
            return text[:cut] + ELLIPSIS
        if columns < width:
            cut = place
    return text


def as_json(value: Any, *, indent: bool = False) -> bytes:
    """Write a value as JSON, times in ISO 8601 and UTC; what steers a terminal is an escape, of the same meaning.

    >>> as_json({"said": "\\x1b \\x9b \\u202e"})
    b'{"said":"\\\\u001b \\\\u009b \\\\u202e"}'
    """
    options = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS | (orjson.OPT_INDENT_2 if indent else 0)
    try:
        written = orjson.dumps(value, option=options, default=_number)
    except orjson.JSONEncodeError:
        # orjson reads four times as deep a nesting as it writes.
        import json

        text = json.dumps(value, ensure_ascii=False, indent=2 if indent else None, default=_plain)
        written = text.encode("utf-8", "backslashreplace")
    return _STEERS.sub(lambda match: b"\\u%04x" % ord(match[0].decode()), written)


def _number(value: Any) -> int | float | str:
    """Give what PostgreSQL sums up as a number."""
    if not isinstance(value, Decimal):
        return str(value)
    return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)


def _plain(value: Any) -> str:
    return str(orjson.dumps(value, option=orjson.OPT_UTC_Z, default=str).decode()).strip('"')
