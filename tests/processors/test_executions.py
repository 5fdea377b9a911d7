"""Executions: what is begun, whose child it is, and how it ends."""

import asyncio
import contextvars
import functools
import gc
import threading
import types
import uuid
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import structlog

from processors.written import Line, events, kinds, line, lines, of_kind
from tracklog.processors import ExecutionLog, configure, current_execution, execution, extract, pending


@pytest.fixture(autouse=True)
def log(logs: Path) -> Any:
    structlog.configure(processors=[ExecutionLog(logs)], logger_factory=structlog.testing.ReturnLoggerFactory())
    return structlog.get_logger()


def started(logs: Path) -> Line:
    (only,) = of_kind(logs, "execution.started")
    return only


def finished(logs: Path) -> Line:
    (only,) = of_kind(logs, "execution.finished")
    return only


def by_agent(logs: Path, kind: str = "execution.started") -> dict[str, Line]:
    return {entry["agent_name"]: entry for entry in of_kind(logs, kind)}


def statuses(logs: Path) -> list[str]:
    return [entry["status"] for entry in of_kind(logs, "execution.finished")]


# What is written


def test_a_block_is_an_execution(logs: Path, log: Any) -> None:
    """It begins with what it was given, and ends with a status and how long it took."""
    with execution(
        "Critic",
        method="review",
        vault_id="v",
        conversation_id="c",
        user_id="u",
        input_data={"chapter": 3},
        call_reason="asked",
        metadata={"try": 1},
    ) as run:
        log.info("inside")
        run.set_output("fine")
        assert current_execution() is run
    assert current_execution() is None
    expected = {
        "execution_id": run.execution_id,
        "agent_name": "Critic",
        "method": "review",
        "vault_id": "v",
        "conversation_id": "c",
        "user_id": "u",
        "root_execution_id": run.execution_id,
        "depth": 0,
        "input_data": {"chapter": 3},
        "call_reason": "asked",
        "metadata": {"try": 1},
    }
    assert expected.items() <= started(logs).items()
    assert "parent_execution_id" not in started(logs)
    assert ["execution.started", None, "output", "execution.finished"] == kinds(logs)
    assert {run.execution_id} == {entry["execution_id"] for entry in lines(logs)}
    assert ("success", "fine") == (finished(logs)["status"], lines(logs)[2]["output_data"])
    assert 0 <= finished(logs)["duration_ms"] < 60_000
    assert "error_type" not in finished(logs)


def test_a_block_may_be_async(logs: Path) -> None:
    """`async with` is the same."""

    async def main() -> None:
        async with execution("A") as run:
            await asyncio.sleep(0)
            assert current_execution() is run

    asyncio.run(main())
    assert statuses(logs) == ["success"]


