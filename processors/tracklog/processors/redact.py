"""Keep secrets off the disk: values under telling keys, and values that look like credentials."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import orjson

from tracklog.processors.credentials import MARKS, MARKS_BEHIND, NAMES, without_credentials
from tracklog.processors.keys import SecretKeys
from tracklog.processors.schema import EXAMPLES, is_schema

REDACTED: Final = "[redacted]"

_REMEMBERED_KEYS: Final = 4096
"""Keys are few and come again; but where keys are data, they must not fill the memory."""

_REMEMBERED_TEXT: Final = 1 << 20
"""Characters of texts that are remembered as clear: most of what a program logs, and what it sends to language models
again and again, is the same."""

_LONGEST_TEXT: Final = 1 << 14
"""A longer text is rarely the same again."""

_LONGEST_LINE: Final = 1 << 18
"""A longer line is looked through as it is."""

_PROBABILITIES: Final = frozenset(("logprob", "log_probability", "logProbability"))

_OPTION: Final = re.compile(r"--?\w[\w-]{0,64}")

_NO_TEXT: Final = frozenset((int, float, bool, type(None)))

_LONGEST_KEY: Final = 256
"""A longer key is data."""


class Redactor:
    """Replace secrets in an encoded line.

    >>> Redactor(("ssn",))(b'{"access_token":"abc","tokens_used":3,"ssn":{"a":1},"url":"https://me:pw@host/"}')
    b'{"access_token":"[redacted]","tokens_used":3,"ssn":"[redacted]","url":"https://[redacted]@host/"}'

    :param words: More words that a key may end in; with a `-` before it, one that is no secret's.
    :raises ValueError: A word has no letter or digit.
    """

    def __init__(self, words: Iterable[str] = ()) -> None:
        if isinstance(words, str) or not isinstance(words, Iterable):
            raise TypeError(f'redact takes several words, such as ("ssn",), not {words!r}')
        self._secret = SecretKeys(words)
        self._is_secret = self._secret.is_secret
        # Few lines have such a word at all, and of those few have it at the end of a key: only they are looked into.
        last = self._secret.last_words
        marks = last.union(NAMES)
        self._marks = tuple(
            mark for mark in sorted(marks) if not any(other in mark for other in marks if other != mark)
        )
        # In a text that is itself JSON, the quotes are behind backslashes; in a list of pairs, a comma follows.
        ends = "|".join(re.escape(word) for word in sorted(last))
        self._key = re.compile(rf'(?:{ends})(?:[^\w"\\]|[\d_]){{0,8}}\\{{0,7}}"\s{{0,8}}[:,]')
        self._every_mark = (*self._marks, *MARKS)
        self._keys: set[str] = set()
        """Keys that are known to name no secret, and to be none."""
        self._texts: set[str] = set()
        """Texts that are known to hold no secret."""
        self._room = _REMEMBERED_TEXT

    def redacted(self, fields: Mapping[Any, Any], line: bytes) -> bytes:
        """Give the line of these fields without its secrets; quickly, where most of it was seen before.

        A secret lies within one text, or its key tells. So a line is clear when each of its keys and texts is, and only
        unknown ones are looked through.
        """
        keys, texts = self._keys, self._texts
        try:
            unknown: list[str] = []
            for value in fields.values():
                kind = type(value)
                if kind is str:
                    if value not in texts:
                        unknown.append(value)
                elif kind not in _NO_TEXT:
                    # What was written counts, and not what an object is meanwhile.
                    is_clear = len(line) <= _LONGEST_LINE and self._gather(orjson.loads(line), unknown := [])
                    break
            else:
                is_clear = keys.issuperset(fields) or all(key in keys or self._is_clear_key(key) for key in fields)
            if is_clear and unknown:
                is_clear = self._are_clear(unknown)
        except Exception:  # noqa: BLE001 -- keys of other types, texts that are no Unicode, deep nesting.
            is_clear = False
        return line if is_clear else self(line)

    def _are_clear(self, unknown: list[str]) -> bool:
        """Tell whether there is no secret in some texts, and remember them if so."""
        if suspicious := [text for text in unknown if not self._is_plain(text)]:
            encoded = orjson.dumps(suspicious)
            if self(encoded) != encoded or any(map(self._is_option, suspicious)):
                return False
        texts = self._texts
        for text in unknown:
            if len(text) <= _LONGEST_TEXT:
                self._room -= len(text) + 1
                if self._room < 0:
                    texts.clear()
                    self._room = _REMEMBERED_TEXT
                texts.add(text)
        return True

    def _is_plain(self, text: str) -> bool:
        """Tell whether there is nothing in a text that every secret has."""
        lower = text.lower()
        for mark in self._every_mark:
            if mark in lower:
                return False
        for sign, marks in MARKS_BEHIND:
            if sign in lower:
                for mark in marks:
                    if mark in lower:
                        return False
        return True

    def _gather(self, value: Any, unknown: list[str]) -> bool:
        """Gather the texts that are not known as clear; tells whether the keys are."""
        kind = type(value)
        if kind is str:
            if value not in self._texts:
                unknown.append(value)
        elif kind is dict:
            keys = self._keys
            for key, item in value.items():
                if (key not in keys and not self._is_clear_key(key)) or not self._gather(item, unknown):
                    return False
        elif kind is list:
            if len(value) == 2 and type(value[0]) is str and self._is_secret(value[0]):
                return False  # Perhaps a header.
            for item in value:
                if type(item) not in _NO_TEXT and not self._gather(item, unknown):
                    return False
        return True

    def _is_clear_key(self, key: str) -> bool:
        encoded = orjson.dumps([key])
        if self._is_secret(key) or self(encoded) != encoded:
            return False
        if len(key) <= _LONGEST_KEY:
            if len(self._keys) >= _REMEMBERED_KEYS:
                self._keys.clear()
            self._keys.add(key)
        return True

    def __call__(self, line: bytes) -> bytes:
        """Give the line, a JSON object, without its secrets."""
        lower = line.decode().lower()
        for mark in self._marks:
            if mark in lower:
                break
        else:
            return without_credentials(line, lower)
        if self._key.search(lower) is not None:
            fields = orjson.loads(line)
            cleaned = self._without_secrets(fields, in_list=False)
            if cleaned is not fields:
                line = orjson.dumps(cleaned)
        return without_credentials(line, lower, self._secret)

    def _without_secrets(self, value: Any, *, in_list: bool) -> Any:
        """Give the value without its secrets; the same object, if it has none."""
        if isinstance(value, dict):
            return _members(value, self._field)
        if isinstance(value, list):
            if in_list and len(value) == 2 and isinstance(value[0], str) and self._is_secret(value[0]):
                # Headers are often lists of pairs.
                return _same_or_new(value, [value[0], self._field(value[0], value[1], {})])
            items: list[Any] = []
            before: Any = None
            for item in value:
                if isinstance(item, str) and isinstance(before, str) and self._is_argument(before, item):
                    items.append(REDACTED)
                else:
                    items.append(self._without_secrets(item, in_list=True))
                before = item
            return _same_or_new(value, items)
        if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
            return self._json_without_secrets(value)
        return value

    def _field(self, key: str, value: Any, beside: Mapping[str, Any]) -> Any:
        key = str(key)
        if not self._is_secret(key):
            return self._without_secrets(value, in_list=False)
        if self._secret.keeps(key, value):
            return value
        if isinstance(value, dict) and is_schema(value):
            return _members(value, self._part_of_schema)
        if isinstance(value, dict) and self._secret.is_container(key):
            return _without_texts(value)
        if key == "token" and isinstance(value, str) and not _PROBABILITIES.isdisjoint(beside):
            return value  # A piece of text, and how likely a model found it.
        return REDACTED

    def _part_of_schema(self, key: str, value: Any, _beside: Mapping[str, Any]) -> Any:
        if key in EXAMPLES:
            return _without_texts(value)
        if isinstance(value, list):
            return _same_or_new(value, [self._part_of_schema("", item, {}) for item in value])
        if isinstance(value, dict):
            return _members(value, self._part_of_schema)
        return self._without_secrets(value, in_list=False)

    def _is_option(self, text: str) -> bool:
        """Tell whether what follows a text, where it is an argument of a command line, is a secret."""
        return text.startswith("-") and _OPTION.fullmatch(text) is not None and self._is_secret(text)

    def _is_argument(self, option: str, text: str) -> bool:
        return self._is_option(option) and not text.startswith("-") and not self._secret.keeps_text(option, text)

    def _json_without_secrets(self, text: str) -> str:
        """Look into a text that is JSON, as the arguments of a model's tool calls are."""
        if self._key.search(text.lower()) is None:
            return text
        try:
            value = json.loads(
                text, object_pairs_hook=_object, parse_int=_Number, parse_float=_Number, parse_constant=_Number
            )
            cleaned = self._without_secrets(value, in_list=False)
            if cleaned is value:
                return text
            return orjson.dumps(cleaned, _as_it_stands, orjson.OPT_NON_STR_KEYS).decode()
        except Exception:  # noqa: BLE001
            return text  # No JSON after all, or too deep: the patterns of credentials see it still.


