"""One ordinary `log.info` with four keys inside an execution, line on disk: the whole chain."""

import subprocess
import sys
from pathlib import Path

LINES = 50_000

_MEASURE = """
import time
log = structlog.get_logger()
def burst():
    began = time.perf_counter()
    for number in range({lines}):
        log.info("found boundaries", count=number, source="povs", ratio=0.25, ok=True)
    return (time.perf_counter() - began) / {lines} * 1e6
"""

_OURS = """
import structlog
from tracklog.processors import configure, execution
configure({place!r}, console=False)
{measure}
with execution("Bench"):
    burst()
    print(burst())
"""

# What structlog's documentation calls as fast as it gets.
_STRUCTLOG = """
import logging, orjson, structlog
structlog.configure(
    cache_logger_on_first_use=True,
    wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.JSONRenderer(serializer=orjson.dumps),
    ],
    logger_factory=structlog.BytesLoggerFactory(open({place!r} + "/log", "ab")),
)
{measure}
structlog.contextvars.bind_contextvars(execution_id="0198c0de-0000-7000-8000-000000000000", agent_name="Bench")
burst()
print(burst())
"""


def ours(directory: Path) -> float:
    """Give microseconds a line, with our processor."""
    return _run(_OURS, directory)


def structlog_alone(directory: Path) -> float:
    """Give microseconds a line, with structlog's fastest configuration writing to a file."""
    return _run(_STRUCTLOG, directory)


def _run(program: str, directory: Path) -> float:
    text = program.format(place=str(directory), measure=_MEASURE.format(lines=LINES))
    return float(subprocess.run([sys.executable, "-c", text], check=True, capture_output=True, text=True).stdout)
