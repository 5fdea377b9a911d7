"""Which names hold secrets: of keys, and of what a text assigns to."""

import re
from collections.abc import Iterable
from typing import Any, Final

CONTAINERS: Final = ("auth", "credential", "credentials")
"""An object under such a key keeps its shape: whatever it holds is a secret."""

PROVIDERS: Final = (
    *("openai", "anthropic", "gemini", "google", "azure", "aws", "mistral", "cohere", "groq", "deepseek", "openrouter"),
    *("huggingface", "hf", "replicate", "pinecone", "langsmith", "tavily", "stripe", "github", "gitlab", "sendgrid"),
)
"""Whose keys are secrets; `cache_key` and `primary_key` are none."""

KEY_WORDS: Final = (
    *("api_key", "apikey", "access_key", "private_key", "secret_key", "account_key", "auth_key", "ssh_key"),
    *("signing_key", "encryption_key", "master_key", *(f"{provider}_key" for provider in PROVIDERS)),
    *("password", "passwd", "pgpassword", "passphrase", "pwd", "authorization", "token", "secret", "cookie"),
    *("api_keys", "access_keys", "private_keys", "secret_keys", "passwords", "secrets", "cookies"),
    *("access_tokens", "refresh_tokens", "auth_tokens", *CONTAINERS),
)
"""A key whose last word is one of these holds a secret, also with a number behind: `access_token` and `password2` do,
`tokens_used` does not."""

HARMLESS_WORDS: Final = (
    # Tokens of a text, and the places in it that models know.
    *("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token", "image_token"),
    *("start_token", "end_token", "stop_token", "decoded_token"),
    # Where a list goes on, and what the Model Context Protocol calls a request by.
    *("page_token", "next_token", "continuation_token", "sync_token", "progress_token"),
    # Which sort of authentication it is.
    *("auth0", "o_auth", "o_auth2"),
)
"""A key whose last words are these holds none."""

_MEASURES: Final = frozenset(("per", "first", "max", "min", "mean", "avg", "total"))
"""Right behind one of these, `token` is what is measured: `time_to_first_token`, `cost_per_token`."""

_CONTAINERS: Final = frozenset(CONTAINERS)
_PLURALS: Final = frozenset(("keys", "passwords", "secrets", "cookies", "tokens", "credentials"))
"""A number of them is no secret."""

_REMEMBERED: Final = 4096
"""Keys are few and come again; but where keys are data, they must not fill the memory."""

_DIGITS: Final = tuple("0123456789")

_MOST: Final = 1e9
"""A larger number is rarely a count or a measure, and may be a secret."""

_LONGEST: Final = 256
"""A longer key is data."""

_CASE_CHANGE: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NO_WORD: Final = re.compile(r"[\W_]+")

_RUN_TOGETHER: Final = re.compile(
    r"(?:(?:api|access|private|secret|account)[_-]?key|password|passwd|passphrase|pwd|authorization|token|secret|cookie)"
    r"(?:_?\d{1,3})?\Z",
    re.ASCII | re.IGNORECASE,
)

_PATH: Final = re.compile(r"[^=?@]*")
"""Of a directory, and no more than that."""

_NOTHING: Final = frozenset(("none", "null", "true", "false"))
_NUMBER: Final = re.compile(r"[+-]?\d{1,9}(?:\.\d{0,17})?(?:e[+-]?\d{1,3})?(?:[mnuµk]?s|%)?", re.ASCII | re.IGNORECASE)
"""With its unit."""


