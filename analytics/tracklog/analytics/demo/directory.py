"""Look after the demo's directory: make it, recognise it, and empty it of nothing but what the demo made."""

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from tracklog.processors.errors import TracklogError

_MARK: Final = "made-by-tracklog-demo.txt"
"""What tells the demo's directory from another in which somebody keeps logs and a database."""

_TEXT: Final = "Made by `tracklog demo`. Its next run into this directory removes the logs and the database here.\n"

_OWN: Final = frozenset(
    (_MARK, "logs", "tracklog.db", "tracklog.db-wal", "tracklog.db-shm", "tracklog.db-journal"),
)


class DemoError(TracklogError):
    """The demo did not run as it should."""


@dataclass(frozen=True, slots=True)
class Directory:
    """Where a demo leaves its logs and its database."""

    path: Path

    @property
    def logs(self) -> Path:
        """The log directory."""
        return self.path / "logs"

    @property
    def database(self) -> Path:
        """The database."""
        return self.path / "tracklog.db"

    @contextlib.contextmanager
    def fresh(self) -> Iterator[None]:
        """Have it there and empty, and to oneself for a while.

        :raises DemoError: It holds what no demo made, another demo is using it, or it cannot be written.
        """
        try:
            mark = self._prepare()
        except OSError as error:
            raise DemoError(f"the demo cannot use {self.path}: {error}; name another with --directory") from error
        with mark:
            yield

    def _prepare(self) -> IO[str]:
        """Give the mark; as long as it is open, the directory is taken."""
        self._refuse_foreign()
        self.path.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as failing:
            mark = failing.enter_context((self.path / _MARK).open("a"))
            try:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise DemoError(f"another demo is running in {self.path}; name another with --directory") from error
            self._empty()
            mark.truncate(0)
            mark.write(_TEXT)
            mark.flush()
            self.logs.mkdir(mode=0o750)
            failing.pop_all()
            return mark

    def _refuse_foreign(self) -> None:
        names = {entry.name for entry in self.path.iterdir()} if self.path.exists() else set()
        if names and _MARK not in names:
            raise DemoError(
                f"{self.path} is not empty and was not made by the demo; name an empty or new one with --directory"
            )
        foreign = [self.path / name for name in names - _OWN]
        if self.logs.is_symlink() or (self.logs.exists() and not self.logs.is_dir()):
            foreign.append(self.logs)
        elif self.logs.exists():
            foreign += [entry for entry in self.logs.iterdir() if entry.suffix != ".jsonl" or not entry.is_file()]
        if foreign:
            raise DemoError(
                f"{', '.join(map(str, sorted(foreign)))} was not made by the demo; move it away, or name another"
                " directory with --directory"
            )

    def _empty(self) -> None:
        if self.logs.exists():
            shutil.rmtree(self.logs)
        for name in _OWN - {_MARK, "logs"}:
            (self.path / name).unlink(missing_ok=True)
