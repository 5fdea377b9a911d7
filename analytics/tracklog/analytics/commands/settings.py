"""Settle what the options leave open: by the environment, a project's `tracklog.toml`, the user's `config.toml`."""

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

PROJECT_FILE: Final = "tracklog.toml"
"""Looked for in the current directory and those above it; the nearest counts."""

_FORMATS: Final = ("table", "json", "jsonl", "csv")


@dataclass(frozen=True, slots=True)
class Key:
    """A setting: its environment variables, the first that is set counting, and what it is without any."""

    variables: tuple[str, ...]
    meaning: str
    """In a sentence, for the documentation."""
    default: Any = None
    type: type = str


KEYS: Final[Mapping[str, Key]] = {
    "database": Key(
        ("TRACKLOG_DATABASE_URL",),
        "The database: a path, `sqlite:///PATH` or `postgresql://USER@HOST/NAME`; `--db` names another.",
        "sqlite:///tracklog.db",
    ),
    "paths": Key(
        ("TRACKLOG_PATHS",),
        "What `ingest` follows without PATH; in the environment separated by colons, in a file a list.",
        (),
        list,
    ),
    "host": Key(("TRACKLOG_HOST",), "This machine's name, if not its own: for containers that are replaced."),
    "stale_after": Key(
        ("TRACKLOG_STALE_AFTER",),
        "The silence after which `ingest` takes an execution for timed out where its process cannot be asked.",
        "1h",
    ),
    "format": Key(("TRACKLOG_FORMAT",), f"How lists are answered without `--format`: {', '.join(_FORMATS)}.", "table"),
    "pager": Key(
        ("TRACKLOG_PAGER", "PAGER"), "What shows long answers on a terminal; `cat` shows them without.", "less"
    ),
}
"""Each setting by its name in a file."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting's value and where it came from: a variable, a file, or "default"."""

    value: Any
    origin: str


def value(name: str) -> Any:
    """Give a setting's value: text, for `paths` a tuple of texts, None where nothing says and nothing is usual.

    :raises click.UsageError: A file of settings cannot be used.
    """
    return setting(name).value


def setting(name: str) -> Setting:
    """Give a setting and where it came from; an empty variable counts as none.

    :raises click.UsageError: A file of settings cannot be used, or a value is none that there is.
    """
    key = KEYS[name]
    for variable in key.variables:
        if text := os.environ.get(variable):
            found: Any = tuple(filter(None, text.split(os.pathsep))) if key.type is list else text
            return Setting(_checked(name, found, variable), variable)
    for path in _files():
        content = _content(path)
        if name in content:
            return Setting(content[name], str(path))
    return Setting(key.default, "default")


def _files() -> list[Path]:
    """Give the files of settings that are there, the one that counts first."""
    try:
        here = Path.cwd()
        project = next((path for folder in (here, *here.parents) if (path := folder / PROJECT_FILE).exists()), None)
    except OSError:  # The current directory was removed, or is above what may be read.
        project = None
    base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    user = Path(base, "tracklog", "config.toml")
    return [path for path in (project, user) if path is not None and os.path.exists(path)]


@functools.lru_cache(maxsize=8)
def _content(path: Path) -> dict[str, Any]:
    import tomllib  # Only where there is a file.

    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # No TOML, or no UTF-8.
        raise _wrong(path, f"is no valid TOML: {error}") from error
    return {name: _from_file(path, name, given) for name, given in read.items()}


def _from_file(path: Path, name: str, given: Any) -> Any:
    if name not in KEYS:
        import difflib

        alike = difflib.get_close_matches(name, KEYS, n=1)
        raise _wrong(path, f"has no setting {name!r}; " + (f"did you mean {alike[0]}?" if alike else _known()))
    if KEYS[name].type is list:
        if not isinstance(given, list) or not all(isinstance(one, str) and one for one in given):
            raise _wrong(path, f'{name} must be a list of texts, such as ["logs"]')
        return tuple(str(path.parent / os.path.expanduser(one)) for one in given)
    if not isinstance(given, str) or not given:
        raise _wrong(path, f"{name} must be a text in quotes")
    return _database(path.parent, given) if name == "database" else _checked(name, given, str(path))


def _checked(name: str, given: Any, origin: str) -> Any:
    if name == "stale_after":
        from tracklog.analytics.commands.duration import Duration

        try:
            Duration().convert(given, None, None)
        except click.BadParameter as error:
            raise _wrong(origin, f"stale_after: {error.message}") from error
    if name == "format" and given not in _FORMATS:
        raise _wrong(origin, f"format must be one of {', '.join(_FORMATS)}, not {given!r}")
    return given


def _database(folder: Path, url: str) -> str:
    """Take the path of an SQLite file from the directory of the file that names it."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return str(folder / os.path.expanduser(url))
    if not scheme.startswith("sqlite") or not rest.startswith("/") or rest.startswith("//"):
        return url
    return f"{scheme}:///{folder / os.path.expanduser(rest[1:])}"


def _known() -> str:
    return f"there are {', '.join(KEYS)}"


def _wrong(origin: Path | str, what: str) -> click.UsageError:
    from tracklog.analytics.commands.text import one_line

    return click.UsageError(one_line(f"{origin}: {what}"))
