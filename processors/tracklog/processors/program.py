"""Which program on which machine this is, for the names and headers of its files."""

import contextlib
import functools
import os
import platform
import re
import socket
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

SERVICE_VARIABLE: Final = "TRACKLOG_SERVICE"


def service_name() -> str:
    """Name the program, for its files: TRACKLOG_SERVICE, else the script's name.

    >>> import re
    >>> bool(re.fullmatch("[A-Za-z0-9_-]+", service_name()))
    True
    """
    script = Path(sys.argv[0] if sys.argv else "")
    name = os.environ.get(SERVICE_VARIABLE) or script.stem
    if name == "__main__":  # python -m package
        name = script.parent.name
    return safe_name(name or "python")


def safe_name(name: str) -> str:
    """Keep of a service's name what is good in a file's name, where a dot would separate.

    >>> safe_name("editor/v2.1")
    'editor-v2-1'
    """
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:64].strip("-") or "python"


def describe() -> dict[str, Any]:
    """Say which process on which boot of which machine this is, and of what versions."""
    return {"pid": os.getpid(), **_surroundings()}


@functools.cache
def _surroundings() -> dict[str, Any]:
    """Find what stays as it is; once, as at the end of a process Python reads no files any more."""
    return {"host": socket.gethostname(), "boot_id": boot_id(), "versions": _versions()}


def boot_id() -> str | None:
    """Give what names the running kernel since its start; None where it has no such name, and locks prove nothing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip() or None
    except OSError:
        return None


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in ("tracklog", "structlog", "orjson"):
        with contextlib.suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions
