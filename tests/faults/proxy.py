"""What stands between the ingester and PostgreSQL: it passes bytes on, until it cuts or swallows them."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

_COMMIT: Final = b"COMMIT"


class Mode(StrEnum):
    """What the proxy does with what passes."""

    PASS = "pass"
    CUT_BEFORE = "cut before"
    """Cut the connection when a COMMIT comes, and do not pass it on."""
    CUT_AFTER = "cut after"
    """Pass a COMMIT on, wait for its reply, and cut the connection instead of giving it."""
    SWALLOW = "swallow"
    """Take bytes of the connections that there are, and pass none on, for ever; nobody is told."""


class Proxy:
    """Listen on a port of this machine and pass on to the server's socket."""

    def __init__(self, server: Path) -> None:
        self.mode = Mode.PASS
        self.marker = b""
        """Only transactions in which these bytes were sent are cut at their COMMIT."""
        self.dies_after: int | None = None
        """After so many packets of clients from now on it swallows the rest, the answer to the last one with it."""
        self.cut = 0
        """How many connections were cut at a COMMIT."""
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._begin(self._listen)

    @property
    def port(self) -> int:
        """Give the port on which it listens."""
        return int(self._listener.getsockname()[1])

    def url(self, database: str) -> str:
        """Give the URL by which a database is reached through it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def close(self) -> None:
        """End it."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()
        for thread in self._threads:
            thread.join()
        for one in self._open:
            one.close()

    def _begin(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def cut_all(self) -> None:
        """Cut all connections."""
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(str(self._server))
            except OSError:
                client.close()
                server.close()
                continue
            self._open += [client, server]
            committing = threading.Event()
            self._begin(self._pass_on, client, server, committing, True)
            self._begin(self._pass_on, server, client, committing, False)

    def _pass_on(self, source: socket.socket, target: socket.socket, committing: threading.Event, up: bool) -> None:
        swallowed = marked = False
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                mode = self.mode
                swallowed = swallowed or mode is Mode.SWALLOW
                if swallowed:
                    continue
                marker = self.marker
                marked = marked or (marker != b"" and marker in data)
                if up and _COMMIT in data:
                    meant, marked = marked or not marker, False
                    if meant and mode is Mode.CUT_BEFORE:
                        self.cut += 1
                        break
                    if meant and mode is Mode.CUT_AFTER:
                        committing.set()
                if not up and committing.is_set():
                    self.cut += 1
                    break
                if up and self.dies_after is not None:
                    self.dies_after -= 1
                    if self.dies_after == 0:
                        self.mode = Mode.SWALLOW
                target.sendall(data)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def proxied(server: Path) -> Iterator[Proxy]:
    """Run a proxy for the time of a block."""
    proxy = Proxy(server)
    try:
        yield proxy
    finally:
        proxy.close()
