"""Names of a package that are imported when they are first used: who wants one must not wait for all."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, modules: Mapping[str, tuple[str, ...]]) -> Callable[[str], Any]:
    """Make the `__getattr__` of a package (PEP 562).

    No module may be named like one of the names: once imported, it would stand in its place.

    :param modules: For each module, by its full name, what of it the package shows.
    """
    homes = {name: module for module, names in modules.items() for name in names}

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            value = getattr(import_module(homes[name]), name)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("tracklog"):
                raise
            raise ModuleNotFoundError(
                f"{package}.{name} needs {error.name}, which is not installed; run: pip install 'tracklog[ingester]'",
                name=error.name,
            ) from error
        setattr(sys.modules[package], name, value)
        return value

    return get
