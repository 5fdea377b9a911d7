"""Names for executions, calls and writers that no two processes give twice."""

import os
import secrets
import time


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
