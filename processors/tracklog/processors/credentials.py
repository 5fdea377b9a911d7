"""What credentials look like in the text of a line, whatever their key."""

import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from tracklog.processors.keys import SecretKeys


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
    parts = re.split(rb"[-_]", match[0])[1:]
    is_name = all(map(_WORD.fullmatch, parts)) and sum(part.isdigit() for part in parts) < len(parts) / 2
    return match[0] if is_name else b"[redacted]"


_WORD: Final = re.compile(rb"[A-Z]?[a-z]{2,16}|[A-Z]{2,16}|v?[0-9]{1,4}")


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


@dataclass(frozen=True, slots=True)
class _Assignment:
    """How a text gives a value to a name."""

    marks: tuple[str, ...]
    """Texts, in lower case, without one of which it cannot be there."""
    behind: re.Pattern[bytes]
    """What stands between: the group begins where the name has ended, and the value follows."""
    value: re.Pattern[bytes]


_UNQUOTED: Final = re.compile(rb"[^\s&;,\"\\'<>)]+")
_QUOTED: Final = re.compile(rb"[^\"\\']+")

# These are only looked for in a line that has one of the words somewhere.
NAMES: Final = ("key", "token", "secret", "passw", "passp", "pwd", "authorization", "cookie")
_ASSIGNMENTS: Final = (
    _Assignment(
        # In a text that quotes: JSON that is cut short or stands amid prose, or what Python prints of a dict.
        ('\\"', "': "),
        re.compile(
            rb"(?i)((?:'|\\)(?=[: \\\"])"
            + _behind(rb"[\\']")
            + rb"(?:(?<=')|(?<=\\)(?:\\\\){0,3}\") {0,8}: {0,8}b?"
            + _QUOTE
            + rb")"
        ),
        _QUOTED,
    ),
    _Assignment(
        # What Python prints of a header that is a pair: two texts in brackets, and nothing else.
        ("('", "(b'"),
        re.compile(rb"(?i)\(b?'[a-z0-9_-]{1,128}('" + _behind(b"'") + rb", {1,8}b?" + _QUOTE + rb")"),
        re.compile(rb"[^\"\\']+(?=" + _QUOTE + rb"\))"),
    ),
    _Assignment(
        # A line of a program or of its settings.
        ('= \\"', "= '"),
        re.compile(rb"(?i)( (?= {0,7}= )" + _behind(b" ") + rb" {0,7}= {1,8}" + _QUOTE + rb")"),
        _QUOTED,
    ),
    _Assignment(
        ("authorization: ", "api-key: ", "api_key: "),
        re.compile(rb"(?i)(?:authorization|api[_-]key)(: {1,8}(?:(?:token|key|bearer|basic|digest) {1,8})?)"),
        re.compile(_TOKEN + rb"{8,}"),
    ),
    _Assignment(
        # A header of cookies, which are pairs; the attributes of one that is set are such too.
        ("cookie: ",),
        re.compile(rb"(?i)cookie(: {1,8})"),
        re.compile(_PAIR + rb"(?:; {0,8}" + _PAIR + rb")*"),
    ),
    # Options of a command line. What follows without a quote may be prose, which has no digits or signs.
    _Assignment(
        ("--",),
        re.compile(rb"(?i)" + _OPTION + rb"( {1,8})"),
        re.compile(rb"(?i)(?=[a-z]{0,256}[^a-z\s\"\\',.;:!?)-])[^\s\"\\']+"),
    ),
    _Assignment(
        ("--",), re.compile(rb"(?i)" + _OPTION + rb"((?: {1,8}|" + _QUOTE + rb", {0,8})" + _QUOTE + rb")"), _QUOTED
    ),
    _Assignment(("=",), re.compile(rb"(?i)(=" + _behind(b"=") + rb"(?:\\\"|')?)"), _UNQUOTED),
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


def _without_values(line: bytes, lower: str, keys: SecretKeys) -> bytes:
    """Replace what a text assigns to the names of secrets."""
    # All are found before any is replaced: a value may go on to the name of another.
    found = sorted(
        place
        for assignment in _ASSIGNMENTS
        if any(mark in lower for mark in assignment.marks)
        for place in _values(assignment, keys, line)
    )
    pieces: list[bytes] = []
    done = 0
    for begin, end in found:
        if begin >= done:
            pieces += line[done:begin], b"[redacted]"
        done = max(done, end)
    return b"".join((*pieces, line[done:])) if pieces else line


def _values(assignment: _Assignment, keys: SecretKeys, line: bytes) -> Iterator[tuple[int, int]]:
    """Find where what is assigned to the names of secrets begins and ends.

    What is assigned to another name is looked into as well: there may be one with a secret in it, as in an address.
    """
    at = 0
    while (found := assignment.behind.search(line, at)) is not None:
        at = found.end()
        name = _name_before(line, found.start(1))
        if keys.tells_in_text(name) and (value := assignment.value.match(line, at)) is not None:
            at = value.end()
            if not keys.keeps_text(name, value[0].decode()):
                yield value.span()


def _name_before(line: bytes, end: int) -> str:
    begin = max(0, end - _LONGEST_NAME)
    begin = end - len(_NAME_BACKWARDS.match(line[begin:end][::-1])[0])  # type: ignore[index]
    before = line[max(0, begin - _LONGEST_NAME) : begin]
    if (len(before) - len(before.rstrip(b"\\"))) % 2:
        begin += 1  # The letter of an escape is none of the name.
    return line[begin:end].decode()


def without_credentials(line: bytes, lower: str, keys: SecretKeys | None = None) -> bytes:
    """Replace what looks like a credential in an encoded line.

    >>> line = b'{"event":"401 for Bearer abcdef0123456789"}'
    >>> without_credentials(line, line.decode().lower())
    b'{"event":"401 for Bearer [redacted]"}'

    :param lower: The line in lower case; it may be the line as it was before other secrets were replaced.
    :param keys: Tells which names are those of secrets; None where there is none of the `NAMES`.
    """
    for shape in _SHAPES:
        for mark in shape.marks:
            if mark in lower:
                line = shape.pattern.sub(shape.replacement, line)
                break
    if keys is not None:
        line = _without_values(line, lower, keys)
        if _PEM.marks[0] in lower:
            line = _PEM.pattern.sub(_PEM.replacement, line)
    return line