class Failing:
    """An exception's error, which cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("bad"), "failed"),
        (TimeoutError("late"), "timeout"),
        (asyncio.CancelledError(), "failed"),
        (KeyboardInterrupt(), "failed"),
        (SystemExit(), "success"),
        (SystemExit(0), "success"),
        (SystemExit(1), "failed"),
        (SystemExit("no"), "failed"),
        (GeneratorExit(), "success"),
        (ExceptionGroup("many", [TimeoutError()]), "failed"),
        (ValueError(Failing()), "failed"),
    ],
    ids=lambda value: repr(value).partition(" at 0x")[0],
)
def test_an_exception_decides_the_status_and_goes_on(logs: Path, error: BaseException, status: str) -> None:
    """The same exception reaches the caller; what it says is written."""
    with pytest.raises(type(error)) as caught, execution("A"):
        raise error
    assert caught.value is error
    end = finished(logs)
    assert status == end["status"]
    assert (type(error).__name__ if status != "success" else None) == end.get("error_type")
    assert ("exception" in end) == (status != "success")
    assert ("error" if status != "success" else "info") == end["level"]


def test_an_error_is_written_with_its_message_and_traceback(logs: Path) -> None:
    """And with what it came from."""
    with pytest.raises(ValueError, match="bad"), execution("A"):
        raise ValueError("bad") from KeyError("first")
    end = finished(logs)
    assert ("ValueError", "bad") == (end["error_type"], end["error_message"])
    assert end["exception"].index("KeyError: 'first'") < end["exception"].index("ValueError: bad")


def test_a_cancelled_execution_says_so(logs: Path) -> None:
    """Its exception has no message."""

    async def main() -> None:
        async def work() -> None:
            async with execution("A"):
                begun.set()
                await asyncio.Event().wait()

        begun = asyncio.Event()
        task = asyncio.create_task(work())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ("failed", "CancelledError", "cancelled") == tuple(
        finished(logs)[key] for key in ("status", "error_type", "error_message")
    )


def test_a_timeout_of_asyncio_is_a_timeout_outside_of_it(logs: Path) -> None:
    """Inside `asyncio.timeout` the execution is cancelled; around it, it times out."""

    async def main() -> None:
        async with execution("Outer"), asyncio.timeout(0), execution("Inner"):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert {"Inner": "failed", "Outer": "timeout"} == {
        name: end["status"] for name, end in by_agent(logs, "execution.finished").items()
    }


def test_a_skipped_execution_stays_skipped(logs: Path) -> None:
    """When its block ends well; an error afterwards is a failure."""
    with execution("A") as run:
        run.skip("not concerned", 0.2)
    run = execution("A").start()
    run.skip()
    run.finish(ValueError("bad"))
    with execution("A") as run:
        run.skip()
        run.relevance(True, 0.9, "after all")
    assert ["skipped", "failed", "success"] == statuses(logs)
    assert {"should_respond": False, "confidence": 0.2, "reasoning": "not concerned"}.items() <= of_kind(
        logs, "relevance"
    )[0].items()


# Ids


@pytest.mark.parametrize("given", [uuid.uuid4(), "e1", "x" * 128], ids=["uuid", "text", "long"])
def test_an_id_that_is_given_is_taken(logs: Path, given: Any) -> None:
    """As text; of whichever type."""
    with execution("A", execution_id=given, parent_execution_id=given, vault_id=given, user_id=given):
        pass
    assert [str(given)] * 4 == [
        started(logs)[key] for key in ("execution_id", "parent_execution_id", "vault_id", "user_id")
    ]


def test_an_id_that_is_too_long_is_cut(logs: Path) -> None:
    """And stays told from others that begin alike; parents and children still find each other."""
    with execution("A", execution_id="x" * 200) as one, execution("B"):
        pass
    with execution("C", execution_id="x" * 201, parent_execution_id="x" * 200) as other:
        pass
    assert len(one.execution_id) == len(other.execution_id) == 128
    assert one.execution_id != other.execution_id
    found = by_agent(logs)
    assert one.execution_id == found["B"]["parent_execution_id"] == found["C"]["parent_execution_id"]


def test_an_id_that_is_too_long_is_cut_alike_on_an_ordinary_line(logs: Path) -> None:
    """What a program binds by itself lands on the same execution."""
    configure(logs, console=False)
    with execution("A", execution_id="x" * 200):
        structlog.get_logger().info("inside")
    structlog.get_logger().info("outside", execution_id="x" * 200)
    assert 1 == len({line["execution_id"] for line in lines(logs)})


@pytest.mark.parametrize("given", ["", None, Failing()], ids=["empty", "none", "odd"])
def test_an_id_that_is_none_is_made(logs: Path, given: Any) -> None:
    """A UUIDv7."""
    with execution("A", execution_id=given) as run:
        pass
    assert uuid.UUID(run.execution_id).version == 7
    assert len(lines(logs)) == 2


def test_lone_surrogates_in_an_id_are_written(logs: Path) -> None:
    """As a file's name may bring; all lines have the same one."""
    with execution("A\udc80", execution_id="e\udc80") as run:
        run.stage("x")
    assert len({(entry["execution_id"], entry["agent_name"]) for entry in lines(logs)}) == 1


