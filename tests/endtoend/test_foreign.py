"""Logs of structlog applications that have never heard of tracklog, but bind an execution_id."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tracklog.analytics import AsyncExecutionAnalytics
from tracklog.ingester import Ingester, Summary

# The shapes that structlog's documentation recommends: its fastest native configuration, and the standard library's
# logging with its exceptions as text, as dicts, and not rendered at all.
NATIVE = """
import logging, orjson, structlog
structlog.configure(
    cache_logger_on_first_use=True,
    wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        {exceptions}
        structlog.processors.TimeStamper(fmt={time!r}, utc=True),
        structlog.processors.JSONRenderer(serializer=orjson.dumps),
    ],
    logger_factory=structlog.BytesLoggerFactory(open({path!r}, "ab")),
)
"""
STDLIB = """
import logging, structlog
logging.basicConfig(format="%(message)s", filename={path!r}, level=logging.INFO)
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.filter_by_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ],
    wrapper_class=structlog.stdlib.BoundLogger,
    logger_factory=structlog.stdlib.LoggerFactory(),
)
"""
APPLICATION = """
log = structlog.get_logger("shop")
log.info("started")
for number in range(3):
    with structlog.contextvars.bound_contextvars(execution_id=f"order-{number}"):
        log.info("request", method="GET", path="/order", stage=7)
        log.debug("not shown")
        log.warning("slow", seconds=1.5, items=["a", {"b": None}])
        try:
            raise ValueError("no such order")
        except ValueError:
            log.exception("failed", order=number)
log.info("ended")
"""


def run_application(configuration: str, **settings: Any) -> None:
    subprocess.run([sys.executable, "-c", configuration.format(**settings) + APPLICATION], check=True)


async def ingest(database: str, path: Path) -> Summary:
    async with Ingester([path], database) as ingester:
        return await ingester.run_once()


@pytest.mark.parametrize(
    ("configuration", "settings"),
    [
        (NATIVE, {"time": "iso", "exceptions": "structlog.processors.format_exc_info,"}),
        (NATIVE, {"time": None, "exceptions": "structlog.processors.dict_tracebacks,"}),
        (STDLIB, {}),
    ],
    ids=["native", "dicts", "stdlib"],
)
def test_its_lines_are_executions(database: str, tmp_path: Path, configuration: str, settings: dict[str, Any]) -> None:
    """Every line with an id is a row, with its own data, whatever shape its time and its exception have."""
    path = tmp_path / "shop.log"
    run_application(configuration, path=str(path), **settings)

    async def run() -> None:
        summary = await ingest(database, path)
        # The standard library's handler prints the traceback once more, below the line, as plain text.
        text = sum(not line.startswith(b"{") for line in path.read_bytes().splitlines())
        assert (11 + text, 2, 3, text) == (summary.lines, summary.passed, summary.executions, summary.quarantined)
        async with AsyncExecutionAnalytics(database) as analytics:
            for number in range(3):
                whole = await analytics.get_execution_with_logs(f"order-{number}")
                assert whole is not None
                assert ("running", None, "GET") == tuple(
                    whole["execution"][name] for name in ("status", "agent_name", "method")
                )
                request, slow, failed = whole["logs"]
                assert {"path": "/order", "stage": 7} == request.data
                assert ("slow", "warning", {"seconds": 1.5, "items": ["a", {"b": None}]}) == (
                    slow.message,
                    slow.level,
                    slow.data,
                )
                assert number == failed.data["order"]
                assert "no such order" in json.dumps(failed.data["exception"])
                assert request.timestamp <= slow.timestamp <= failed.timestamp
                assert str(path) == failed.file
                line = path.read_bytes()[failed.line_offset :].split(b"\n", 1)[0]
                assert ("failed", number) == (json.loads(line)["event"], json.loads(line)["order"])

    asyncio.run(run())


def test_a_copy_of_its_file_adds_nothing(database: str, tmp_path: Path) -> None:
    """Lines without a stamp are known by their bytes and their place, so that a copy's are the same."""
    path = tmp_path / "shop.log"
    run_application(STDLIB, path=str(path))
    (tmp_path / "copy.log").write_bytes(path.read_bytes())

    async def run() -> None:
        await ingest(database, tmp_path)
        async with AsyncExecutionAnalytics(database) as analytics:
            whole = await analytics.get_execution_with_logs("order-1")
            assert whole is not None
            assert ["request", "slow", "failed"] == [log.message for log in whole["logs"]]

    asyncio.run(run())


def test_spans_of_opentelemetry_are_llm_calls(database: str, tmp_path: Path) -> None:
    """Lines with gen_ai.* names are calls of a model, with their tokens."""
    line = {
        "event": "chat",
        "timestamp": "2026-11-23T10:00:00Z",
        "execution_id": "otel",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude",
        "gen_ai.input.messages": [{"role": "user", "content": "hi"}],
        "gen_ai.output.messages": [{"role": "assistant", "content": "hello"}],
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 5,
    }
    path = tmp_path / "otel.jsonl"
    path.write_text(json.dumps(line) + "\n")

    async def run() -> None:
        await ingest(database, path)
        async with AsyncExecutionAnalytics(database) as analytics:
            answer = await analytics.get_llm_interactions("otel")
            assert ("claude", 12, [{"role": "user", "content": "hi"}], [{"role": "assistant", "content": "hello"}]) == (
                answer["model"],
                answer["tokens_used"],
                answer["request"],
                answer["response"],
            )

    asyncio.run(run())
