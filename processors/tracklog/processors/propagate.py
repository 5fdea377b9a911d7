"""Carry the execution to other processes: in headers, in environment variables."""

import contextlib
import os
from collections.abc import Callable, Iterable, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self, TypeVar, cast
from urllib.parse import parse_qsl, quote

from tracklog.processors.context import Activation, current_activation
from tracklog.processors.line import MAX_ID_LENGTH, MAX_NAME_LENGTH
from tracklog.processors.run import Identity

HEADER: Final = "tracklog-context"
VARIABLE: Final = "TRACKLOG_CONTEXT"

_LONGEST_IDS: Final = dict.fromkeys(("execution_id", "root"), MAX_ID_LENGTH) | dict.fromkeys(
    ("vault_id", "conversation_id", "user_id"), MAX_NAME_LENGTH
)

_LONGEST: Final = 16_384
"""Characters of a value that is believed: five ids fit, whatever their letters; an attack's megabyte does not."""

C = TypeVar("C", bound=MutableMapping[str, str] | list[tuple[str, str]])


class _Items(Protocol):
    """A mapping, or a message such as the headers of the standard library's http."""

    def items(self) -> Iterable[tuple[Any, Any]]: ...


@dataclass(frozen=True, slots=True, eq=False)
class RemoteParent:
    """An execution in another process, as a context manager: executions inside are its children.

    Where nothing was carried along, `execution_id` is None and the context manager does nothing.
    """

    execution_id: str | None = None
    root_execution_id: str | None = None
    depth: int | None = None
    vault_id: str | None = None
    conversation_id: str | None = None
    user_id: str | None = None

    def __enter__(self) -> Self:
        if self.execution_id is not None:
            _remote.set(_Entered(self, current_activation(), _remote.get()))
        return self

    def __exit__(self, *exc_info: object) -> None:
        entered = _remote.get()
        if entered is not None and entered.parent is self:
            _remote.set(entered.outer)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *exc_info: object) -> None:
        self.__exit__(*exc_info)


@dataclass(frozen=True, slots=True, eq=False)
class _Entered:
    """A remote parent that was entered, inside what."""

    parent: RemoteParent
    activation: Activation | None
    outer: "_Entered | None"


_remote: ContextVar[_Entered | None] = ContextVar("tracklog_remote_parent", default=None)


def current_parent() -> Identity | RemoteParent | None:
    """Give what an execution that begins now is a child of: the current one or one of another process."""
    activation = current_activation()
    entered = _remote.get()
    if entered is not None and (activation is None or entered.activation is activation):
        return entered.parent  # It was entered inside the current one.
    return None if activation is None else activation.run.identity


def inject(carrier: C | None = None, *, env: bool = False) -> C | dict[str, str]:
    """Add the current execution to a request's headers, or to a process's environment; without one, add nothing.

    >>> inject({"accept": "*/*"})
    {'accept': '*/*'}

    :param carrier: Where it is added, and what is given back, a mapping or a list of pairs; by default a new dict.
    :param env: Name it as an environment variable; the default for `os.environ` itself.
    """
    target: Any = {} if carrier is None else carrier
    around = current_parent()
    if around is not None and around.execution_id is not None:
        fields = {
            "execution_id": around.execution_id,
            "root": around.root_execution_id,
            "depth": around.depth,
            "vault_id": around.vault_id,
            "conversation_id": around.conversation_id,
            "user_id": around.user_id,
        }
        value = ";".join(
            f"{name}={quote(str(value), safe='', errors='replace')}"
            for name, value in fields.items()
            if value is not None
        )
        with contextlib.suppress(Exception):  # What is no carrier carries nothing, and the request goes out.
            _put(target, VARIABLE if env or target is os.environ else HEADER, value)
    return target  # type: ignore[no-any-return]


def _put(carrier: Any, own: str, value: str) -> None:
    if isinstance(carrier, list):  # Of pairs, as some libraries have their headers.
        carrier[:] = [*(pair for pair in carrier if _text(pair[0]).lower() != own.lower()), (own, value)]
        return
    # A header that came in under a name of other letters would be a second one, and the first to be found.
    for name in [name for name in carrier if name != own and isinstance(name, str) and name.lower() == own.lower()]:
        del carrier[name]
    carrier[own] = value


def extract(carrier: _Items | Iterable[tuple[Any, Any]] | None) -> RemoteParent:
    """Find the execution that a caller's headers or this process's environment carry.

    >>> extract({"Tracklog-Context": "execution_id=e1;depth=2"}).execution_id
    'e1'

    :param carrier: A mapping, pairs, or what has `items()`, of text or bytes; header names in any case, or environment
        variables.
    """
    try:
        items: Callable[[], Iterable[Any]] | None = getattr(carrier, "items", None)
        for name, value in items() if items is not None else cast("Iterable[Any]", carrier or ()):
            known = _text(name).lower().replace("_", "-").removeprefix("http-")
            if known == HEADER:
                return _parse(_text(value))
    except Exception:  # noqa: BLE001
        pass  # What a stranger sends must not break a request.
    return RemoteParent()


def _parse(text: str) -> RemoteParent:
    if len(text) > _LONGEST:
        return RemoteParent()
    fields = dict(parse_qsl(text, separator=";"))
    ids = {
        name: value
        for name, longest in _LONGEST_IDS.items()
        if (value := fields.get(name)) and len(value) <= longest and value.isprintable()
    }
    depth = fields.get("depth", "")
    if "execution_id" not in ids:
        return RemoteParent()
    return RemoteParent(
        ids["execution_id"],
        ids.get("root"),
        int(depth) if depth.isascii() and depth.isdigit() and len(depth) < 7 else None,
        ids.get("vault_id"),
        ids.get("conversation_id"),
        ids.get("user_id"),
    )


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
