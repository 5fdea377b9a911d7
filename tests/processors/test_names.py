"""What agents import, and what that costs."""

import subprocess
import sys
from types import ModuleType

import pytest

import tracklog.processors
from tracklog.processors.lazy import lazy_names


def loaded(code: str) -> set[str]:
    """Give the modules that are loaded after some code in a new process."""
    program = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


def test_all_is_sorted_and_there() -> None:
    """Each name is what it says, and the directory lists it."""
    names = tracklog.processors.__all__
    assert sorted(names) == names
    assert len(set(names)) == len(names)
    assert all(getattr(tracklog.processors, name).__name__ == name for name in names)
    assert set(names) <= set(dir(tracklog.processors))


def test_each_name_is_imported_by_itself() -> None:
    """In a process of its own, in any order; a star gives all."""
    names = tracklog.processors.__all__
    backwards = "\n".join(f"from tracklog.processors import {name}" for name in reversed(names))
    loaded(backwards)
    loaded(f"from tracklog.processors import *\nassert set({names}) <= set(globals())")


def test_importing_the_package_imports_nothing_else() -> None:
    """No structlog, and no part of ours, until a name is used."""
    modules = loaded("import tracklog.processors")
    assert modules.isdisjoint({"structlog", "orjson", "asyncio", "logging"})
    assert {"tracklog.processors", "tracklog.processors.lazy"} == {
        name for name in modules if name.startswith("tracklog.")
    }


def test_agents_need_no_database_and_no_command_line() -> None:
    """All names together load structlog and orjson, and nothing of the other parts."""
    modules = loaded("from tracklog.processors import *")
    assert {"structlog", "orjson"} <= modules
    assert modules.isdisjoint({"sqlalchemy", "click", "watchfiles", "asyncpg", "aiosqlite"})
    assert not any(name.startswith(("tracklog.ingester", "tracklog.analytics")) for name in modules)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """As of any module; so that `hasattr` works."""
    assert not hasattr(tracklog.processors, "nonsense")
    with pytest.raises(ImportError, match="nonsense"):
        exec("from tracklog.processors import nonsense")


def test_a_name_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Afterwards it is the module's own."""
    module = ModuleType("lazy_example")
    monkeypatch.setitem(sys.modules, "lazy_example", module)
    get = lazy_names("lazy_example", {"string": ("ascii_letters",)})
    assert get("ascii_letters") == module.ascii_letters
    with pytest.raises(AttributeError, match="module 'lazy_example' has no attribute 'digits'"):
        get("digits")