def test_an_execution_that_was_selected_is_begun_with_its_id(logs: Path) -> None:
    """`pending` says why; it belongs to the execution around it."""
    with execution("Router", vault_id="v", conversation_id="c", user_id="u") as router:
        chosen = pending("Critic", call_reason="mentioned", method="review")
        with execution("Critic", execution_id=chosen) as run:
            assert run.execution_id == chosen
    (selected,) = of_kind(logs, "execution.pending")
    expected = {
        "execution_id": chosen,
        "agent_name": "Critic",
        "method": "review",
        "call_reason": "mentioned",
        "vault_id": "v",
        "conversation_id": "c",
        "user_id": "u",
        "parent_execution_id": router.execution_id,
    }
    assert expected.items() <= selected.items()


def test_pending_outside_of_any_execution(logs: Path) -> None:
    """With what it is told; nothing raises."""
    chosen = pending("A", vault_id=uuid.UUID(int=1), conversation_id="c")
    assert (chosen, str(uuid.UUID(int=1)), "c") == tuple(
        line(logs)[key] for key in ("execution_id", "vault_id", "conversation_id")
    )
    assert "parent_execution_id" not in line(logs)
    assert pending(Failing(), call_reason="odd")  # type: ignore[arg-type]


# Whose child


def test_a_nested_execution_is_a_child(logs: Path, log: Any) -> None:
    """It knows parent, root and depth, and what the parent belongs to; what is logged is the innermost one's."""
    with execution("A", vault_id="v", conversation_id="c", user_id="u") as a:
        with execution("B", user_id="other") as b, execution("C"):
            log.info("in C")
        log.info("in A")
    found = by_agent(logs)
    assert [(None, 0), (a.execution_id, 1), (b.execution_id, 2)] == [
        (found[name].get("parent_execution_id"), found[name]["depth"]) for name in "ABC"
    ]
    assert {a.execution_id} == {entry["root_execution_id"] for entry in found.values()}
    assert [("v", "c", "u"), ("v", "c", "other"), ("v", "c", "other")] == [
        tuple(found[name][key] for key in ("vault_id", "conversation_id", "user_id")) for name in "ABC"
    ]
    assert ["C", "A"] == [entry["agent_name"] for entry in lines(logs) if "kind" not in entry]


def test_a_parent_that_is_named_is_believed(logs: Path) -> None:
    """Its root and depth are known only where it is the one around."""
    with execution("A") as a, execution("B"):
        with execution("C", parent_execution_id=a.execution_id):
            pass
        with execution("D", parent_execution_id="elsewhere"):
            pass
    found = by_agent(logs)
    assert a.execution_id == found["C"]["parent_execution_id"]
    assert ("elsewhere", None, None) == tuple(
        found["D"].get(key) for key in ("parent_execution_id", "root_execution_id", "depth")
    )


def test_a_parent_in_another_process_is_a_parent(logs: Path) -> None:
    """What was carried along makes the next execution its child; an execution inside that one is a grandchild."""
    with extract({"tracklog-context": "execution_id=p;root=r;depth=3;vault_id=v"}):
        with execution("A") as a, execution("B"):
            pass
        with execution("C", parent_execution_id="p"):
            pass
    found = by_agent(logs)
    assert [("p", "r", 4, "v"), (a.execution_id, "r", 5, "v"), ("p", "r", 4, "v")] == [
        tuple(found[name][key] for key in ("parent_execution_id", "root_execution_id", "depth", "vault_id"))
        for name in "ABC"
    ]


