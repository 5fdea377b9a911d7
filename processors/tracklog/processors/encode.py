"""From what a caller logs to the bytes of a line: whatever it is, it must not fail."""

import hashlib
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import orjson

from tracklog.processors.line import IDENTITY_KEYS, MAX_FIELD_BYTES, MAX_LINE_BYTES

_OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY

_HEAD_BYTES: Final = 16 << 10
"""How much of a value that is cut is kept."""

_LONG_TEXT: Final = 64 << 10
"""Inside a field over the limit, texts longer than this are cut; the field keeps its shape."""

_MAX_DEPTH: Final = 200
"""orjson gives up at 254."""

_KEPT_FIRST: Final = frozenset(("level", "event", "logger", "kind", "execution_id", "stage", *IDENTITY_KEYS))
"""What a line of too many fields keeps in any case: without it, the line says nothing."""

_PLAIN_TYPES: Final = (Mapping, list, tuple, str, int, float, bool, type(None))
"""What a model's own `model_dump`, or an array's `tolist`, may give; a mock's gives another mock, without end."""

_SEQUENCES: Final = (list, tuple, set, frozenset, deque)


def encode(fields: Mapping[str, Any]) -> bytes:
    """Encode a line's fields as one JSON object, without a newline.

    >>> encode({"event": "hello", "of": {1, }})
    b'{"event":"hello","of":[1]}'

    :raises Exception: What even the slow way does not encode.
    """
    try:
        return orjson.dumps(fields, _plain, _OPTIONS)
    except Exception:  # noqa: BLE001
        # Keys that are no text, huge numbers, lone surrogates, cycles, or an object whose own methods fail.
        # Each field by itself: whatever one of them is, the line is an object.
        return orjson.dumps(_members(fields, 1, {id(fields)}))


def shortened(line: bytes) -> bytes:
    """Cut the fields over the limit, and the largest ones of a line over its own; they keep their length and SHA-256.

    It is done when the secrets are gone, as the head of a cut value is text, in which keys are hard to tell.
    """
    if len(line) <= MAX_FIELD_BYTES:
        return line
    fields = {_text_cut(name) if len(name) > _LONG_TEXT else name: value for name, value in orjson.loads(line).items()}
    sizes = {}
    for name, value in fields.items():
        encoded = orjson.dumps(value)
        if len(encoded) > MAX_FIELD_BYTES:
            fields[name] = shorter = _texts_cut(value, _LONG_TEXT)
            encoded_shorter = orjson.dumps(shorter)
            if len(encoded_shorter) > MAX_FIELD_BYTES:
                fields[name] = shorter = _stand_in(encoded)
                encoded_shorter = orjson.dumps(shorter)
            encoded = encoded_shorter
        sizes[name] = len(encoded) + len(name.encode()) + 4
    size = sum(sizes.values())
    room = MAX_LINE_BYTES - _HEAD_BYTES
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        if size <= room or sizes[name] <= 2 * _HEAD_BYTES:
            break
        value = fields[name]
        # A text stays a text, so that readers find the type they know.
        fields[name] = _text_cut(value) if isinstance(value, str) else _stand_in(orjson.dumps(value))
        size += len(orjson.dumps(fields[name])) + len(name.encode()) + 4 - sizes[name]
    if size > room:
        # A great many small fields: as many as go.
        fields = _first_fields(fields, sizes)
    return orjson.dumps(fields)


def _plain(value: Any) -> Any:
    """Give something that JSON has for an object that it has not."""
    if isinstance(value, _SEQUENCES):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            return repr(bytes(value))
    if isinstance(value, BaseException):
        return repr(value)
    if isinstance(value, float):
        return float.__float__(value)
    if not isinstance(value, type):
        # The answers of most model libraries are pydantic models. Of arrays orjson takes NumPy's, but none that is
        # transposed; one over the limit of a line would be cut anyway, and what it prints as tells more of it.
        for name in ("model_dump", "tolist"):
            give = getattr(value, name, None)
            if give is None or (name == "tolist" and _is_over(getattr(value, "nbytes", 0), MAX_LINE_BYTES)):
                continue
            given = give()
            if isinstance(given, _PLAIN_TYPES):
                return given
    return str(value)


