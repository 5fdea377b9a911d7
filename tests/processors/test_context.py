"""Which execution the running code belongs to."""

import asyncio
import contextvars
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import structlog

from processors.written import events, lines, of_kind, run_program
from tracklog.processors import (
    ContextThreadPoolExecutor,
    ExecutionLog,
    Run,
    carry,
    current_execution,
    execution,
)


@pytest.fixture(autouse=True)
def log(logs: Path) -> Any:
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, ExecutionLog(logs)],
        logger_factory=structlog.testing.ReturnLoggerFactory(),
    )
    return structlog.get_logger()


def test_a_thread_belongs_to_no_execution() -> None:
    """Unless its function carries one."""
    seen = []
    with execution("A") as run:
        for target in (lambda: seen.append(current_execution()), carry(lambda: seen.append(current_execution()))):
            thread = threading.Thread(target=target)
            thread.start()
            thread.join()
    assert [None, run] == seen


def test_a_carried_function_takes_what_was_current_then(log: Any, logs: Path) -> None:
    """Not what is current when it is called; structlog's own context comes along."""
    with execution("A") as run, structlog.contextvars.bound_contextvars(request="r1"):
        carried = carry(log.info)
    with execution("B"):
        carried("carried", n=1)
    (entry,) = (entry for entry in lines(logs) if "kind" not in entry)
    assert (run.execution_id, "A", "r1") == (entry["execution_id"], entry["agent_name"], entry["request"])


def test_a_carried_function_is_called_by_many_at_a_time() -> None:
    """And by itself; each call has a context of its own."""
    every = threading.Barrier(8)
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)

    def work(number: int) -> tuple[Run | None, int]:
        variable.set(variable.get() + number)
        every.wait()
        return current_execution(), variable.get()

    with execution("A") as run, ThreadPoolExecutor(8) as pool:
        assert [(run, number) for number in range(8)] == list(pool.map(carry(work), range(8)))

    def count(number: int) -> int:
        return 1 + carried(number - 1) if number else 0

    carried = carry(count)
    assert carried(5) == 5
    assert carried.__name__ == "count"


def test_the_executor_carries_what_submits() -> None:
    """By `submit` and `map`, and in `run_in_executor`; what its threads do leaves no trace."""

    def name(_: int = 0) -> str | None:
        run = current_execution()
        with execution("inner"):
            pass
        return run.agent_name if run is not None else None

    async def from_loop(pool: ThreadPoolExecutor) -> str | None:
        with execution("C"):
            return await asyncio.get_running_loop().run_in_executor(pool, name)

    with ContextThreadPoolExecutor(1) as pool:
        with execution("A"):
            one = pool.submit(name)
        with execution("B"):
            others = list(pool.map(name, range(2)))
        assert ["A", "B", "B", "C", None] == [
            one.result(),
            *others,
            asyncio.run(from_loop(pool)),
            pool.submit(name).result(),
        ]


def test_threads_of_asyncio_carry_by_themselves() -> None:
    """`asyncio.to_thread` does."""

    async def main() -> None:
        async with execution("A") as run:
            assert await asyncio.to_thread(current_execution) is run

    asyncio.run(main())


def test_structlogs_context_shows_the_execution_and_gets_its_own_back() -> None:
    """Every logger of the program shows both names; what a program bound under them comes back."""
    structlog.contextvars.bind_contextvars(execution_id="own", other=1)
    with execution("A") as a:
        with execution("B") as b:
            assert {"execution_id": b.execution_id, "agent_name": "B", "other": 1} == bound()
        assert {"execution_id": a.execution_id, "agent_name": "A", "other": 1} == bound()
    assert {"execution_id": "own", "other": 1} == bound()


def bound() -> dict[str, Any]:
    return structlog.contextvars.get_contextvars()


def test_what_was_bound_inside_under_the_same_name_is_kept() -> None:
    """It is somebody's own."""
    with execution("A"):
        structlog.contextvars.bind_contextvars(execution_id="own")
    assert bound()["execution_id"] == "own"


