"""What credentials look like in the text of a line, whatever their key."""

import functools
import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


def _without_basic(match: re.Match[bytes]) -> bytes:
    """Replace a user's name and password, which are one text in base64 (RFC 7617)."""
    scheme, encoded = match[1], match[2]
    try:
        is_credential = b":" in b64decode(encoded + b"=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        is_credential = False
    return scheme + b" [redacted]" if is_credential else match[0]


def _without_key(match: re.Match[bytes]) -> bytes:
    """Replace a key, which is drawn by lot; words between hyphens, perhaps numbered, are a name."""
    parts = re.split(rb"[-_]", match[0])
    is_name = all(_WORD.fullmatch(part) and (len(part) < 16 or part.isalpha()) for part in parts)
    return match[0] if is_name else b"[redacted]"


_WORD: Final = re.compile(rb"(?:[A-Z]?[a-z]{0,32}|[A-Z]{0,32})[0-9]{0,8}[a-z]{0,8}")


@dataclass(frozen=True, slots=True)
class _Shape:
    """How one sort of credential looks."""

    marks: tuple[str, ...]
    """Texts, in lower case, without one of which it cannot be there: looking for those is much faster."""
    pattern: re.Pattern[bytes]
    replacement: bytes | Callable[[re.Match[bytes]], bytes] = b"[redacted]"


# Where a word begins. The escape of a newline ends in a letter, which is none of the word's.
_START: Final = rb"(?:(?<![A-Za-z0-9_-])|(?<=\\[nrtbf]))"

# What the name of a secret ends in, where text assigns to it.
_NAME: Final = rb"(?P<name>(?:api|access|private|secret)[_-]?key|authorization|password|passwd|token|secret|cookie)"

# A quote of JSON within a line's text, however deep: an even number of backslashes would end that text.
_QUOTE: Final = rb"(?:(?:\\\\){0,3}\\\"|')"

# What follows a scheme or a header's name, and is no prose: "a bearer certificate" has no digits.
_TOKEN: Final = rb"(?=[A-Za-z._~+/=-]{0,256}[0-9])[A-Za-z0-9._~+/=-]"

# None of the patterns takes half of an escape or a bare quote, so that what is left is still JSON; and none looks from
# each of many places to the end of a text, whose length a stranger may choose.
_SHAPES: Final = (
    _Shape(("sk-",), re.compile(_START + rb"sk-(?=[A-Za-z_-]{0,64}[0-9])[A-Za-z0-9_-]{16,}"), _without_key),
    _Shape(
        ("k_live_", "k_test_"),
        re.compile(_START + rb"[rs]k_(?:live|test)_(?=[A-Za-z_-]{0,64}[0-9])[A-Za-z0-9_-]{16,}"),
    ),
    _Shape(
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        re.compile(_START + rb"(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})"),
    ),
    _Shape(("hf_",), re.compile(_START + rb"hf_[A-Za-z0-9]{30,}")),
    _Shape(("akia", "asia"), re.compile(_START + rb"(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])")),
    _Shape(("xox", "xapp-"), re.compile(_START + rb"(?:xox[abceoprs]|xapp)-[A-Za-z0-9-]{10,}")),
    _Shape(("aiza",), re.compile(_START + rb"AIza[A-Za-z0-9_-]{30,}")),
    _Shape(("bearer ",), re.compile(rb"(?i)" + _START + rb"(bearer) {1,8}" + _TOKEN + rb"{16,}"), rb"\1 [redacted]"),
    _Shape(("basic ",), re.compile(rb"(?i)" + _START + rb"(basic) {1,8}([A-Za-z0-9+/]{6,})={0,2}"), _without_basic),
    _Shape(
        ("eyj",),
        re.compile(_START + rb"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){1,3}"),
    ),
    _Shape(
        # To the last @ before a slash; and with slashes in the password, where it does not begin as a port does.
        ("://",),
        re.compile(rb"://[^\s/\"\\:@?#]*:(?:[^\s/\"\\]+|(?![0-9]*[/?#])[^\s\"\\@]{1,128})@"),
        b"://[redacted]@",
    ),
)

MARKS: Final = tuple(mark for shape in _SHAPES for mark in shape.marks)
"""What has none of these, nor of the `NAMES`, has no credential."""

# These are only looked for in a line that has one of the words somewhere. Each begins with a group of what is left.
NAMES: Final = ("key", "token", "secret", "passw", "authorization", "cookie")
_NAMED: Final = (
    _Shape(
        ("key=", "token=", "secret=", "password=", "passwd="),
        re.compile(rb"(?i)(" + _NAME + rb"=(?:\\\"|')?)[^\s&;,\"\\'<>)]+"),
    ),
    _Shape(
        # In a text that quotes: JSON that is cut short or stands amid prose, or what Python prints of a dict.
        ('\\"', "': "),
        re.compile(rb"(?i)(" + _NAME + _QUOTE + rb" {0,8}: {0,8}b?" + _QUOTE + rb")[^\"\\']+"),
    ),
    _Shape(
        # What Python prints of a header that is a pair: two texts in brackets, and nothing else.
        ("('", "(b'"),
        re.compile(
            rb"(?i)(\(b?'[A-Za-z0-9_-]{0,64}" + _NAME + rb"', {1,8}b?" + _QUOTE + rb")[^\"\\']+(?=" + _QUOTE + rb"\))"
        ),
    ),
    _Shape(
        # A line of a program or of its settings.
        ('= \\"', "= '"),
        re.compile(rb"(?i)(" + _NAME + rb" {1,8}= {1,8}" + _QUOTE + rb")[^\"\\']+"),
    ),
    _Shape(
        ("authorization: ", "api-key: "),
        re.compile(
            rb"(?i)((?P<name>authorization|api-key): {1,8}(?:(?:token|key|bearer|basic|digest) {1,8})?)"
            + _TOKEN
            + rb"{8,}"
        ),
    ),
)
_PEM: Final = _Shape(
    ("private key-----",),
    re.compile(
        rb"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----(?:(?!-----END )(?:[^\"\\]|\\{1,8}[nr]))*"
        rb"(?:-----END [A-Z ]{0,32}-----)?"
    ),
)

_LONGEST_NAME: Final = 64
_NAME_BACKWARDS: Final = re.compile(rb"[A-Za-z0-9_-]*")


def _without_value(keeps: Callable[[str, str], bool], match: re.Match[bytes]) -> bytes:
    """Replace what a text assigns to a name, unless it is kept under the whole of that name."""
    text, start = match.string, match.start("name")
    before = text[max(0, start - _LONGEST_NAME) : start][::-1]
    name = text[start - _NAME_BACKWARDS.match(before).end() : match.end("name")]  # type: ignore[union-attr]
    if text[: match.end("name") - len(name)].endswith(b"\\"):
        name = name[1:]  # The letter of an escape.
    return match[0] if keeps(name.decode(), match[0][len(match[1]) :].decode()) else match[1] + b"[redacted]"


def without_credentials(line: bytes, lower: str, keeps: Callable[[str, str], bool] | None = None) -> bytes:
    """Replace what looks like a credential in an encoded line.

    >>> line = b'{"event":"401 for Bearer abcdef0123456789"}'
    >>> without_credentials(line, line.decode().lower())
    b'{"event":"401 for Bearer [redacted]"}'

    :param lower: The line in lower case; it may be the line as it was before other secrets were replaced.
    :param keeps: Tells of a name that ends in one of the `NAMES`, and of what is assigned to it, whether that is kept;
        None where the line has none of them.
    """
    for shape in _SHAPES:
        for mark in shape.marks:
            if mark in lower:
                line = shape.pattern.sub(shape.replacement, line)
                break
    if keeps is not None:
        without_value = functools.partial(_without_value, keeps)
        for shape in _NAMED:
            if any(mark in lower for mark in shape.marks):
                line = shape.pattern.sub(without_value, line)
        if _PEM.marks[0] in lower:
            line = _PEM.pattern.sub(_PEM.replacement, line)
    return line