class SecretKeys:
    """Tell the names of secrets from others by the words they end in; the most words that are known decide.

    >>> keys = SecretKeys(("ssn", "-cookie"))
    >>> [keys.is_secret(name) for name in ("my_ssn", "access_token", "nextPageToken", "cookie", "tokens_used")]
    [True, True, False, False, False]

    :param words: More words that tell a secret; with a `-` before it, one that does not.
    :raises TypeError: A word is no text.
    :raises ValueError: A word has no letter or digit.
    """

    def __init__(self, words: Iterable[str] = ()) -> None:
        words = tuple(words)
        for word in words:
            if not isinstance(word, str):
                raise TypeError(f"a word of redact is a text, not {word!r}")
        self._words = {
            **dict.fromkeys(KEY_WORDS, True),
            **dict.fromkeys(HARMLESS_WORDS, False),
            **{"_".join(_words_of(word)): not word.startswith("-") for word in words},
        }
        if "" in self._words:
            raise ValueError("a word of redact has no letter or digit")
        self.last_words = frozenset(word.rpartition("_")[2] for word, tells in self._words.items() if tells)
        """A name that holds a secret ends in one of these."""
        self._known: dict[str, bool | None] = {}

    def is_secret(self, name: str) -> bool:
        """Tell whether a name is that of a secret."""
        return self._told(name) is True

    def keeps(self, name: str, value: Any) -> bool:
        """Tell whether a value is kept, whatever its name: whether there is a secret is none, and neither is a measure.

        >>> keys = SecretKeys()
        >>> keys.keeps("has_password", True), keys.keeps("time_to_first_token", 0.3), keys.keeps("password", 1234)
        (True, True, False)
        """
        if value is None or value is True or value is False:
            return True
        if isinstance(value, str):
            return _is_measure_or_path(name, value)
        return isinstance(value, (int, float)) and (_is_plural(name) or _is_measure(name)) and abs(value) < _MOST

    def is_container(self, name: str) -> bool:
        """Tell whether the name of a secret is that of several, in an object."""
        return not _CONTAINERS.isdisjoint(_words_of(_unnumbered(name))[-1:])

    def tells_in_text(self, name: str) -> bool:
        """Tell whether a text names a secret so; there, names are also run together, as CSRFTOKEN."""
        told = self._told(name)
        return told is True or (told is None and _RUN_TOGETHER.search(name) is not None)

    def keeps_text(self, name: str, value: str) -> bool:
        """Tell whether what a text assigns to the name of a secret is kept."""
        return value.lower() in _NOTHING or _is_measure_or_path(name, value)

    def _told(self, name: str) -> bool | None:
        """Tell whether a name ends in words of a secret, or in others that are known; None where in neither."""
        try:
            return self._known[name]
        except KeyError:
            pass
        end = name[-_LONGEST:]
        told = self._told_by(_words_of(end))
        if told is None and end.endswith(_DIGITS):
            told = self._told_by(_words_of(_unnumbered(end)))
        if len(self._known) < _REMEMBERED and len(name) <= _LONGEST:
            self._known[name] = told
        return told

    def _told_by(self, words: list[str]) -> bool | None:
        ends = ("_".join(words[at:]) for at in range(len(words)))
        return next((self._words[end] for end in ends if end in self._words), None)


def _is_measure(name: str) -> bool:
    words = _words_of(_unnumbered(name))
    return words[-1:] == ["token"] and not _MEASURES.isdisjoint(words[-2:-1])


def _is_plural(name: str) -> bool:
    return not _PLURALS.isdisjoint(_words_of(_unnumbered(name))[-1:])


def _is_measure_or_path(name: str, value: str) -> bool:
    """Tell a measure, as decimal numbers are written, and the directory that shells call PWD, from secrets."""
    if value.startswith("/"):
        is_directory = name in ("PWD", "OLDPWD") or (name == "pwd" and value.count("/") > 1)
        return is_directory and _PATH.fullmatch(value) is not None
    return _is_measure(name) and _NUMBER.fullmatch(value) is not None


def _unnumbered(name: str) -> str:
    return name.rstrip("0123456789")


def _words_of(name: str) -> list[str]:
    """Split a name into its words.

    >>> _words_of("OPENAI_API_KEY"), _words_of("Set-Cookie"), _words_of("apiKey"), _words_of("tokens_used")
    (['openai', 'api', 'key'], ['set', 'cookie'], ['api', 'key'], ['tokens', 'used'])
    """
    return [word for word in _NO_WORD.split(_CASE_CHANGE.sub("_", name).lower()) if word]