def _is_over(size: Any, limit: int) -> bool:
    return isinstance(size, int) and size > limit


def _sanitised(value: Any, depth: int, above: set[int]) -> Any:
    """Give a value that orjson takes, whatever it was; `above` are the objects that it is part of."""
    try:
        return _taken_apart(value, depth, above)
    except Exception:  # noqa: BLE001
        return _printed(value)  # Its own methods fail, or it is not what its class says, as a mock or a dead proxy.


def _taken_apart(value: Any, depth: int, above: set[int]) -> Any:
    if value is None or value is True or value is False:
        return value
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        number = int.__int__(value)
        return number if -(1 << 63) <= number < 1 << 63 else _printed(number)
    if depth > _MAX_DEPTH:
        return "<nested too deep>"
    if id(value) in above:
        return "<cycle>"
    above.add(id(value))
    try:
        if isinstance(value, Mapping):
            return _members(value, depth + 1, above)
        if isinstance(value, _SEQUENCES):
            return [_sanitised(item, depth + 1, above) for item in list(value)]
        try:
            plain = orjson.loads(orjson.dumps(value, option=_OPTIONS))
        except Exception:  # noqa: BLE001
            plain = _plain(value)
        return _sanitised(plain, depth + 1, above)
    finally:
        above.discard(id(value))


def _text(value: str) -> str:
    """Give a text without what UTF-8 cannot hold, as U+FFFD."""
    return str.__str__(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _members(value: Mapping[Any, Any], depth: int, above: set[int]) -> dict[str, Any]:
    """Give an object with names that are text; one that is there already, as of 1 and "1", gets a number."""
    members: dict[str, Any] = {}
    times: dict[str, int] = {}
    for key, item in list(value.items()):
        name = own = _key(key)
        while own in members:
            times[name] = times.get(name, 1) + 1
            own = f"{name}_{times[name]}"
        members[own] = _sanitised(item, depth, above)
    return members


def _key(key: Any) -> str:
    try:
        return _text(key) if isinstance(key, str) else _printed(key)
    except Exception:  # noqa: BLE001
        return _printed(key)


def _printed(value: Any) -> str:
    """Give a value as text, also one that refuses."""
    try:
        return _text(str(value))
    except Exception:  # noqa: BLE001
        return f"<unprintable {type(value).__name__}>"


def _texts_cut(value: Any, longest: int) -> Any:
    if isinstance(value, str):
        return _text_cut(value) if len(value) > longest else value
    if isinstance(value, dict):
        return {key: _texts_cut(item, longest) for key, item in value.items()}
    if isinstance(value, list):
        return [_texts_cut(item, longest) for item in value]
    return value


def _text_cut(value: str) -> str:
    data = value.encode()
    head = data[:_HEAD_BYTES].decode("utf-8", "ignore")
    return f"{head}…[cut by tracklog: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}]"


def _stand_in(encoded: bytes) -> dict[str, Any]:
    return {
        "cut": True,
        "bytes": len(encoded),
        "sha256": hashlib.sha256(encoded).hexdigest(),
        "head": encoded[:_HEAD_BYTES].decode("utf-8", "ignore"),
    }


def _first_fields(fields: dict[str, Any], sizes: dict[str, int]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    size = 0
    for name in sorted(fields, key=lambda name: name not in _KEPT_FIRST):
        size += min(sizes[name], 2 * _HEAD_BYTES)
        if size > MAX_FIELD_BYTES:
            kept["cut_fields"] = _stand_in(orjson.dumps({key: fields[key] for key in fields if key not in kept}))
            break
        kept[name] = fields[name]
    return kept
