"""Test what the portion exports."""

import subprocess
import sys

import tracklog.analytics


def test_all_is_sorted_and_there() -> None:
    """Each public name can be imported, and `__all__` lists them in order."""
    names = tracklog.analytics.__all__
    assert sorted(names) == names
    assert all(getattr(tracklog.analytics, name).__name__ == name for name in names)
    assert set(names) <= set(dir(tracklog.analytics))


def test_all_is_what_is_exported() -> None:
    """There is no public name beside those of `__all__` and the modules of the portion."""
    exported = {name for name in tracklog.analytics._HOMES if not name.startswith("_")}
    assert exported == set(tracklog.analytics.__all__)


def test_the_command_line_starts_without_the_database() -> None:
    """Nothing that is slow to import is imported for the help."""
    slow = ["sqlalchemy", "rich", "asyncio", "structlog", "tracklog.ingester"]
    code = f"import sys, tracklog.analytics.commands.group; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