def test_a_task_is_a_child_of_what_created_it(logs: Path) -> None:
    """Tasks that run at the same time do not mix."""

    async def child(number: int) -> None:
        async with execution(f"child{number}"):
            await asyncio.sleep(0)
            structlog.get_logger().info("inside", number=number)

    async def main() -> None:
        async with execution("Parent"), asyncio.TaskGroup() as group:
            for number in range(10):
                group.create_task(child(number))

    asyncio.run(main())
    parent = by_agent(logs)["Parent"]["execution_id"]
    assert {parent} == {entry["parent_execution_id"] for name, entry in by_agent(logs).items() if name != "Parent"}
    assert all(entry["agent_name"] == f"child{entry['number']}" for entry in lines(logs) if "kind" not in entry)


# One recipe, many runs


def test_one_recipe_is_entered_by_many_threads(logs: Path) -> None:
    """Each gets a run of its own, and ends its own."""
    recipe = execution("A", method="run")
    ready = threading.Barrier(32)

    def work(number: int) -> str:
        ready.wait()
        with recipe as run:
            structlog.get_logger().info("inside", number=number)
            ready.wait()
            assert current_execution() is run
            run.set_output(number)
        return run.execution_id

    with ThreadPoolExecutor(32) as pool:
        ids = list(pool.map(work, range(32)))
    assert_each_has_its_own(logs, ids)
    assert not recipe._entered


def test_one_recipe_is_entered_by_many_tasks(logs: Path) -> None:
    """Each gets a run of its own, and ends its own."""
    recipe = execution("A", method="run")

    async def work(number: int, every: asyncio.Barrier) -> str:
        async with recipe as run:
            structlog.get_logger().info("inside", number=number)
            await every.wait()
            assert current_execution() is run
            run.set_output(number)
        return run.execution_id

    async def main() -> list[str]:
        every = asyncio.Barrier(200)
        return await asyncio.gather(*(work(number, every) for number in range(200)))

    assert_each_has_its_own(logs, asyncio.run(main()))
    assert not recipe._entered


def assert_each_has_its_own(logs: Path, ids: list[str]) -> None:
    assert len(set(ids)) == len(ids)
    for kind in ("execution.started", "execution.finished"):
        assert sorted(ids) == sorted(entry["execution_id"] for entry in of_kind(logs, kind))
    assert dict(enumerate(ids)) == {
        entry["number"]: entry["execution_id"] for entry in lines(logs) if entry["event"] == "inside"
    }
    assert dict(enumerate(ids)) == {entry["output_data"]: entry["execution_id"] for entry in of_kind(logs, "output")}


def test_one_recipe_is_entered_inside_itself(logs: Path) -> None:
    """The inner one ends first."""
    recipe = execution("A")
    with recipe as outer, recipe as inner:
        pass
    assert [inner.execution_id, outer.execution_id] == [
        entry["execution_id"] for entry in of_kind(logs, "execution.finished")
    ]
    assert outer.execution_id == of_kind(logs, "execution.started")[1]["parent_execution_id"]


def test_leaving_twice_raises_nothing(logs: Path) -> None:
    """And ends nothing more."""
    recipe = execution("A")
    with recipe:
        recipe.__exit__(None, None, None)
    recipe.__exit__(None, None, None)
    assert statuses(logs) == ["success"]
    assert current_execution() is None


def test_leaving_in_another_context_ends_the_run(logs: Path) -> None:
    """As a test's fixture does, whose two halves run in two contexts."""
    recipe = execution("A")
    inside = contextvars.copy_context()
    inside.run(recipe.__enter__)
    recipe.__exit__(None, None, None)
    assert statuses(logs) == ["success"]
    assert current_execution() is None


def test_leaving_out_of_order_makes_the_one_that_is_left_the_current_one(logs: Path) -> None:
    """Also when the outer one is left first."""
    one, other = execution("A"), execution("B")
    one.__enter__()
    inner = other.__enter__()
    one.__exit__(None, None, None)
    assert current_execution() is inner
    other.__exit__(None, None, None)
    assert current_execution() is None
    assert "execution_id" not in structlog.contextvars.get_contextvars()


