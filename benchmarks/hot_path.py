"""One ordinary line with four keys inside an execution, on disk: the whole chain, each logger in its own process."""

import subprocess
import sys
from pathlib import Path

LINES = 30_000

_MEASURE = """
import time
class Peer:
    def __init__(self, info):
        self.info = info
def burst(log):
    began = time.perf_counter()
    for number in range({lines}):
        log.info("found boundaries", count=number, source="povs", ratio=0.25, ok=True)
    return (time.perf_counter() - began) / {lines} * 1e6
def measure(log):
    burst(log)
    print(burst(log))
"""

_OURS = """
import structlog
from tracklog.processors import configure, execution
configure({place!r}, console=False)
with execution("Bench"):
    measure(structlog.get_logger())
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
structlog.contextvars.bind_contextvars(execution_id="0198c0de-0000-7000-8000-000000000000", agent_name="Bench")
measure(structlog.get_logger())
"""

_OPENTELEMETRY = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
class Nowhere(SpanExporter):
    def export(self, spans):
        return SpanExportResult.SUCCESS
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(Nowhere()))
tracer = provider.get_tracer("bench")
def span(name, **attributes):
    with tracer.start_as_current_span(name, attributes=attributes):
        pass
with tracer.start_as_current_span("Bench"):
    measure(Peer(span))
provider.shutdown()
"""

_ELIOT = """
import eliot
eliot.to_file(open({place!r} + "/log", "ab"))
with eliot.start_action(action_type="Bench"):
    measure(Peer(lambda event, **fields: eliot.log_message(message_type=event, **fields)))
"""

_LOGURU = """
from loguru import logger
logger.remove()
logger.add({place!r} + "/log", serialize=True)
bound = logger.bind(execution_id="0198c0de-0000-7000-8000-000000000000", agent_name="Bench")
measure(Peer(lambda event, **fields: bound.bind(**fields).info(event)))
"""

_STDLIB = """
import logging
from pythonjsonlogger.json import JsonFormatter
handler = logging.FileHandler({place!r} + "/log")
handler.setFormatter(JsonFormatter("%(asctime)s %(levelname)s %(message)s"))
logger = logging.getLogger("bench")
logger.addHandler(handler)
logger.setLevel(logging.INFO)
logger.propagate = False
known = {{"execution_id": "0198c0de-0000-7000-8000-000000000000", "agent_name": "Bench"}}
measure(Peer(lambda event, **fields: logger.info(event, extra={{**known, **fields}})))
"""


def ours(directory: Path) -> float:
    """Give microseconds a line, with our processor."""
    return _run(_OURS, directory)


def structlog_alone(directory: Path) -> float:
    """Give microseconds a line, with structlog's fastest configuration writing to a file."""
    return _run(_STRUCTLOG, directory)


def opentelemetry(directory: Path) -> float:
    """Give microseconds a span with four attributes, by the SDK's batch processor and an exporter that does nothing."""
    return _run(_OPENTELEMETRY, directory)


def eliot(directory: Path) -> float:
    """Give microseconds a message within an action, written to a file."""
    return _run(_ELIOT, directory)


def loguru(directory: Path) -> float:
    """Give microseconds a line, serialized into a file."""
    return _run(_LOGURU, directory)


def stdlib(directory: Path) -> float:
    """Give microseconds a line, of `logging` with python-json-logger into a file."""
    return _run(_STDLIB, directory)


def _run(program: str, directory: Path) -> float:
    text = _MEASURE.format(lines=LINES) + program.format(place=str(directory))
    return float(subprocess.run([sys.executable, "-c", text], check=True, capture_output=True, text=True).stdout)
