"""What the three parts export."""

import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

import tracklog.analytics
import tracklog.ingester
import tracklog.processors

PARTS = (tracklog.processors, tracklog.ingester, tracklog.analytics)


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_all_is_sorted_and_there(part: ModuleType) -> None:
    """Each public name can be imported, by itself, and `__all__` lists them in order."""
    assert sorted(part.__all__) == part.__all__
    assert all(getattr(part, name).__name__ == name for name in part.__all__)
    assert set(part.__all__) <= set(dir(part))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = part.nonsense


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_no_module_is_named_like_a_name(part: ModuleType) -> None:
    """Once imported, the module would stand in the place of what is exported."""
    modules = {module.name for module in pkgutil.iter_modules(part.__path__)}
    assert modules.isdisjoint(part.__all__)


def test_the_command_line_starts_without_the_database() -> None:
    """Nothing that is slow to import is imported for the help."""
    slow = ["sqlalchemy", "rich", "asyncio", "structlog", "tracklog.ingester"]
    code = f"import sys, tracklog.analytics.commands.group; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_answers_from_sqlite_need_no_postgresql() -> None:
    """What reads an SQLite file does not wait for the import of the other database's dialect, nor of the migrations."""
    slow = ["sqlalchemy.dialects.postgresql", "sqlalchemy.ext.asyncio", "alembic", "asyncpg"]
    code = (
        "import sys, tracklog.analytics.commands.show, tracklog.analytics.faces;"
        f"print([name for name in {slow} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
