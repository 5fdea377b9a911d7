"""Bring executions into web requests: plain ASGI, which unlike a `BaseHTTPMiddleware` shares the context."""

import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from tracklog.processors.executions import execution
from tracklog.processors.propagate import extract

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


_FIRST_OF_SERVER: Final = 500
"""From here on an answer says that the server failed (RFC 9110, 15.6)."""


class ServerError(Exception):
    """An answer that says so; it ends the execution, and goes no further."""


class ExecutionMiddleware:
    """Make what a request does part of the execution that its caller sent along.

    :param app: The application.
    :param agent_name: With it, each request is an execution of its own by this name, its method such as `GET /ask`, and
        where it sets no other, its output such as `{"status": 200}`; an answer from 500 on makes it `failed`.
    """

    def __init__(self, app: App, agent_name: str | None = None) -> None:
        self.app = app
        self.agent_name = agent_name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, a websocket, or the server's own life."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        with extract(scope.get("headers")):
            if self.agent_name is None:
                await self.app(scope, receive, send)
                return
            method = f"{scope.get('method', 'WEBSOCKET')} {scope.get('path', '')}"
            status: int | None = None

            async def noted(message: MutableMapping[str, Any]) -> None:
                nonlocal status
                if message.get("type") == "http.response.start":
                    status = message.get("status")
                await send(message)

            with contextlib.suppress(ServerError):
                async with execution(self.agent_name, method=method) as run:
                    await self.app(scope, receive, noted)
                    if isinstance(status, int):
                        if not run.has_output:
                            run.set_output({"status": status})
                        if status >= _FIRST_OF_SERVER:
                            raise ServerError(f"answered with {status}")
