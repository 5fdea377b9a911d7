"""Names for executions, calls and writers that no two processes give twice."""

import hashlib
import os
import secrets
import time
from enum import Enum
from typing import Any
from uuid import UUID

from tracklog.processors.line import MAX_ID_LENGTH, cut_name


def execution_id() -> str:
    """Make a UUIDv7: 48 bits of milliseconds, 12 of their fraction, the rest random (RFC 9562, 5.7 and 6.2 method 3).

    >>> one, other = execution_id(), execution_id()
    >>> len(one), one[14], one < other or one[:18] == other[:18]
    (36, '7', True)
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = rest * 4096 // 1_000_000
    noise = int.from_bytes(os.urandom(8), "big") & 0x3FFF_FFFF_FFFF_FFFF
    number = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | fraction << 64 | 0x2 << 62 | noise
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def short_id() -> str:
    """Make a short random id: 64 bits, for a writer or a call.

    >>> len(short_id())
    16
    """
    return secrets.token_hex(8)


def plain_text(value: Any) -> str:
    """Give what names something as text; that of a member of an enumeration is its value.

    >>> from enum import Enum
    >>> plain_text(Enum("Agent", {"CRITIC": "Critic"}).CRITIC), plain_text("Critic"), plain_text(3)
    ('Critic', 'Critic', '3')
    """
    if type(value) is str:
        return value
    try:
        return _text(value)
    except Exception:  # noqa: BLE001
        return f"<{type(value).__name__}>"


def _text(value: Any) -> str:
    return str(value.value if isinstance(value, Enum) else value)


def id_text(value: str | UUID | None) -> str | None:
    """Give an execution's id as text; one that is too long for a line is cut, and told from others by a hash.

    >>> id_text("e1"), len(id_text("x" * 200) or ""), id_text("x" * 200) == id_text("x" * 201)
    ('e1', 128, False)
    """
    if value is None:
        return None
    try:
        text = _text(value)
        if len(text) > MAX_ID_LENGTH:
            digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
            text = f"{text[: MAX_ID_LENGTH - 33]}~{digest}"
        return text or None
    except Exception:  # noqa: BLE001
        return None


def name_text(value: str | UUID | None) -> str | None:
    """Give the id of something else as text, such as a conversation's; see `cut_name`."""
    if value is None:
        return None
    try:
        return cut_name(_text(value)) or None
    except Exception:  # noqa: BLE001
        return None
