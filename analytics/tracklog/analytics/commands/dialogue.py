"""Read what was sent to language models, and what came back: messages with roles, in the shapes of several APIs."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tracklog.analytics.commands.text import as_json, safe

_LISTS: Final = ("messages", "input", "contents", "output")
"""Where APIs keep their messages: chat completions, responses, Gemini."""

_SYSTEM: Final = ("system", "instructions", "system_instruction")
_TEXTS: Final = ("text", "input_text", "output_text", "thinking", "refusal")


@dataclass(frozen=True, slots=True)
class Said:
    """One message."""

    role: str
    """Empty where the payload names none."""
    text: str


@dataclass(frozen=True, slots=True)
class Dialogue:
    """The messages of a request or a response, and the rest of it: settings, usage."""

    messages: tuple[Said, ...]
    rest: Mapping[str, Any]

    def lines(self) -> list[str]:
        """Give all of it as lines, to be compared; safe to print."""
        lines = [f"{safe(key)}: {_json(value)}" for key, value in self.rest.items()]
        for said in self.messages:
            lines += [f"[{safe(said.role)}]"] if said.role else []
            lines += safe(said.text).split("\n")
        return lines


def dialogue(payload: Any) -> Dialogue:
    """Read a request or a response.

    >>> dialogue({"model": "m", "messages": [{"role": "user", "content": "who?"}]})
    Dialogue(messages=(Said(role='user', text='who?'),), rest={'model': 'm'})
    >>> dialogue({"choices": [{"message": {"role": "assistant", "content": "Mara"}}]}).messages
    (Said(role='assistant', text='Mara'),)
    >>> dialogue({"verdict": 3}).messages
    (Said(role='', text='{\\n  "verdict": 3\\n}'),)
    """
    if payload is None:
        return Dialogue((), {})
    if isinstance(payload, str):
        return Dialogue((Said("", payload),), {})
    if _are_messages(payload):
        return Dialogue(tuple(_said(one) for one in payload), {})
    if payload == []:
        return Dialogue((), {"messages": payload})
    if isinstance(payload, dict):
        if (found := _in_fields(payload)) is not None:
            return found
        if "role" in payload:
            return Dialogue((_said(payload),), {})
        for name in ("content", "text", "output_text"):
            if isinstance(payload.get(name), str) or _are_blocks(payload.get(name)):
                return Dialogue((Said("", _text(payload[name])),), _without(payload, name))
        if any(payload.get(name) == [] for name in _LISTS):
            system = _system(payload)
            return Dialogue(_told(payload, system), _without(payload, *system))
    return Dialogue((Said("", _json(payload, indent=True)),), {})


def _in_fields(payload: dict[str, Any]) -> Dialogue | None:
    for name in _LISTS:
        if _are_messages(payload.get(name)):
            system = _system(payload)
            messages = (*_told(payload, system), *(_said(one) for one in payload[name]))
            return Dialogue(messages, _without(payload, name, *system))
    choices = payload.get("choices")
    if isinstance(choices, list) and choices and all(isinstance(one, dict) and _message(one) for one in choices):
        rests = [_without(one, "message", "delta", "index") for one in choices]
        rest = _without(payload, "choices") | ({"choices": rests} if any(rests) else {})
        return Dialogue(tuple(_said(_message(one)) for one in choices), rest)
    if isinstance(payload.get("prompt"), str):
        system = _system(payload)
        said = (*_told(payload, system), Said("prompt", payload["prompt"]))
        return Dialogue(said, _without(payload, "prompt", *system))
    return None


def _system(payload: dict[str, Any]) -> list[str]:
    """Give the fields that tell the model how to be."""
    return [key for key in _SYSTEM if payload.get(key)]


def _told(payload: dict[str, Any], system: Iterable[str]) -> tuple[Said, ...]:
    return tuple(Said("system", _text(payload[key])) for key in system)


def _are_messages(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, dict) and ("role" in one or "type" in one) for one in value)
    )


def _message(choice: dict[str, Any]) -> Any:
    return next((choice[name] for name in ("message", "delta") if isinstance(choice.get(name), dict)), None)


def _without(payload: dict[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in payload.items() if key not in names and value is not None}


def _said(message: dict[str, Any]) -> Said:
    """Read one message; what it holds beside its content is kept, as JSON."""
    rest = dict(message)
    role = str(rest.pop("role", None) or rest.pop("type", ""))
    named = [str(rest.pop(name)) for name in ("name", "tool_call_id", "call_id") if isinstance(rest.get(name), str)]
    parts = [_text(rest.pop(name)) for name in ("content", "parts", "text") if rest.get(name)]
    calls = rest.pop("tool_calls", None)
    if isinstance(calls, list):
        parts += [_tool_call(call) for call in calls]
    elif calls:
        parts.append(_json(calls))
    parts += [f"{key}: {_json(value)}" for key, value in rest.items() if value not in (None, "", [], {})]
    return Said(f"{role} ({', '.join(named)})" if named else role, "\n".join(parts))


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, dict) and _are_blocks(content.get("parts")):
        content = content["parts"]
    return "\n".join(_blocks(content)) if _are_blocks(content) else _json(content)


def _are_blocks(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, (dict, str)) for one in value)


def _blocks(blocks: list[Any]) -> Iterator[str]:
    for block in blocks:
        if isinstance(block, str):
            yield block
            continue
        text = next((block[name] for name in _TEXTS if isinstance(block.get(name), str)), None)
        match block.get("type"):
            case "tool_use":
                yield f"→ {block.get('name')}({_json(block.get('input'))})"
            case "tool_result":
                yield f"← {_text(block.get('content'))}"
            case _:
                yield text if text is not None else _json(block)


def _tool_call(call: Any) -> str:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return _json(call)
    arguments = function.get("arguments")
    return f"→ {function.get('name')}({arguments if isinstance(arguments, str) else _json(arguments)})"


def _json(value: Any, *, indent: bool = False) -> str:
    return as_json(value, indent=indent).decode()