def test_a_finished_run_ends_once(logs: Path) -> None:
    """Its first end counts."""
    with execution("A") as run:
        run.finish(ValueError("bad"))
        run.finish()
    assert statuses(logs) == ["failed"]


# As a decorator


@execution("A", call_reason="decorated")
def function(value: int) -> int:
    """Add one."""
    structlog.get_logger().info("inside")
    return value + 1


@execution("A")
async def coroutine(value: int) -> int:
    await asyncio.sleep(0)
    structlog.get_logger().info("inside")
    return value + 1


@execution("A")
def generator(count: int) -> Generator[Any, Any, str]:
    for number in range(count):
        structlog.get_logger().info("inside", number=number)
        got = yield number
        structlog.get_logger().info("inside", got=got)
    return "done"


@execution("A")
async def async_generator(count: int) -> AsyncIterator[int]:
    for number in range(count):
        await asyncio.sleep(0)
        structlog.get_logger().info("inside", number=number)
        yield number


def collect() -> list[int]:
    async def run() -> list[int]:
        return [number async for number in async_generator(3)]

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("call", "result", "name"),
    [
        (lambda: function(1), 2, "function"),
        (lambda: asyncio.run(coroutine(1)), 2, "coroutine"),
        (lambda: list(generator(3)), [0, 1, 2], "generator"),
        (collect, [0, 1, 2], "async_generator"),
    ],
    ids=["function", "coroutine", "generator", "async generator"],
)
def test_each_call_of_a_function_is_an_execution(logs: Path, call: Callable[[], Any], result: Any, name: str) -> None:
    """Of each of the four sorts; the method is the function's name."""
    assert result == call()
    assert result == call()
    ids = [entry["execution_id"] for entry in of_kind(logs, "execution.started")]
    assert len(set(ids)) == 2
    assert {name} == {entry["method"] for entry in of_kind(logs, "execution.started")}
    assert ["success", "success"] == statuses(logs)
    assert set(ids) == {entry["execution_id"] for entry in lines(logs) if entry["event"] == "inside"}
    assert current_execution() is None


def test_a_decorated_function_is_what_it_was() -> None:
    """Its name, its documentation and its sort."""
    assert ("function", "Add one.") == (function.__name__, function.__doc__)
    assert asyncio.iscoroutinefunction(coroutine)
    assert [str(item) for item in generator.__annotations__.values()] != []


def test_a_method_and_a_partial_are_decorated(logs: Path) -> None:
    """Whatever can be called."""

    class Agent:
        @execution("Agent", method="named")
        def run(self, value: int) -> int:
            return value

        @staticmethod
        @execution("Agent")
        def static(value: int) -> int:
            return value

    assert (1, 2) == (Agent().run(1), Agent.static(2))
    assert execution("P")(functools.partial(int, "3"))() == 3
    assert ["named", "static", None] == [entry.get("method") for entry in of_kind(logs, "execution.started")]


@pytest.mark.parametrize("sort", ["function", "coroutine", "generator", "async generator"])
def test_an_error_of_a_decorated_function_goes_on(logs: Path, sort: str) -> None:
    """And is written."""

    @execution("A")
    def fails() -> None:
        raise TimeoutError("late")

    @execution("A")
    async def fails_async() -> None:
        raise TimeoutError("late")

    @execution("A")
    def generates() -> Iterator[int]:
        yield 1
        raise TimeoutError("late")

    @execution("A")
    async def generates_async() -> AsyncIterator[int]:
        yield 1
        raise TimeoutError("late")

    async def read() -> None:
        async for _ in generates_async():
            pass

    calls: dict[str, Callable[[], Any]] = {
        "function": fails,
        "coroutine": lambda: asyncio.run(fails_async()),
        "generator": lambda: list(generates()),
        "async generator": lambda: asyncio.run(read()),
    }
    with pytest.raises(TimeoutError, match="late"):
        calls[sort]()
    assert statuses(logs) == ["timeout"]
    assert current_execution() is None


