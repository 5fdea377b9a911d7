"""Which file it is: inode and birth time, checked by hashes of its head and of the bytes just before the position."""

import hashlib
import os
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

HEAD_BYTES: Final = 1024
"""How much of a file's beginning is hashed; the header of a segment of ours, unlike any other, fits in it."""

TAIL_BYTES: Final = 1024
"""How much before the position is hashed: more than a constant end of a line, less than a page."""


class Compression(StrEnum):
    """How a file is compressed, told from its first bytes."""

    GZIP = "gzip"
    ZSTD = "zstd"


@dataclass(frozen=True, slots=True)
class Identity:
    """What names a file on a host for as long as it exists, whatever its path."""

    device: int
    inode: int
    birth_ns: int
    """Nanoseconds since 1970; 0 where the file system does not tell."""

    @property
    def locator(self) -> tuple[int, int]:
        """Give what is compared: a device gets another number when it is mounted anew."""
        return self.inode, self.birth_ns


def identity_of(descriptor: int, status: os.stat_result) -> Identity:
    """Identify an open file."""
    birth = getattr(status, "st_birthtime_ns", None)
    if birth is None:
        birth = int(getattr(status, "st_birthtime", 0) * 1_000_000_000)
    if not birth:
        # Imported here, because who reads a line of a file does without it, and ctypes takes long.
        from tracklog.ingester.birth import birth_ns

        birth = birth_ns(descriptor)
    return Identity(_signed(status.st_dev), _signed(status.st_ino), birth)


def inode_of(file: str | int) -> tuple[int, int] | None:
    """Give device and inode of a descriptor, or of what has a name by now; None where there is nothing."""
    try:
        status = os.stat(file, follow_symlinks=False) if isinstance(file, str) else os.fstat(file)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def source_id(host: str, identity: Identity, generation: int) -> str:
    """Name a file's content: the same for every ingester on that host."""
    text = f"{host}\n{identity.inode}\n{identity.birth_ns}\n{generation}"
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def digest(data: bytes) -> str:
    """Hash a head or a tail."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def read_at(descriptor: int, offset: int, length: int) -> bytes:
    """Read exactly `length` bytes, fewer only at the end of the file."""
    data = b""
    while len(data) < length:
        more = os.pread(descriptor, length - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data


def compression_of(head: bytes) -> Compression | None:
    """Tell from its first bytes how a file is compressed.

    >>> compression_of(b"(\\xb5/\\xfd...")
    <Compression.ZSTD: 'zstd'>
    """
    if head.startswith(b"\x1f\x8b"):
        return Compression.GZIP
    return Compression.ZSTD if head.startswith(b"\x28\xb5\x2f\xfd") else None


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number
