"""Bring executions into web requests: plain ASGI, which unlike a `BaseHTTPMiddleware` shares the context."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from tracklog.processors.executions import execution
from tracklog.processors.propagate import extract

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class ExecutionMiddleware:
    """Make what a request does part of the execution that its caller sent along.

    :param app: The application.
    :param agent_name: With it, each request is an execution of its own by this name, its method such as `GET /ask`.
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
            async with execution(self.agent_name, method=method):
                await self.app(scope, receive, send)