def test_a_generator_is_the_current_one_only_while_it_works(logs: Path, log: Any) -> None:
    """What its reader does in between is not the generator's; each has its own parent."""
    with execution("Reader"):
        for _ in generator(2):
            log.info("reading")
        reading = [entry["agent_name"] for entry in lines(logs) if entry["event"] == "reading"]
    assert ["Reader", "Reader"] == reading
    found = by_agent(logs)
    assert found["Reader"]["execution_id"] == found["A"]["parent_execution_id"]


def test_a_generator_is_sent_to_thrown_at_and_returns(logs: Path) -> None:
    """Like any other."""
    working: Any = generator(2)
    assert next(working) == 0
    assert working.send("x") == 1
    with pytest.raises(StopIteration) as stop:
        next(working)
    assert stop.value.value == "done"
    assert {"x", None} == {entry["got"] for entry in lines(logs) if "got" in entry}

    @execution("B")
    def catches() -> Iterator[Any]:
        try:
            yield 1
        except ValueError as error:
            yield str(error)

    throwing: Any = catches()
    next(throwing)
    assert throwing.throw(ValueError("bad")) == "bad"
    assert list(throwing) == []
    assert ["success", "success"] == statuses(logs)


@pytest.mark.parametrize("how", ["close", "break", "never"])
def test_a_generator_left_early_has_not_failed(logs: Path, how: str) -> None:
    """Its reader had enough; one that was never read has not begun."""
    working: Any = generator(5)
    if how == "close":
        next(working)
        working.close()
    elif how == "break":
        for _ in working:
            break
    del working
    assert ([] if how == "never" else ["success"]) == (statuses(logs) if logs.exists() else [])
    assert current_execution() is None


def test_a_generators_clean_up_is_its_own(logs: Path, log: Any) -> None:
    """What it logs when it is closed is on its execution, before that ends."""

    @execution("A")
    def cleans() -> Iterator[int]:
        try:
            yield 1
        finally:
            structlog.get_logger().info("cleaning")

    with execution("Reader"):
        for _ in cleans():
            break
    assert ["A"] == [entry["agent_name"] for entry in lines(logs) if entry["event"] == "cleaning"]


class Called:
    """Is called like a coroutine function, and is none."""

    async def __call__(self, fail: bool) -> str:
        await asyncio.sleep(0)
        structlog.get_logger().info("inside")
        if fail:
            raise KeyError
        return "done"


@pytest.mark.parametrize("around", [Called(), lambda fail: Called()(fail)], ids=["object", "wrapper"])
def test_what_gives_a_coroutine_ends_with_it(logs: Path, around: Any) -> None:
    """Whatever stands around a coroutine function, its body is what is tracked."""
    configure(logs, console=False)
    tracked = execution("A")(around)

    async def main() -> None:
        assert "done" == await tracked(False)
        with pytest.raises(KeyError):
            await tracked(True)
        assert current_execution() is None

    asyncio.run(main())
    assert ["success", "failed"] == statuses(logs)
    assert 2 == len({line["execution_id"] for line in lines(logs) if line["event"] == "inside"})
    assert ["execution.started", None, "execution.finished"] * 2 == kinds(logs)


@pytest.mark.parametrize("closed", ["at once", "by the loop", "at the end of the loop"])
def test_an_async_generator_left_early_has_not_failed(logs: Path, closed: str) -> None:
    """Whoever closes it, and when."""

    async def main() -> None:
        if closed == "at once":
            async with aclosing(async_generator(5)) as working:  # type: ignore[type-var]
                async for _ in working:
                    break
        else:
            async for _ in async_generator(5):
                break
            if closed == "by the loop":  # At its end, whoever is to close it is cancelled.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
        assert current_execution() is None

    asyncio.run(main())
    assert statuses(logs) == ["success"]


