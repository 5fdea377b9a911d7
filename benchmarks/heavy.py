"""Peers that have to be installed beside: rsyslog by the system, Phoenix and MLflow into environments of their own.

`make bench-heavy` installs the latter two, and measures what it finds.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import asyncpg

from benchmarks.backlog import lines_below

_ENVIRONMENTS = Path(__file__).parents[1] / ".venv-heavy"
"""Phoenix and MLflow pin what tracklog, and the other one, have in other versions."""

SPANS = 200
"""Executions of which each line becomes a span."""

_PATIENCE = 300.0

_RSYSLOG = """
global(workDirectory="{place}" maxMessageSize="128k")
module(load="imfile")
module(load="ompgsql")
template(name="row" type="list" option.stdsql="on") {{
  constant(value="INSERT INTO logs (data) VALUES ('") property(name="msg") constant(value="')")
}}
ruleset(name="store") {{
  action(type="ompgsql" conninfo="{url}" template="row" queue.type="LinkedList" queue.size="1000000"
         queue.dequeueBatchSize="1000")
}}
input(type="imfile" file="{path}" tag="agent:" ruleset="store")
"""

_SPANS = """
import json
{setup}
with open({path!r}) as file:
    for line in file:
        fields = json.loads(line)
        with {span}(fields["event"]) as span:
            span.set_attributes({{
                name: value if isinstance(value, (str, int, float, bool)) else json.dumps(value)
                for name, value in fields.items() if value is not None
            }})
{flush}
"""

_TO_PHOENIX = """
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
provider = TracerProvider()
exporter = OTLPSpanExporter("http://127.0.0.1:{port}/v1/traces")
provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=100000))
tracer = provider.get_tracer("bench")
"""

_TO_MLFLOW = """
import mlflow
mlflow.set_tracking_uri("sqlite:///{place}/mlflow.db")
mlflow.set_experiment("bench")
"""


def rsyslog() -> str | None:
    """Give what is missing for rsyslog into PostgreSQL; None if nothing is."""
    if shutil.which("rsyslogd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        return "rsyslogd is not installed (Debian: rsyslog)"
    if not any(Path("/usr/lib").glob("*/rsyslog/ompgsql.so")):
        return "rsyslog has no ompgsql (Debian: rsyslog-pgsql)"
    return None


def module(name: str) -> str | None:
    """Give what is missing for a module of the environment beside; None if nothing is."""
    interpreter = _interpreter(name)
    if not Path(interpreter).exists():
        return f"there is no {interpreter}; `make bench-heavy` makes it"
    found = subprocess.run([interpreter, "-c", f"import {name}"], capture_output=True, check=False)
    return None if found.returncode == 0 else f"{interpreter} cannot import {name}"


def _interpreter(name: str) -> str:
    return str(_ENVIRONMENTS / name / "bin" / "python")


async def _count(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM logs"))
    finally:
        await connection.close()


def to_rsyslog(directory: Path, url: str) -> float:
    """Give lines a second of rsyslog: imfile, ompgsql, each line as it is into one column."""
    import asyncio

    path, lines = lines_below(directory)

    async def make() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE logs (data text)")
        await connection.close()

    asyncio.run(make())
    configuration = directory / "rsyslog.conf"
    configuration.write_text(_RSYSLOG.format(place=directory, path=path, url=url))
    program = shutil.which("rsyslogd") or "/usr/sbin/rsyslogd"
    began = time.perf_counter()
    command = [program, "-n", "-f", str(configuration), "-i", str(directory / "rsyslog.pid")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _until(lambda: asyncio.run(_count(url)) >= lines)
            return lines / (time.perf_counter() - began)
        finally:
            process.terminate()


def to_phoenix(directory: Path) -> float:
    """Give lines a second of Arize Phoenix with SQLite: a span each, from the first until all can be asked for."""
    import sqlite3

    path, lines = lines_below(directory, SPANS)
    port, grpc = _free_port(), _free_port()
    environment = {
        **os.environ,
        "PHOENIX_WORKING_DIR": str(directory),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    program = [_interpreter("phoenix"), "-m", "phoenix.server.main", "serve"]

    def stored() -> int:
        try:
            connection = sqlite3.connect(f"file:{directory}/phoenix.db?mode=ro", uri=True)
            try:
                return int(connection.execute("SELECT count(*) FROM spans").fetchone()[0])
            finally:
                connection.close()
        except sqlite3.Error:
            return 0

    with subprocess.Popen(program, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _until(lambda: _answers(port))
            began = time.perf_counter()
            _send("phoenix", _TO_PHOENIX.format(port=port), "tracer.start_as_current_span", path, "provider.shutdown()")
            _until(lambda: stored() >= lines)
            return lines / (time.perf_counter() - began)
        finally:
            server.terminate()


def to_mlflow(directory: Path) -> float:
    """Give lines a second of MLflow with SQLite: a trace each, as its own `start_span` writes them."""
    path, lines = lines_below(directory, SPANS)
    began = time.perf_counter()
    setup = _TO_MLFLOW.format(place=directory)
    _send("mlflow", setup, "mlflow.start_span", path, "mlflow.flush_trace_async_logging()")
    return lines / (time.perf_counter() - began)


def _send(name: str, setup: str, span: str, path: Path, flush: str) -> None:
    program = _SPANS.format(setup=setup, span=span, path=str(path), flush=flush)
    # Below the lines, since MLflow puts its artifacts into the current directory.
    subprocess.run([_interpreter(name), "-c", program], check=True, capture_output=True, cwd=path.parent)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"a peer did not come to its end in {_PATIENCE:.0f} s")
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
