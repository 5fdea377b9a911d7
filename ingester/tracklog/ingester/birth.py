"""When a file was made, as Linux tells it and Python before 3.15 does not."""

import ctypes
import sys
from typing import Final


class _StatxTimestamp(ctypes.Structure):
    _fields_ = (("sec", ctypes.c_int64), ("nsec", ctypes.c_uint32), ("_reserved", ctypes.c_int32))


class _Statx(ctypes.Structure):
    """The beginning of `struct statx`, see statx(2); the rest is room for what the kernel writes."""

    _fields_ = (
        ("mask", ctypes.c_uint32),
        ("blksize", ctypes.c_uint32),
        ("attributes", ctypes.c_uint64),
        ("nlink", ctypes.c_uint32),
        ("uid", ctypes.c_uint32),
        ("gid", ctypes.c_uint32),
        ("mode", ctypes.c_uint16),
        ("_spare", ctypes.c_uint16),
        ("ino", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("blocks", ctypes.c_uint64),
        ("attributes_mask", ctypes.c_uint64),
        ("atime", _StatxTimestamp),
        ("btime", _StatxTimestamp),
        ("_rest", ctypes.c_uint8 * 256),
    )


_AT_EMPTY_PATH: Final = 0x1000
_STATX_BTIME: Final = 0x800

# A C library without statx leaves it unknown.
_statx = getattr(ctypes.CDLL(None, use_errno=True), "statx", None) if sys.platform == "linux" else None


def birth_ns(descriptor: int) -> int:
    """Give when an open file was made, in nanoseconds since 1970; 0 where that is not known."""
    if _statx is None:
        return 0
    buffer = _Statx()
    if _statx(descriptor, b"", _AT_EMPTY_PATH, _STATX_BTIME, ctypes.byref(buffer)) != 0:
        return 0
    return int(buffer.btime.sec) * 1_000_000_000 + int(buffer.btime.nsec) if buffer.mask & _STATX_BTIME else 0