def test_an_async_generator_is_sent_to_and_thrown_at(logs: Path) -> None:
    """Like any other."""

    @execution("B")
    async def answers() -> Any:
        got = yield 1
        try:
            yield got
        except ValueError as error:
            yield str(error)

    async def main() -> list[Any]:
        working = answers()
        return [await working.asend(None), await working.asend("x"), await working.athrow(ValueError("bad"))] + [
            item async for item in working
        ]

    assert [1, "x", "bad"] == asyncio.run(main())
    assert statuses(logs) == ["success"]


def test_a_recipe_is_not_changed_by_use(logs: Path) -> None:
    """It is the same before and after, and cannot be changed."""
    recipe = execution("A", input_data=[1])
    before = repr(recipe)
    with recipe:
        pass
    assert before == repr(recipe)
    with pytest.raises(AttributeError):
        recipe.agent_name = "B"  # type: ignore[misc]
    assert events(logs) == []


def _through(function: Any) -> Any:
    """Stand around a function, as another decorator does."""

    @functools.wraps(function)
    def run(*args: Any) -> Any:
        return function(*args)

    return run


def test_a_generator_behind_another_decorator_is_tracked_to_its_end(logs: Path, log: Any) -> None:
    """Its lines are its own, and its error is its end."""

    @execution("A")
    @_through
    def two(fail: bool) -> Iterator[int]:
        yield 1
        log.info("inside")
        if fail:
            raise KeyError
        yield 2

    assert [1, 2] == list(two(False))
    with pytest.raises(KeyError):
        list(two(True))
    assert ["success", "failed"] == statuses(logs)
    assert ["A", "A"] == [entry["agent_name"] for entry in lines(logs) if entry["event"] == "inside"]


def test_an_async_generator_behind_another_decorator_is_tracked_to_its_end(logs: Path, log: Any) -> None:
    """As a plain one is."""

    @execution("A")
    @_through
    async def two(fail: bool) -> AsyncIterator[int]:
        yield 1
        log.info("inside")
        if fail:
            raise KeyError
        yield 2

    async def main() -> None:
        assert [1, 2] == [value async for value in two(False)]
        with pytest.raises(KeyError):
            _ = [value async for value in two(True)]

    asyncio.run(main())
    assert ["success", "failed"] == statuses(logs)
    assert ["A", "A"] == [entry["agent_name"] for entry in lines(logs) if entry["event"] == "inside"]


@pytest.mark.parametrize("end", ["done", "failed", "cancelled"])
def test_what_begins_a_task_ends_with_it(logs: Path, log: Any, end: str) -> None:
    """Whoever has the task has it as it was, and learns of an error that nobody asked for."""

    async def work() -> int:
        await asyncio.sleep(0.01)
        log.info("inside")
        if end == "failed":
            raise KeyError("lost")
        await asyncio.sleep(60 if end == "cancelled" else 0)
        return 3

    @execution("A")
    def begin() -> "asyncio.Task[int]":
        return asyncio.create_task(work())

    complaints: list[str] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
        task = begin()
        assert isinstance(task, asyncio.Task)
        assert [] == statuses(logs)
        await asyncio.sleep(0.05)
        if end == "cancelled":
            task.cancel()
        await asyncio.wait([task])
        del task
        gc.collect()

    asyncio.run(main())
    assert ["success" if end == "done" else "failed"] == statuses(logs)
    assert ["A"] == [entry["agent_name"] for entry in lines(logs) if entry["event"] == "inside"]
    assert (["Task exception was never retrieved"] if end == "failed" else []) == complaints


def test_what_hands_work_to_a_thread_ends_with_it(logs: Path) -> None:
    """A future of an executor is work that is still to be done."""
    go_on = threading.Event()
    with ThreadPoolExecutor() as pool:
        future = execution("A")(pool.submit)(go_on.wait, 30)
        assert [] == statuses(logs)
        go_on.set()
        assert future.result()
    assert ["success"] == statuses(logs)


