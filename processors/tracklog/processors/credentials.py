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

# A quote of JSON within a line's text, however deep: an even number of backslashes would end that text.
_QUOTE: Final = rb"(?:(?:\\\\){0,3}\\\"|')"

# What the name of a secret ends in. It is looked for behind the sign that follows, as a sign is searched much faster.
_ENDS: Final = (
    *(b"key", b"token", b"secret", b"password", b"passwd", b"passphrase", b"pwd", b"authorization", b"cookie"),
    *(rb"[a-z][0-9]", rb"[a-z][0-9]{2}", rb"_[0-9]", rb"_[0-9]{2}"),
)


def _behind(sign: bytes) -> bytes:
    return rb"(?:" + rb"|".join(rb"(?<=" + end + sign + rb")" for end in _ENDS) + rb")"


# A name that is an option of a command line.
_OPTION: Final = rb"--(?:(?<![A-Za-z0-9_-]--)|(?<=\\[nrt]--))[a-z][a-z0-9_-]{1,64}"

# A cookie, or an attribute of one.
_PAIR: Final = rb"[^\s;,=\"\\']{1,128}=(?:\\\"[^\"\\]*\\\"|[^\s;\"\\']*)"

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
        # Of Groq, xAI, Replicate, LangSmith, Tavily, Perplexity, Pinecone, GitLab, npm, PyPI, SendGrid, Google, Stripe
        # and DigitalOcean, in the lengths and letters that they publish.
        (
            *("gsk_", "xai-", "r8_", "lsv2_", "tvly-", "pplx-", "pcsk_", "glpat-", "npm_", "pypi-age", "sg.", "ya29."),
            *("gocspx-", "aq.ab", "whsec_", "dop_v1_"),
        ),
        re.compile(
            _START
            + rb"(?:gsk_[A-Za-z0-9]{40,}|xai-[A-Za-z0-9]{40,}|r8_[A-Za-z0-9]{36,}"
            + rb"|lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}|tvly-[A-Za-z0-9_-]{28,}|pplx-[A-Za-z0-9]{40,}"
            + rb"|pcsk_[A-Za-z0-9]{4,8}_[A-Za-z0-9]{30,}|glpat-[A-Za-z0-9_-]{20,}(?:\.[0-9a-z]{2}\.[0-9a-z]{7,9})?"
            + rb"|npm_[A-Za-z0-9]{36}|pypi-AgE[A-Za-z0-9_-]{16,}|SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}"
            + rb"|ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{24,}|AQ\.Ab[A-Za-z0-9_-]{30,}"
            + rb"|whsec_[A-Za-z0-9+/]{24,}={0,2}|dop_v1_[0-9a-f]{64})"
        ),
    ),
    # Whoever knows these addresses of Slack and Telegram may write there.
    _Shape(
        ("hooks.slack.com/",),
        re.compile(rb"(hooks\.slack\.com/(?:services|workflows|triggers)/)[A-Za-z0-9_/+-]{16,}"),
        rb"\1[redacted]",
    ),
    _Shape(("/bot",), re.compile(rb"(/bot[0-9]{6,12}:)[A-Za-z0-9_-]{30,}"), rb"\1[redacted]"),
    _Shape(
        # To the last @ before a slash; and with slashes in the password, where it does not begin as a port does.
        ("://",),
        re.compile(rb"://[^\s/\"\\:@?#]*:(?:[^\s/\"\\]+|(?![0-9]*[/?#])[^\s\"\\@]{1,128})@"),
        b"://[redacted]@",
    ),
)

_MARKS: Final = tuple(mark for shape in _SHAPES for mark in shape.marks)

MARKS_BEHIND: Final = tuple((sign, tuple(mark for mark in _MARKS if sign in mark)) for sign in "_-./")
MARKS: Final = tuple(mark for mark in _MARKS if not any(sign in mark for sign in "_-./"))
"""What has none of these, nor of the `NAMES`, nor of those that have one of its signs, has no credential."""

# These are only looked for in a line that has one of the words somewhere. Before the first group stands the name; the
# group is what is left, and what stands behind it is the value.
NAMES: Final = ("key", "token", "secret", "passw", "passp", "pwd", "authorization", "cookie")
_NAMED: Final = (
    _Shape(("=",), re.compile(rb"(?i)(=" + _behind(b"=") + rb"(?:\\\"|')?)[^\s&;,\"\\'<>)]+")),
    _Shape(
        # In a text that quotes: JSON that is cut short or stands amid prose, or what Python prints of a dict.
        ('\\"', "': "),
        re.compile(
            rb"(?i)((?:'|\\)(?=[: \\\"])"
            + _behind(rb"[\\']")
            + rb"(?:(?<=')|(?<=\\)(?:\\\\){0,3}\") {0,8}: {0,8}b?"
            + _QUOTE
            + rb")[^\"\\']+"
        ),
    ),
    _Shape(
        # What Python prints of a header that is a pair: two texts in brackets, and nothing else.
        ("('", "(b'"),
        re.compile(
            rb"(?i)\(b?'[a-z0-9_-]{1,128}('"
            + _behind(b"'")
            + rb", {1,8}b?"
            + _QUOTE
            + rb")[^\"\\']+(?="
            + _QUOTE
            + rb"\))"
        ),
    ),
    _Shape(
        # A line of a program or of its settings.
        ('= \\"', "= '"),
        re.compile(rb"(?i)( (?= {0,7}= )" + _behind(b" ") + rb" {0,7}= {1,8}" + _QUOTE + rb")[^\"\\']+"),
    ),
    _Shape(
        ("authorization: ", "api-key: ", "api_key: "),
        re.compile(
            rb"(?i)(?:authorization|api[_-]key)(: {1,8}(?:(?:token|key|bearer|basic|digest) {1,8})?)"
            + _TOKEN
            + rb"{8,}"
        ),
    ),
    _Shape(
        # A header of cookies, which are pairs; the attributes of one that is set are such too.
        ("cookie: ",),
        re.compile(rb"(?i)cookie(: {1,8})" + _PAIR + rb"(?:; {0,8}" + _PAIR + rb")*"),
    ),
    # Options of a command line. What follows without a quote may be prose, which has no digits or signs.
    _Shape(("--",), re.compile(rb"(?i)" + _OPTION + rb"( {1,8})(?=[a-z]{0,256}[^a-z\s\"\\',.;:!?)-])[^\s\"\\']+")),
    _Shape(("--",), re.compile(rb"(?i)" + _OPTION + rb"((?: {1,8}|" + _QUOTE + rb", {0,8})" + _QUOTE + rb")[^\"\\']+")),
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
    text, end = match.string, match.start(1)
    begin = end - len(_NAME_BACKWARDS.match(text[max(0, end - _LONGEST_NAME) : end][::-1])[0])  # type: ignore[index]
    if text[begin - 1 : begin] == b"\\":
        begin += 1  # The letter of an escape is none of the name.
    value = text[match.end(1) : match.end()]
    if keeps(text[begin:end].decode(), value.decode()):
        return match[0]
    return text[match.start() : match.end(1)] + b"[redacted]"


def without_credentials(line: bytes, lower: str, keeps: Callable[[str, str], bool] | None = None) -> bytes:
    """Replace what looks like a credential in an encoded line.

    >>> line = b'{"event":"401 for Bearer abcdef0123456789"}'
    >>> without_credentials(line, line.decode().lower())
    b'{"event":"401 for Bearer [redacted]"}'

    :param lower: The line in lower case; it may be the line as it was before other secrets were replaced.
    :param keeps: Tells of a name and of what is assigned to it whether that is kept; None where there is none of the
        `NAMES`.
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
