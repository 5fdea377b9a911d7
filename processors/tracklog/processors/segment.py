"""Where a writer's lines go: a file that is locked while its writer lives, or a stream."""

import contextlib
import errno
import io
import os
import select
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Protocol

if sys.platform != "win32":
    import fcntl

_STREAM_WAIT_MS: Final = 1000
"""How long a pipe that is full is waited for; then the line is lost, and counted."""


class Target(Protocol):
    """What lines can be written to."""

    def write(self, data: bytes) -> int:
        """Write bytes; gives how many were taken.

        :raises OSError: None was.
        """

    def describe(self) -> dict[str, Any]:
        """Say what it is, for the header."""

    def sync(self) -> None:
        """Bring what was written to where it survives a power cut."""

    def close(self) -> None:
        """Let go of it."""


@dataclass(slots=True)
class Segment:
    """A file of one writer's own."""

    path: Path
    descriptor: int
    locked: bool = False
    device: int = -1
    inode: int = -1

    @classmethod
    def create(cls, path: Path) -> "Segment":
        """Make the file, and lock it before there is anything in it.

        :raises FileExistsError: There is one of this name.
        :raises OSError: It cannot be made.
        """
        try:
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path.parent)) from None
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o640)
        segment = cls(path, descriptor)
        try:
            segment._lock()
        except BaseException:
            segment.discard()
            raise
        return segment

    def _lock(self) -> None:
        if sys.platform != "win32":
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.locked = True
            except OSError:
                pass  # A file system without locks: the header says so, and nobody draws conclusions.
        status = os.fstat(self.descriptor)
        self.device, self.inode = status.st_dev, status.st_ino

    def write(self, data: bytes) -> int:
        """Write bytes to its end."""
        return os.write(self.descriptor, data)

    def describe(self) -> dict[str, Any]:
        """Name the file, so that its copies can be told from it."""
        return {"device": self.device, "inode": self.inode, "locked": self.locked}

    def sync(self) -> None:
        """Wait until the disk has it."""
        os.fsync(self.descriptor)

    def harm(self, written: int) -> str | None:
        """Tell what was done to the file from outside: `renamed`, `truncated` or None.

        :param written: How many bytes it should have.
        """
        try:
            status = os.stat(self.path)
        except OSError:
            return "renamed"
        if (status.st_dev, status.st_ino) != (self.device, self.inode):
            return "renamed"
        return "truncated" if status.st_size < written else None

    def is_unlinked(self) -> bool:
        """Tell whether it is closed or has no name left, so that nobody will read what is still written."""
        return self.descriptor < 0 or os.fstat(self.descriptor).st_nlink == 0

    def close(self) -> None:
        """Close it, which lets go of the lock; once, as the number is another file's afterwards."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def discard(self) -> None:
        """Remove a file that has no header, as nobody could tell whose it is."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        self.close()


@dataclass(slots=True)
class Stream:
    """A stream such as stdout, whose lines somebody else collects."""

    stream: IO[Any]
    stalled: bool = False
    """It was waited for in vain: then no line waits again until one was taken whole."""

    def write(self, data: bytes) -> int:
        """Write bytes behind what the program itself has written."""
        self.stream.flush()
        try:
            descriptor = self.stream.fileno()
        except (OSError, AttributeError):  # io.UnsupportedOperation is an OSError.
            if isinstance(self.stream, (io.RawIOBase, io.BufferedIOBase)):
                self.stream.write(data)
            else:
                self.stream.write(data.decode())
            self.stream.flush()
            return len(data)
        try:
            taken = os.write(descriptor, data)
        except BlockingIOError:
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            if not poll.poll(0 if self.stalled else _STREAM_WAIT_MS):
                self.stalled = True
                raise
            taken = os.write(descriptor, data)
        if taken == len(data):
            self.stalled = False
        return taken

    def describe(self) -> dict[str, Any]:
        """Say that it is no file, and cannot be asked whether its writer lives."""
        return {"device": None, "inode": None, "locked": False}

    def sync(self) -> None:
        """Do nothing: what a stream does with its lines is not ours."""

    def close(self) -> None:
        """Leave it open: it is the program's."""