def test_a_future_that_is_done_is_given_as_it_is(logs: Path) -> None:
    """Also where its loop is closed, which calls nobody back."""
    loop = asyncio.new_event_loop()
    future = loop.create_future()
    future.set_result(3)
    loop.close()
    assert execution("A")(lambda: future)() is future
    assert ["success"] == statuses(logs)


def test_a_generator_that_is_awaited_is_given_as_it_is(logs: Path) -> None:
    """As `types.coroutine` makes one."""

    @types.coroutine
    def wait() -> Generator[None, None, int]:
        yield
        return 5

    async def main() -> int:
        return await execution("A")(lambda: wait())()

    assert 5 == asyncio.run(main())
    assert ["success"] == statuses(logs)


def test_a_generator_that_nobody_reads_ends_its_execution(logs: Path) -> None:
    """When it is gone: nothing more is to come of it."""

    async def none() -> AsyncIterator[int]:
        yield 1

    plain: Any = execution("A")(lambda: (i for i in range(3)))()
    other: Any = execution("A")(lambda: none())()
    assert ("<genexpr>", "none") == (plain.__name__, other.__name__)
    assert [] == statuses(logs)
    plain.close()
    del plain, other
    gc.collect()
    assert ["success", "success"] == statuses(logs)


def test_methods_of_a_class_are_decorated_in_any_order(logs: Path) -> None:
    """`@staticmethod` and `@classmethod` stand above or below."""

    class Agent:
        @execution("Static")
        @staticmethod
        def static(value: int) -> int:
            return value

        @execution("Class")
        @classmethod
        def of_class(cls, value: int) -> tuple[str, int]:
            return cls.__name__, value

    assert (1, ("Agent", 2)) == (Agent().static(1), Agent.of_class(2))
    assert [("Static", "static"), ("Class", "of_class")] == [
        (entry["agent_name"], entry["method"]) for entry in of_kind(logs, "execution.started")
    ]


def test_what_cannot_be_tracked_is_said_at_once() -> None:
    """A decorator without a name, and a class."""
    with pytest.raises(TypeError, match=r'has no name; decorate it with @execution\("NAME"\)'):
        execution(test_what_cannot_be_tracked_is_said_at_once)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="decorate one of its methods"):
        execution("A")(type("Agent", (), {}))


class _Named(str, Enum):  # noqa: UP042 -- unlike that of a StrEnum, its text is no value.
    CRITIC = "Critic"
    TALK = "c1"
    PREPARE = "llm_prepare"


class _Odd:
    def __str__(self) -> str:
        raise SystemError("x")


def test_members_of_an_enumeration_are_their_values(logs: Path) -> None:
    """Whatever the enumeration derives from, and whatever they name."""
    with execution(_Named.CRITIC, conversation_id=_Named.TALK) as run:
        run.stage(_Named.PREPARE)
        run.complete_stage(_Named.PREPARE)
    pending(_Named.CRITIC, vault_id=_Named.TALK)
    begun, complete = of_kind(logs, "stage.started"), of_kind(logs, "stage.completed")
    assert ("Critic", "c1") == (started(logs)["agent_name"], started(logs)["conversation_id"])
    assert ["llm_prepare"] * 2 == [entry["stage"] for entry in (*begun, *complete)]
    (selected,) = of_kind(logs, "execution.pending")
    assert ("Critic", "c1") == (selected["agent_name"], selected["vault_id"])


def test_what_has_no_name_breaks_nothing(logs: Path) -> None:
    """It is named by its class."""
    odd: Any = _Odd()
    with execution(odd, conversation_id=odd) as run:
        run.stage(odd)
        run.fail_stage(odd)
    assert "<_Odd>" == started(logs)["agent_name"]
    assert "conversation_id" not in started(logs)
    assert ["<_Odd>"] == [entry["stage"] for entry in of_kind(logs, "stage.failed")]