def test_executions_left_out_of_order_leave_none_current() -> None:
    """In whichever order three are left."""
    for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
        recipes = [execution(name) for name in "ABC"]
        runs = [recipe.__enter__() for recipe in recipes]
        for number in order:
            recipes[number].__exit__(None, None, None)
            left = [run for run, recipe in zip(runs, recipes, strict=True) if recipe._entered]
            assert current_execution() is (left[-1] if left else None)
        assert bound() == {}


def test_a_task_that_outlives_its_execution_still_belongs_to_it(log: Any, logs: Path) -> None:
    """What a background task logs is of the execution that began it, also when that has ended."""

    async def main() -> None:
        ended = asyncio.Event()

        async def late() -> None:
            await ended.wait()
            log.info("late")
            with execution("Late"):
                pass

        async with execution("A"):
            task = asyncio.create_task(late())
        ended.set()
        await task

    asyncio.run(main())
    (entry,) = (entry for entry in lines(logs) if "kind" not in entry)
    assert (entry["agent_name"], events(logs)) == ("A", ["late"])


def test_tasks_that_begin_the_next_ones_do_not_hold_all_that_were() -> None:
    """A loop that goes on for ever by tasks does not fill the memory."""
    activations: list[weakref.ref[Any]] = []

    class Watched:
        pass

    async def step(left: int) -> None:
        watched = Watched()
        activations.append(weakref.ref(watched))
        with execution("A") as run:
            run.watched = watched  # type: ignore[attr-defined]
            task = asyncio.get_running_loop().create_task(step(left - 1)) if left else None
        del watched, run
        if task is not None:
            following.append(task)

    following: list[asyncio.Task[None]] = []

    async def main() -> None:
        await step(50)
        while following:
            await following.pop()
        gc.collect()
        assert sum(reference() is not None for reference in activations) < 5

    asyncio.run(main())


def test_an_execution_that_was_left_in_another_context_ends_with_the_one_around_it() -> None:
    """It cannot be taken away here when it ends there; nothing raises, and nothing stays for ever."""
    structlog.contextvars.bind_contextvars(execution_id="own")
    inner = execution("Inner")
    with execution("Outer"):
        inner.__enter__()
        contextvars.copy_context().run(inner.__exit__, None, None, None)
    assert current_execution() is None
    assert {"execution_id": "own"} == bound()


POOL = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import structlog
from tracklog.processors import configure, execution

log = structlog.get_logger()

def work(name):
    log.info("work", name=name)
    with execution("Worker", method=name):
        pass

if __name__ == "__main__":
    configure(sys.argv[1], console=False)
    fork = multiprocessing.get_context("fork")
    with execution("Own"):
        process = fork.Process(target=work, args=("own",))
        process.start()
        process.join()
    with execution("First"):
        if sys.argv[2] == "executor":
            pool = ProcessPoolExecutor(1, mp_context=fork)
            run = lambda name: pool.submit(work, name).result()
        else:
            pool = fork.Pool(1)
            run = lambda name: pool.apply(work, (name,))
        run("first")
    with execution("Second"):
        run("second")
"""


@pytest.mark.parametrize("sort", ["executor", "pool"])
def test_a_pools_process_belongs_to_no_execution(logs: Path, sort: str) -> None:
    """It was begun inside of one, and works for all; a process of one's own belongs to the one that began it."""
    done = run_program(POOL, logs, sort)
    assert "" == done.stderr
    agents = {entry["execution_id"]: entry["agent_name"] for entry in of_kind(logs, "execution.started")}
    assert {"own": "Own", "first": None, "second": None} == {
        entry["name"]: agents.get(entry.get("execution_id")) for entry in lines(logs) if entry["event"] == "work"
    }
    assert {"own": "Own", "first": None, "second": None} == {
        entry["method"]: agents.get(entry.get("parent_execution_id"))
        for entry in of_kind(logs, "execution.started")
        if entry["agent_name"] == "Worker"
    }