class _Number(float):
    """A number in a text, which is written as it stands: it may have more digits than any type."""

    def __init__(self, text: str) -> None:
        self.text = text


class _Again(str):
    """A name that an object in a text has again: another one, so that both are kept."""

    __slots__ = ()
    __hash__ = object.__hash__
    __eq__ = object.__eq__
    __ne__ = object.__ne__


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        members[_Again(name) if name in members else name] = value
    return members


def _as_it_stands(number: _Number) -> orjson.Fragment:
    return orjson.Fragment(number.text)


def _members(value: dict[str, Any], change: Callable[[str, Any, Mapping[str, Any]], Any]) -> dict[str, Any]:
    """Give an object with each member changed; the same one, if none is."""
    changed = {}
    for key, item in value.items():
        changed[key] = change(key, item, value)
    return changed if any(changed[key] is not value[key] for key in value) else value


def _same_or_new(value: list[Any], items: list[Any]) -> list[Any]:
    return items if any(new is not old for new, old in zip(items, value, strict=True)) else value


def _without_texts(value: Any) -> Any:
    """Give a value that is secret with the shape it has; whether there is one, or may be, is none."""
    if value is None or value is True or value is False:
        return value
    if isinstance(value, dict):
        return _members(value, lambda _key, item, _beside: _without_texts(item))
    return _same_or_new(value, [*map(_without_texts, value)]) if isinstance(value, list) else REDACTED
