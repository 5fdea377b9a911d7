"""Executions in web requests."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import structlog

from processors.written import kinds, lines, of_kind
from tracklog.processors import ExecutionLog, ExecutionMiddleware, current_execution, execution


@pytest.fixture(autouse=True)
def log(logs: Path) -> None:
    structlog.configure(processors=[ExecutionLog(logs)], logger_factory=structlog.testing.ReturnLoggerFactory())


def call(app: Any, scope: dict[str, Any]) -> list[Any]:
    """Handle a request; gives what was sent."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    async def request() -> None:
        await app(scope, receive, send)
        assert current_execution() is None

    asyncio.run(request())
    return sent


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    structlog.get_logger().info("handling")
    with execution("Agent"):
        await send({"type": "http.response.start", "status": 200})


def request(**more: Any) -> dict[str, Any]:
    headers = [(b"host", b"a"), (b"tracklog-context", b"execution_id=p;root=r;depth=0")]
    return {"type": "http", "method": "GET", "path": "/ask", "headers": headers, **more}


def test_a_request_goes_on_with_its_callers_execution(logs: Path) -> None:
    """Without a name of its own, the agent is the caller's child."""
    assert [{"type": "http.response.start", "status": 200}] == call(ExecutionMiddleware(answer), request())
    (started,) = of_kind(logs, "execution.started")
    assert ("Agent", "p", "r", 1) == tuple(
        started[key] for key in ("agent_name", "parent_execution_id", "root_execution_id", "depth")
    )


@pytest.mark.parametrize(
    ("scope", "method"),
    [
        (request(), "GET /ask"),
        (request(type="websocket", method="x"), "x /ask"),
        ({"type": "websocket", "path": "/ws"}, "WEBSOCKET /ws"),
        ({"type": "http"}, "WEBSOCKET "),
    ],
    ids=["http", "odd", "websocket", "bare"],
)
def test_with_a_name_each_request_is_an_execution(logs: Path, scope: dict[str, Any], method: str) -> None:
    """Its method is the request's; the agent is its child."""
    call(ExecutionMiddleware(answer, agent_name="Web"), scope)
    web, agent = of_kind(logs, "execution.started")
    assert ("Web", method) == (web["agent_name"], web["method"])
    assert web["execution_id"] == agent["parent_execution_id"]
    assert {"Web"} == {entry["agent_name"] for entry in lines(logs) if entry["event"] == "handling"}


def test_two_requests_at_a_time_do_not_mix(logs: Path) -> None:
    """Each has its own."""

    async def main() -> None:
        every = asyncio.Barrier(2)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await every.wait()
            structlog.get_logger().info("handling", path=scope["path"])

        middleware = ExecutionMiddleware(app, agent_name="Web")
        await asyncio.gather(*(middleware(request(path=path), None, None) for path in ("/1", "/2")))  # type: ignore[arg-type]

    asyncio.run(main())
    ids = {entry["method"]: entry["execution_id"] for entry in of_kind(logs, "execution.started")}
    assert ids == {
        f"GET {entry['path']}": entry["execution_id"] for entry in lines(logs) if entry["event"] == "handling"
    }


def test_an_error_goes_on(logs: Path) -> None:
    """The server answers it; the execution has failed."""

    async def fail(*_: object) -> None:
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        call(ExecutionMiddleware(fail, agent_name="Web"), request())
    assert of_kind(logs, "execution.finished")[0]["status"] == "failed"


def test_the_servers_own_life_is_no_request(logs: Path) -> None:
    """`lifespan` is handed on as it is."""
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    call(ExecutionMiddleware(app, agent_name="Web"), {"type": "lifespan"})
    assert seen == ["lifespan"]
    assert not logs.exists() or kinds(logs) == []


@pytest.mark.parametrize(("status", "end"), [(200, "success"), (404, "success"), (500, "failed"), (503, "failed")])
def test_what_was_answered_decides_how_a_request_ended(logs: Path, status: int, end: str) -> None:
    """A framework makes an answer of most errors; the server hears nothing of it but the answer."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status})
        await send({"type": "http.response.body", "body": b""})

    sent = call(ExecutionMiddleware(app, "Web"), request())
    assert ["http.response.start", "http.response.body"] == [message["type"] for message in sent]
    (output,), (finished,) = of_kind(logs, "output"), of_kind(logs, "execution.finished")
    assert ({"status": status}, end) == (output["output_data"], finished["status"])
    assert (f"answered with {status}" if end == "failed" else None) == finished.get("error_message")


@pytest.mark.parametrize("status", [200, "200", None])
def test_what_a_request_gave_by_its_own_word_is_its_output(logs: Path, status: Any) -> None:
    """And a status that is no number is none."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        run = current_execution()
        assert run is not None
        run.set_output({"answer": 42})
        await send({"type": "http.response.start", "status": status})

    call(ExecutionMiddleware(app, "Web"), request())
    (output,), (finished,) = of_kind(logs, "output"), of_kind(logs, "execution.finished")
    assert ({"answer": 42}, "success") == (output["output_data"], finished["status"])
