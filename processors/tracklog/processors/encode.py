"""From what a caller logs to the bytes of a line: whatever it is, it must not fail."""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import orjson

from tracklog.processors.line import MAX_FIELD_BYTES, MAX_LINE_BYTES

_OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY

_HEAD_BYTES: Final = 16 << 10
"""How much of a value that is cut is kept."""

_LONG_TEXT: Final = 64 << 10
"""Inside a field over the limit, texts longer than this are cut; the field keeps its shape."""

_MAX_DEPTH: Final = 200
"""orjson gives up at 254."""

_INT64: Final = range(-(1 << 63), 1 << 63)


def encode(fields: Mapping[str, Any]) -> bytes:
    """Encode a line's fields as one JSON object, without a newline.

    >>> encode({"event": "hello", "of": {1, }})
    b'{"event":"hello","of":[1]}'

    :raises Exception: What even the slow way does not encode.
    """
    try:
        line = orjson.dumps(fields, _plain, _OPTIONS)
    except Exception:  # noqa: BLE001
        # Keys that are no text, huge numbers, lone surrogates, cycles, or an object whose own methods fail.
        line = orjson.dumps(_sanitised(fields, 0, set()))
    if len(line) > MAX_FIELD_BYTES:
        line = _cut(line)
    return line


def _plain(value: Any) -> Any:
    """Give something that JSON has for an object that it has not."""
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            return repr(bytes(value))
    # The answers of most model libraries are pydantic models.
    if (dump := getattr(value, "model_dump", None)) is not None and not isinstance(value, type):
        return dump()
    if isinstance(value, BaseException):
        return repr(value)
    return str(value)


def _sanitised(value: Any, depth: int, above: set[int]) -> Any:
    """Give a value that orjson takes, whatever it was; `above` are the objects that it is part of."""
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, str):
        return str.__str__(value).encode("utf-8", "replace").decode()
    if isinstance(value, int):
        return int(value) if value in _INT64 else _printed(value)
    if depth > _MAX_DEPTH:
        return "<nested too deep>"
    if id(value) in above:
        return "<cycle>"
    above.add(id(value))
    try:
        if isinstance(value, Mapping):
            return {_key(key): _sanitised(item, depth + 1, above) for key, item in list(value.items())}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [_sanitised(item, depth + 1, above) for item in list(value)]
        try:
            return orjson.loads(orjson.dumps(value, option=_OPTIONS))
        except Exception:  # noqa: BLE001
            plain = _plain(value)
        return _sanitised(plain, depth + 1, above)
    except Exception:  # noqa: BLE001
        return _printed(value)
    finally:
        above.discard(id(value))


def _key(key: Any) -> str:
    text = key if isinstance(key, str) else _printed(key)
    return str.__str__(text).encode("utf-8", "replace").decode()


def _printed(value: Any) -> str:
    """Give a value as text, also one that refuses."""
    try:
        return str(value).encode("utf-8", "replace").decode()
    except Exception:  # noqa: BLE001
        return f"<unprintable {type(value).__name__}>"


def _cut(line: bytes) -> bytes:
    """Cut the fields over the limit, and the largest ones of a line over its own."""
    fields = orjson.loads(line)
    sizes = {}
    for name, value in fields.items():
        encoded = orjson.dumps(value)
        if len(encoded) > MAX_FIELD_BYTES:
            fields[name] = shorter = _texts_cut(value)
            if len(orjson.dumps(shorter)) > MAX_FIELD_BYTES:
                fields[name] = _stand_in(encoded)
        sizes[name] = len(orjson.dumps(fields[name]))
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        if sum(sizes.values()) <= MAX_LINE_BYTES - _HEAD_BYTES:
            break
        if sizes[name] > 2 * _HEAD_BYTES:
            fields[name] = _stand_in(orjson.dumps(fields[name]))
            sizes[name] = len(orjson.dumps(fields[name]))
    return orjson.dumps(fields)


def _texts_cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _LONG_TEXT:
        data = value.encode()
        head = data[:_HEAD_BYTES].decode("utf-8", "ignore")
        return f"{head}…[cut by tracklog: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}]"
    if isinstance(value, dict):
        return {key: _texts_cut(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_texts_cut(item) for item in value]
    return value


def _stand_in(encoded: bytes) -> dict[str, Any]:
    return {
        "cut": True,
        "bytes": len(encoded),
        "sha256": hashlib.sha256(encoded).hexdigest(),
        "head": encoded[:_HEAD_BYTES].decode("utf-8", "ignore"),
    }
