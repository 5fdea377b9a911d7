"""Stand in for a language model that is paid for: it answers by simple rules, takes its time, and makes mistakes."""

import asyncio
import re
from collections.abc import Callable
from typing import Any, Final

from tracklog.analytics.demo.manuscript import sentences, telling

Message = dict[str, str]

_HOURS: Final = ("nine", "ten", "eleven", "midnight", "one", "two")

_WINDOW: Final = 320
"""Tokens that fit into the model's memory; what is beyond is read from disk, and that is slow."""

_SECONDS_A_TOKEN: Final = 0.0015
_SECONDS_A_TOKEN_BEYOND: Final = 0.15


class ModelOverloadedError(Exception):
    """The model answers as many requests as it can."""


class LocalModel:
    """Answer messages: the first word of the system's chooses the rule, the user's is a question, a blank line, a text.

    :param slots: How many requests are answered at the same time; more are refused.
    """

    name = "quill-mini"

    def __init__(self, slots: int = 4) -> None:
        self._slots = slots
        self._busy = 0

    async def chat(self, messages: list[Message]) -> dict[str, Any]:
        """Give the answer as `content`, `finish_reason` and `usage`.

        :raises ModelOverloadedError: All slots are taken.
        """
        if self._busy >= self._slots:
            raise ModelOverloadedError(f"all {self._slots} slots are taken")
        self._busy += 1
        try:
            system, user = messages[0]["content"], messages[-1]["content"]
            question, _, text = user.partition("\n\n")
            read = _tokens(system) + _tokens(user)
            await asyncio.sleep(read * _SECONDS_A_TOKEN + max(0, read - _WINDOW) * _SECONDS_A_TOKEN_BEYOND)
            content = _RULES[system.split()[0]](question, text)
            written = _tokens(content)
            await asyncio.sleep(written * _SECONDS_A_TOKEN)
        finally:
            self._busy -= 1
        usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        return {"content": content, "finish_reason": "stop", "usage": usage}


def _tokens(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]", text))


def _choose(question: str, text: str) -> str:
    """Name those whose description shares a word with the question, and the words."""
    lines = (line.partition(": ") for line in text.splitlines())
    shared = ((name, telling(question) & telling(about)) for name, _, about in lines)
    return "\n".join(f"{name}: {', '.join(sorted(words))}" for name, words in shared if words)


def _find(question: str, text: str) -> str:
    """Quote the two sentences that share most words with the question."""
    asked = telling(question)
    best = sorted(sentences(text), key=lambda sentence: -len(asked & telling(sentence)))
    return " ".join(best[:2])


def _compare(_question: str, text: str) -> str:
    """Say whether notes, a line each, name the same hour."""
    hours: dict[str, str] = {}
    for note in text.splitlines():
        for hour in re.findall(r"\b(?:at|strike) (\w+)", note.lower()):
            if hour in _HOURS:
                hours[hour] = note.partition(":")[0]
    named = " and ".join(f"{hour} in {where}" for hour, where in hours.items())
    return f"They {'disagree' if len(hours) > 1 else 'agree'}: {named or 'no hour is named'}."


def _judge(_question: str, text: str) -> str:
    """Give the longest sentence as JSON. Like its betters it forgets at times to escape a quotation mark."""
    longest = max(sentences(text), key=_tokens)
    return f'{{"longest": "{longest}", "words": {_tokens(longest)}}}'


def _proofread(_question: str, text: str) -> str:
    """Name the words that stand twice in a row."""
    return ", ".join(re.findall(r"\b(\w+)\s+\1\b", text)) or "nothing"


def _summarise(_question: str, text: str) -> str:
    """Give the first sentence of each note."""
    return " ".join(sentences(note + ".")[0].replace("..", ".") for note in text.splitlines() if note.strip(" ."))


_RULES: Final[dict[str, Callable[[str, str], str]]] = {
    "Choose": _choose,
    "Find": _find,
    "Compare": _compare,
    "Judge": _judge,
    "Proofread": _proofread,
    "Summarise": _summarise,
}
