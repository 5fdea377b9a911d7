"""Test exporting executions: as lines, as a trace, as a page."""

import datetime as dt
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from analytics.stored import NOW, Stored
from tracklog.analytics.commands.group import tracklog

EVIL = (
    '</pre></script><script src="https://evil.example/x.js">alert(1)</script><img src=x onerror=alert(1)>\x1b[2J\ud800'
)
VOID = ("meta", "link", "img", "br", "hr", "input")


class Page(HTMLParser):
    """Reads a page: its elements, its text, and whether each element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop()

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture
def url(stored: Stored) -> str:
    """Give a database with an execution that called two at the same time, one of which called a third."""

    def run(name: str, start: float, end: float, **columns: Any) -> dict[str, Any]:
        times = {"created_at": at(start), "started_at": at(start), "completed_at": at(end), "duration_ms": end - start}
        return {"execution_id": f"{name}-1234567", "agent_name": name, **times, **columns}

    def at(milliseconds: float) -> dt.datetime:
        return NOW + dt.timedelta(milliseconds=milliseconds)

    evil = EVIL.replace("\ud800", "\ufffd")
    stored.executions(
        run("above", 0, 1000),
        run("root", 0, 1000, input_data={"q": EVIL.replace("\ud800", "")}),
        run("left", 100, 600, status="failed", error_type="ValueError", error_message=evil, error_traceback=evil),
        run("right", 200, 900, agent_name=evil),
        run("below", 300, 400),
    )
    pairs = (("above", "root"), ("root", "left"), ("root", "right"), ("left", "below"), ("root", "gone"))
    stored.links(*((f"{a}-1234567", f"{b}-1234567") for a, b in pairs), call_reason=evil)
    stored.logs("root-1234567", {"message": evil, "level": "warning", "data": {evil: evil}})
    said = {"messages": [{"role": evil, "content": evil}], evil: 1}
    stored.call(
        "left-1234567",
        "c1",
        request=said,
        response=evil,
        started_at=at(150),
        completed_at=at(200),
        latency_ms=50.0,
        model=evil,
        error_type="RateLimitError",
    )
    return stored.url


def run(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(tracklog, ["export", *arguments, "--db", url])


def test_lines(url: str) -> None:
    """Each execution is a line, with all that it called, once; not what called it, nor what no line came of."""
    lines = [json.loads(line) for line in run(url, "root", "left").stdout.splitlines()]
    assert ["root", "left", "below", "right"] == [
        line["execution"]["execution_id"].removesuffix("-1234567") for line in lines
    ]
    assert 1 == len(lines[1]["llm_calls"])
    assert 1 == len(run(url, "root", "--alone").stdout.splitlines())


def test_trace(url: str) -> None:
    """Times are microseconds since 1970; on a track spans lie within each other or apart, as viewers require."""
    events = json.loads(run(url, "root", "--format", "perfetto").stdout)["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    assert 5 == len(spans)
    assert (round(NOW.timestamp() * 1e6), 1_000_000) == (spans[0]["ts"], spans[0]["dur"])
    tracks = {event["tid"] for event in spans}
    assert {0, 1} == tracks
    assert tracks == {event["tid"] for event in events if event["name"] == "thread_name"}
    for one in spans:
        for other in spans:
            if one["tid"] == other["tid"] and one["ts"] <= other["ts"] < one["ts"] + one["dur"]:
                assert other["ts"] + other["dur"] <= one["ts"] + one["dur"]


def test_page(url: str, tmp_path: Path) -> None:
    """The page has all executions, their calls, lines and errors; nothing in it is run, or fetched from elsewhere."""
    path = tmp_path / "run.html"
    result = run(url, "root", "-o", str(path))
    assert (0, True) == (result.exit_code, result.stdout.startswith(f"Wrote html to {path} ("))
    page = Page(path.read_text("utf-8"))
    assert [] == page.open
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint({"script", "img", "link", "iframe", "object"})
    names = {name for _, attributes in page.elements for name in attributes}
    assert {"class", "style", "href", "id", "open", "lang", "charset", "content", "name", "http-equiv"} == names
    targets = {attributes["href"] for _, attributes in page.elements if "href" in attributes}
    assert targets == {f"#{attributes['id']}" for tag, attributes in page.elements if tag == "h2"}
    shown = EVIL.replace("\x1b", "\\x1b").replace("\ud800", "")
    for words in (f"ValueError: {shown}", "LLM call 1", "1 log line", f'"q": {json.dumps(EVIL[:-1])}'):
        assert words in page.words
    assert "\x1b" not in page.words


def test_alone(url: str, tmp_path: Path) -> None:
    """A page of one execution alone has no other."""
    run(url, "root", "--alone", "-o", str(tmp_path / "run.html"))
    page = Page((tmp_path / "run.html").read_text("utf-8"))
    assert 1 == sum(tag == "h2" for tag, _ in page.elements)


def test_the_format_by_the_name(url: str, tmp_path: Path) -> None:
    """A file is written as its name ends, unless --format says otherwise."""
    for name, arguments, begin in (
        ("run.json", (), '{"traceEvents"'),
        ("run.jsonl", (), '{"execution"'),
        ("run.txt", (), '{"execution"'),
        ("run.htm", (), "<!doctype html>"),
        ("other.json", ("--format", "html"), "<!doctype html>"),
    ):
        run(url, "root", "-o", str(tmp_path / name), *arguments)
        assert (tmp_path / name).read_text("utf-8").startswith(begin)


def test_what_cannot_be_exported(url: str, tmp_path: Path) -> None:
    """An unknown id is exit code 3 and writes nothing; a file that cannot be written is a failure that says so."""
    path = tmp_path / "kept.html"
    path.write_text("kept")
    assert 3 == run(url, "root", "nothing", "-o", str(path)).exit_code
    assert "kept" == path.read_text()
    result = run(url, "root", "-o", str(tmp_path / "no" / "such.html"))
    assert (1, True) == (result.exit_code, "No such file or directory" in result.stderr)
