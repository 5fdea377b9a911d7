"""Keep secrets off the disk: values under telling keys, and values that look like credentials."""

import re
from base64 import b64decode
from collections.abc import Callable, Iterable
from typing import Any, Final

import orjson

KEY_WORDS: Final = ("api_key", "apikey", "authorization", "password", "token", "secret", "cookie")
"""A key whose last word is one of these holds a secret: `access_token` does, `tokens_used` does not."""

REDACTED: Final = "[redacted]"

_CASE_CHANGE: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NO_WORD: Final = re.compile(r"[^a-z0-9]+")

_Replacement = bytes | Callable[[re.Match[bytes]], bytes]


def _without_basic(match: re.Match[bytes]) -> bytes:
    """Replace a user's name and password, which are one text in base64 (RFC 7617)."""
    scheme, _, encoded = match[0].rpartition(b" ")
    try:
        is_credential = b":" in b64decode(encoded, validate=True)
    except ValueError:
        is_credential = False
    return scheme + b" [redacted]" if is_credential else match[0]


# What a credential looks like in the text of a line. None of the patterns takes a quote or a backslash, so that what is
# left is still JSON. Each stands behind bytes without which it cannot be there: looking for those is much faster.
# Prose is to stay as it is: "basic economy" and "a bearer certificate" are no credentials, so digits or a colon in what
# is encoded are asked for.
_CREDENTIALS: Final[tuple[tuple[tuple[bytes, ...], re.Pattern[bytes], _Replacement], ...]] = tuple(
    (marks, re.compile(pattern), replacement)
    for marks, pattern, replacement in (
        ((b"sk-",), rb"\bsk-(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}", b"[redacted]"),
        ((b"gh",), rb"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})", b"[redacted]"),
        ((b"akia", b"asia"), rb"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", b"[redacted]"),
        ((b"xox",), rb"\bxox[abeoprs]-[A-Za-z0-9-]{10,}", b"[redacted]"),
        ((b"aiza",), rb"\bAIza[A-Za-z0-9_-]{30,}", b"[redacted]"),
        ((b"bearer ",), rb"(?i)\b(bearer) +(?=[A-Za-z._~+/=-]*[0-9])[A-Za-z0-9._~+/=-]{16,}", rb"\1 [redacted]"),
        ((b"basic ",), rb"\b([Bb]asic) +[A-Za-z0-9+/]{6,}={0,2}", _without_basic),
        ((b"eyj",), rb"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*", b"[redacted]"),
        ((b"://",), rb"://[^\s/\"\\:@]*:[^\s/\"\\@]+@", b"://[redacted]@"),
        (
            (b"key=", b"token=", b"secret=", b"password="),
            rb"(?i)((?:api[_-]?key|token|secret|password)=)[^\s&;,\"\\'<>)]+",
            rb"\1[redacted]",
        ),
        (
            (b'\\"',),
            rb'(?i)(\\"(?:[\w.-]*[_.-])?(?:api[_-]?key|authorization|password|token|secret|cookie)\\" *: *\\")[^"\\]+',
            rb"\1[redacted]",
        ),
        (
            (b"private key",),
            rb"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[^\"\\]|\\n|\\r)*",
            b"[redacted]",
        ),
    )
)


class Redactor:
    """Replace secrets in an encoded line.

    >>> Redactor(("ssn",))(b'{"access_token":"abc","tokens_used":3,"ssn":{"a":1},"url":"https://me:pw@host/"}')
    b'{"access_token":"[redacted]","tokens_used":3,"ssn":"[redacted]","url":"https://[redacted]@host/"}'

    :param words: More words that a key may end in.
    """

    def __init__(self, words: Iterable[str] = ()) -> None:
        if isinstance(words, str):
            raise TypeError("redact takes words, not one text")
        self._words = frozenset("_".join(_words_of(word)) for word in (*KEY_WORDS, *words))
        # A key ends in the word, and then in its quote: few lines have that, and only they are looked into.
        last = {word.rpartition("_")[2] for word in self._words}
        self._marks = tuple(word.encode() + b'":' for word in sorted(last))
        self._known: dict[str, bool] = {}

    def __call__(self, line: bytes) -> bytes:
        """Give the line, a JSON object, without its secrets."""
        lower = line.lower()
        for mark in self._marks:
            if mark in lower:
                line = orjson.dumps(self._without_secrets(orjson.loads(line)))
                break
        for marks, pattern, replacement in _CREDENTIALS:
            for mark in marks:
                if mark in lower:
                    line = pattern.sub(replacement, line)
                    break
        return line

    def _without_secrets(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: REDACTED if item is not None and self._is_secret(key) else self._without_secrets(item)
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [self._without_secrets(item) for item in value]
        return value

    def _is_secret(self, key: str) -> bool:
        known = self._known.get(key)
        if known is None:
            words = _words_of(key)
            known = any("_".join(words[start:]) in self._words for start in range(len(words)))
            if len(self._known) < _REMEMBERED_KEYS:
                self._known[key] = known
        return known


_REMEMBERED_KEYS: Final = 4096
"""Keys are few and come again; but where keys are data, they must not fill the memory."""


def _words_of(key: str) -> list[str]:
    """Split a key into its words.

    >>> _words_of("OPENAI_API_KEY"), _words_of("Set-Cookie"), _words_of("apiKey"), _words_of("tokens_used")
    (['openai', 'api', 'key'], ['set', 'cookie'], ['api', 'key'], ['tokens', 'used'])
    """
    return [word for word in _NO_WORD.split(_CASE_CHANGE.sub("_", key).lower()) if word]
