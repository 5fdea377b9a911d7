"""Test reading requests and responses of several APIs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracklog.analytics.commands.dialogue import Said, dialogue


@pytest.mark.parametrize(
    ("payload", "messages", "rest"),
    [
        (None, (), {}),
        ("who?", (Said("", "who?"),), {}),
        ([{"role": "user", "content": "who?"}], (Said("user", "who?"),), {}),
        (
            {"system": "Be short.", "messages": [{"role": "user", "content": [{"type": "text", "text": "who?"}]}]},
            (Said("system", "Be short."), Said("user", "who?")),
            {},
        ),
        (
            {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Mara"}}]},
            (Said("assistant", "Mara"),),
            {"choices": [{"finish_reason": "stop"}]},
        ),
        (
            {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": '{"a":1}'}}]},
            (Said("assistant", '→ f({"a":1})'),),
            {},
        ),
        (
            {"role": "user", "content": [{"type": "tool_result", "content": "3"}, {"type": "tool_use", "name": "g"}]},
            (Said("user", "← 3\n→ g(null)"),),
            {},
        ),
        ({"role": "tool", "tool_call_id": "t1", "content": "3"}, (Said("tool (t1)", "3"),), {}),
        ({"contents": [{"role": "user", "parts": [{"text": "who?"}]}]}, (Said("user", "who?"),), {}),
        ({"output": [{"type": "reasoning", "id": "r"}]}, (Said("reasoning", 'id: "r"'),), {}),
        ({"prompt": "who?", "temperature": 0}, (Said("prompt", "who?"),), {"temperature": 0}),
        ({"content": "Mara", "usage": {"total": 3}}, (Said("", "Mara"),), {"usage": {"total": 3}}),
        ([], (), {"messages": []}),
        ({"model": "m", "messages": []}, (), {"model": "m", "messages": []}),
        ({"system": "Be short.", "messages": []}, (Said("system", "Be short."),), {"messages": []}),
        ({"output": [], "text": "Mara"}, (Said("", "Mara"),), {"output": []}),
        ({"role": "user", "content": "x", "cache": True}, (Said("user", "x\ncache: true"),), {}),
    ],
)
def test_shapes(payload: Any, messages: tuple[Said, ...], rest: dict[str, Any]) -> None:
    """Messages have their roles and texts, tool calls are written like calls, and nothing is lost beside them."""
    read = dialogue(payload)
    assert (messages, rest) == (read.messages, read.rest)


@pytest.mark.parametrize(
    "payload",
    [7, {}, [1, "a"], {"messages": "x"}, {"choices": [None]}, {"choices": [{"message": 3}]}],
)
def test_other_shapes_are_json(payload: Any) -> None:
    """What is no dialogue is one text of JSON."""
    (said,) = dialogue(payload).messages
    assert "" == said.role
    assert said.text[0] in "7[{"


@pytest.mark.parametrize(
    "message",
    [{"role": 3, "content": 4}, {"role": None}, {"role": "user", "content": [3]}, {"role": "a", "tool_calls": [None]}],
)
def test_odd_messages_are_read(message: Any) -> None:
    """Whatever stands in a message, it is told."""
    assert 1 == len(dialogue([message]).messages)


NAMES = st.sampled_from(
    ["messages", "input", "choices", "message", "content", "parts", "role", "type", "text", "tool_calls", "function",
     "name", "arguments", "system", "prompt", "output", "call_id"]
)  # fmt: skip
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.sampled_from(["tool_use", "tool_result", "text", "a\x1b[2J\u202e"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_whatever_was_logged_is_read(payload: Any) -> None:
    """No payload is too odd, and none of its control characters comes through."""
    text = "\n".join(dialogue(payload).lines())
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_lines_are_safe() -> None:
    """Lines have roles and settings, and no control characters."""
    payload = {"model": "m", "messages": [{"role": "user\x1b", "content": "a\x1b[2J\nb"}]}
    assert ['model: "m"', "[user\\x1b]", "a\\x1b[2J", "b"] == dialogue(payload).lines()
