"""Token counts, as the answers of model libraries carry them."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from tracklog.processors.usage import TOKEN_COUNTS, counts_of, finish_reason_of, usage_of, whole_of, with_total

OPENAI_CHAT = {
    "id": "chatcmpl-1",
    "choices": [{"message": {"content": "hi"}}],
    "usage": {
        "prompt_tokens": 19,
        "completion_tokens": 10,
        "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 5, "audio_tokens": 0},
    },
}
OPENAI_RESPONSE = {
    "id": "resp_1",
    "usage": {
        "input_tokens": 36,
        "input_tokens_details": {"cached_tokens": 6},
        "output_tokens": 87,
        "output_tokens_details": {"reasoning_tokens": 7},
        "total_tokens": 123,
    },
}
ANTHROPIC = {
    "id": "msg_1",
    "usage": {
        "input_tokens": 2095,
        "cache_creation_input_tokens": 2051,
        "cache_read_input_tokens": 1024,
        "output_tokens": 503,
        "service_tier": "standard",
    },
}


def as_object(value: Any) -> Any:
    """Give a mapping as an object of attributes, as libraries return it."""
    if isinstance(value, list):
        return [as_object(item) for item in value]
    return SimpleNamespace(**{k: as_object(v) for k, v in value.items()}) if isinstance(value, dict) else value


@pytest.mark.parametrize("form", [dict, as_object], ids=["mapping", "object"])
@pytest.mark.parametrize(
    ("answer", "counts"),
    [
        (OPENAI_CHAT, (29, 19, 10, 4, None, 5)),
        (OPENAI_RESPONSE, (123, 36, 87, 6, None, 7)),
        (ANTHROPIC, (None, 2095 + 1024 + 2051, 503, 1024, 2051, None)),
    ],
    ids=["openai chat", "openai responses", "anthropic"],
)
def test_the_usage_of_an_answer_is_read(form: Any, answer: Any, counts: tuple[int | None, ...]) -> None:
    """Of OpenAI's two interfaces and Anthropic's, as mappings and objects; the input with what was cached of it."""
    expected = {name: count for name, count in zip(TOKEN_COUNTS, counts, strict=True) if count is not None}
    assert expected == usage_of(form(answer))


def test_what_others_count_in_is_not_counted_twice() -> None:
    """Anthropic's names for what was cached stand also in answers of those who count it in, with OpenAI's."""
    cached = {"cache_read_input_tokens": 100, "cache_creation_input_tokens": 20}
    for names in (
        {"prompt_tokens": 127, "completion_tokens": 3, "total_tokens": 130},
        {"prompt_tokens": 127, "completion_tokens": 3},
        {"input_tokens": 127, "output_tokens": 3, "total_tokens": 130},
    ):
        counts = counts_of({"usage": {**names, **cached}}, dict.fromkeys(TOKEN_COUNTS))
        assert (127, 130) == (counts["input_tokens"], counts["tokens_used"])


@pytest.mark.parametrize(
    ("answer", "total"), [(OPENAI_CHAT, 29), (OPENAI_RESPONSE, 123), (ANTHROPIC, 2095 + 1024 + 2051 + 503)]
)
def test_the_total_is_of_all_that_went_in_and_out(answer: Any, total: int) -> None:
    """Whether a provider states it or not, so that it can be compared."""
    assert total == counts_of(answer, dict.fromkeys(TOKEN_COUNTS))["tokens_used"]


def test_what_is_given_decides_over_what_is_read() -> None:
    """The total is of what is given; what was cached is added to an input that is too small to have held it."""
    given = {**dict.fromkeys(TOKEN_COUNTS), "input_tokens": 50, "cache_write_tokens": 0, "cache_read_tokens": 0}
    assert 553 == counts_of(ANTHROPIC, given)["tokens_used"]
    assert {"input_tokens": 127, "tokens_used": 127}.items() <= with_total(
        {"input_tokens": 7, "cache_read_tokens": 120}
    ).items()
    stated = {"tokens_used": 7, "input_tokens": 1, "cache_read_tokens": 5}
    assert stated == counts_of(ANTHROPIC, stated)


def test_whole_numbers_that_are_given_otherwise_are_counts() -> None:
    """As texts, as floats, and as those of NumPy; what is no number stays as it is, and does not count."""

    class Int64:
        def __index__(self) -> int:
            return 4

    given = {"input_tokens": "12", "output_tokens": 3.0, "cache_read_tokens": Int64(), "reasoning_tokens": "many"}
    expected = {"input_tokens": 12, "output_tokens": 3, "cache_read_tokens": 4, "reasoning_tokens": "many"}
    assert {**expected, "tokens_used": 15} == counts_of(None, given)
    assert [None] * 7 == [*map(whole_of, (None, True, 3.7, float("inf"), "", "1.5", MagicMock(spec=[])))]


class Fails:
    @property
    def usage(self) -> Any:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "text",
        5,
        [],
        {},
        {"usage": None},
        {"usage": 5},
        {"usage": "total_tokens"},
        {"usage": []},
        {"usage": {"input_tokens": True}},
        {"usage": {"total_tokens": "7", "input_tokens": 1.5, "output_tokens": True, "prompt_tokens_details": None}},
        Fails(),
        {"usage": Fails()},
        MagicMock(),
        object,
    ],
    ids=lambda value: repr(value).partition(" at 0x")[0].partition(" id=")[0],
)
def test_an_answer_without_usage_has_no_counts(answer: Any) -> None:
    """Nor one whose counts are no numbers, or cannot be read."""
    assert usage_of(answer) == {}


def test_a_count_of_nothing_is_a_count() -> None:
    """Zero is known, which nothing is not."""
    assert {"output_tokens": 0} == usage_of({"usage": {"output_tokens": 0}})


@pytest.mark.parametrize("form", [dict, as_object], ids=["mapping", "object"])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"choices": [{"finish_reason": "tool_calls"}]}, "tool_calls"),
        (
            {"choices": [{"finish_reason": "stop"}, {"finish_reason": "length"}, {"finish_reason": "stop"}]},
            "stop, length",
        ),
        ({"choices": [{"finish_reason": None}], "stop_reason": None}, None),
        ({"stop_reason": "end_turn"}, "end_turn"),
        ({"choices": 5, "stop_reason": 5}, None),
        ({"choices": "stop"}, None),
    ],
    ids=str,
)
def test_why_an_answer_ended_is_read(form: Any, answer: Any, reason: str | None) -> None:
    """Of OpenAI's answers, where there may be several, and of Anthropic's."""
    assert reason == finish_reason_of(form(answer))


@pytest.mark.parametrize(
    "answer", [None, "stop", [], {}, Fails(), MagicMock(), object], ids=lambda value: type(value).__name__
)
def test_an_answer_that_does_not_say_why_it_ended_has_no_reason(answer: Any) -> None:
    """Whatever it is."""
    assert finish_reason_of(answer) is None
