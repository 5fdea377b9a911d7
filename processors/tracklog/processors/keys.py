"""Which names hold secrets: of keys, and of what a text assigns to."""

import re
from collections.abc import Iterable
from typing import Any, Final

KEY_WORDS: Final = (
    *("api_key", "apikey", "access_key", "private_key", "secret_key", "authorization"),
    *("password", "passwd", "pgpassword", "token", "secret", "cookie"),
)
"""A key whose last word is one of these holds a secret: `access_token` does, `tokens_used` does not."""

HARMLESS_WORDS: Final = (
    # Tokens of a text, and the places in it that models know.
    *("bos_token", "eos_token", "pad_token", "unk_token", "sep_token", "cls_token", "mask_token", "image_token"),
    *("start_token", "end_token", "stop_token", "decoded_token"),
    # Where a list goes on.
    *("page_token", "next_token", "continuation_token"),
)
"""A key whose last words are these holds none."""

_MEASURES: Final = frozenset(("per", "first", "last", "next", "max", "min", "mean", "avg", "total", "cost", "price"))
"""With one of these before it, `token` is what is measured: `time_to_first_token`, `cost_per_token`."""

_REMEMBERED: Final = 4096
"""Keys are few and come again; but where keys are data, they must not fill the memory."""

_LONGEST: Final = 256
"""A longer key is data."""

_CASE_CHANGE: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NO_WORD: Final = re.compile(r"[\W_]+")

_NOTHING: Final = frozenset(("none", "null", "true", "false"))
_NUMBER: Final = re.compile(r"[+-]?\d+(?:\.\d*)?(?:e[+-]?\d+)?[a-zµ%]{0,2}", re.ASCII | re.IGNORECASE)
"""With its unit."""


class SecretKeys:
    """Tell the names of secrets from others by the words they end in; the most words that are known decide.

    >>> keys = SecretKeys(("ssn", "-cookie"))
    >>> [keys.is_secret(name) for name in ("my_ssn", "access_token", "nextPageToken", "cookie", "tokens_used")]
    [True, True, False, False, False]

    :param words: More words that tell a secret; with a `-` before it, one that does not.
    :raises ValueError: A word has no letter or digit.
    """

    def __init__(self, words: Iterable[str] = ()) -> None:
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
        return isinstance(value, (int, float)) and _is_measure(_words_of(name))

    def keeps_text(self, name: str, value: str) -> bool:
        """Tell whether what a text assigns to a name that ends like that of a secret is kept, as `keeps` does."""
        if self._told(name) is False or value.lower() in _NOTHING:
            return True
        return _NUMBER.fullmatch(value) is not None and _is_measure(_words_of(name))

    def _told(self, name: str) -> bool | None:
        """Tell whether a name ends in words of a secret, or in others that are known; None where in neither."""
        try:
            return self._known[name]
        except KeyError:
            pass
        words = _words_of(name[-_LONGEST:])
        told = next(
            (self._words[end] for at in range(len(words)) if (end := "_".join(words[at:])) in self._words), None
        )
        if len(self._known) < _REMEMBERED and len(name) <= _LONGEST:
            self._known[name] = told
        return told


def _is_measure(words: list[str]) -> bool:
    return words[-1:] == ["token"] and not _MEASURES.isdisjoint(words)


def _words_of(name: str) -> list[str]:
    """Split a name into its words.

    >>> _words_of("OPENAI_API_KEY"), _words_of("Set-Cookie"), _words_of("apiKey"), _words_of("tokens_used")
    (['openai', 'api', 'key'], ['set', 'cookie'], ['api', 'key'], ['tokens', 'used'])
    """
    return [word for word in _NO_WORD.split(_CASE_CHANGE.sub("_", name).lower()) if word]
