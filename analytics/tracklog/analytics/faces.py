"""Put the questions to a database: one face that blocks and one that is awaited, of the same queries."""

import functools
import inspect
import os
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, ParamSpec, Self, TypeVar, overload

from tracklog.analytics.answers import (
    activity,
    breakdown,
    calls,
    chains,
    conversations,
    differences,
    executions,
    failures,
    ingestion,
    lines,
    losses,
    performance,
    prefixes,
    sql,
    timeline,
    waterfall,
    why,
)
from tracklog.analytics.query import Query
from tracklog.analytics.reader import Reader, open_database
from tracklog.ingester.database import DEFAULT_URL, ENVIRONMENT_VARIABLE

P = ParamSpec("P")
T = TypeVar("T")


class Connected:
    """Hold the reader of one database; connections are made when the first question is asked.

    :param url: ``sqlite:///PATH``, a plain path, or ``postgresql://USER@HOST/NAME``. Without it the environment's
        TRACKLOG_DATABASE_URL, else ``sqlite:///tracklog.db``.
    :raises DatabaseError: The URL is of no database that tracklog knows.
    """

    def __init__(self, url: str | None = None) -> None:
        self._url = url or default_url()
        self._lock = threading.Lock()
        self._open()

    def _open(self) -> None:
        self._pid = os.getpid()
        self._reader = open_database(self._url)
        # An answerer that is dropped without being closed must not leave its thread and its connections behind.
        self._finalizer = weakref.finalize(self, _close_reader, self._reader, self._pid)

    def reader(self) -> Reader:
        """Give the reader, a new one in a process that was forked since."""
        if self._pid != os.getpid():
            self._lock = threading.Lock()  # A thread that held it does not exist in a forked child.
        with self._lock:
            if self._pid != os.getpid():
                # Kept, not closed: connections that are closed here would be closed under the parent's feet.
                _inherited.append(self._reader)
                self._open()
            return self._reader

    def _close(self) -> None:
        if self._pid == os.getpid():
            self._reader.close()


def _signature_of(query: Callable[..., Any]) -> inspect.Signature:
    """Give a query's signature with the answer as what it returns."""
    signature = inspect.signature(query)
    return signature.replace(return_annotation=getattr(signature.return_annotation, "__args__", (Any,))[-1])


def _described(ask: Callable[P, T], query: Callable[P, Any], signature: inspect.Signature) -> Callable[P, T]:
    """Give a method its query's name and docstring."""
    functools.update_wrapper(ask, query)
    ask.__signature__ = signature  # type: ignore[attr-defined]
    return ask


class SyncAnswer(Generic[P, T]):
    """Turn a query into a method that blocks, of the class and of its instances."""

    def __init__(self, query: Callable[P, Query[T]]) -> None:
        self.query = query
        self.__doc__ = query.__doc__
        self._signature = _signature_of(query)

    def __get__(self, instance: "ExecutionAnalytics | None", owner: type["ExecutionAnalytics"]) -> Callable[P, T]:
        query = self.query

        def ask(*args: P.args, **kwargs: P.kwargs) -> T:
            answerer = instance if instance is not None else _default(owner)
            return answerer.reader().answer(lambda: query(*args, **kwargs))

        return _described(ask, query, self._signature)


class AsyncAnswer(Generic[P, T]):
    """Turn a query into a method that is awaited, of the class and of its instances."""

    def __init__(self, query: Callable[P, Query[T]]) -> None:
        self.query = query
        self.__doc__ = query.__doc__
        self._signature = _signature_of(query)

    def __get__(
        self, instance: "AsyncExecutionAnalytics | None", owner: type["AsyncExecutionAnalytics"]
    ) -> Callable[P, Awaitable[T]]:
        query = self.query

        async def ask(*args: P.args, **kwargs: P.kwargs) -> T:
            answerer = instance if instance is not None else _default(owner)
            return await answerer.reader().answer_async(lambda: query(*args, **kwargs))

        return _described(ask, query, self._signature)


class ExecutionAnalytics(Connected):
    """Answer questions about executions; each answer is one consistent view of the database.

    The methods can be called on the class, for the database that TRACKLOG_DATABASE_URL names (without it
    ``sqlite:///tracklog.db``), and on an instance, for a given one. Ids are text or UUIDs.

    :raises DatabaseUnreachableError: By each method: the database is away, or there is no such file; none is made.
    :raises SchemaError: By each method: its tables are not those of this version.
    """

    debug_why_agent_didnt_fire = SyncAnswer(why.debug_why_agent_didnt_fire)
    get_stage_timeline = SyncAnswer(timeline.get_stage_timeline)
    get_waterfall = SyncAnswer(waterfall.get_waterfall)
    get_failed_executions = SyncAnswer(executions.get_failed_executions)
    get_failure_groups = SyncAnswer(failures.get_failure_groups)
    analyze_agent_performance = SyncAnswer(performance.analyze_agent_performance)
    performance_by_agent = SyncAnswer(performance.performance_by_agent)
    performance_by = SyncAnswer(breakdown.performance_by)
    performance_by_model = SyncAnswer(breakdown.performance_by_model)
    get_llm_interactions = SyncAnswer(calls.get_llm_interactions)
    get_execution_call_chain = SyncAnswer(chains.get_execution_call_chain)
    find_slow_executions = SyncAnswer(executions.find_slow_executions)
    get_execution = SyncAnswer(executions.get_execution)
    get_executions = SyncAnswer(executions.get_executions)
    get_execution_with_logs = SyncAnswer(executions.get_execution_with_logs)
    get_recent_executions = SyncAnswer(executions.get_recent_executions)
    get_skipped_executions = SyncAnswer(executions.get_skipped_executions)
    get_conversation = SyncAnswer(conversations.get_conversation)
    find_conversations = SyncAnswer(conversations.find_conversations)
    compare_executions = SyncAnswer(differences.compare_executions)
    get_activity = SyncAnswer(activity.get_activity)
    get_ingestion = SyncAnswer(ingestion.get_ingestion)
    get_followed_paths = SyncAnswer(ingestion.get_followed_paths)
    get_log_lines = SyncAnswer(lines.get_log_lines)
    search_log_lines = SyncAnswer(lines.search_log_lines)
    get_losses = SyncAnswer(losses.get_losses)
    get_quarantined_lines = SyncAnswer(losses.get_quarantined_lines)
    resolve_prefix = SyncAnswer(prefixes.resolve_prefix)
    shortest_prefixes = SyncAnswer(prefixes.shortest_prefixes)
    run_sql = SyncAnswer(sql.run_sql)

    def close(self) -> None:
        """Close the connections; more than once is fine, and a later question connects anew."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


class AsyncExecutionAnalytics(Connected):
    """Answer the questions of `ExecutionAnalytics` inside a running event loop, without blocking it."""

    debug_why_agent_didnt_fire = AsyncAnswer(why.debug_why_agent_didnt_fire)
    get_stage_timeline = AsyncAnswer(timeline.get_stage_timeline)
    get_waterfall = AsyncAnswer(waterfall.get_waterfall)
    get_failed_executions = AsyncAnswer(executions.get_failed_executions)
    get_failure_groups = AsyncAnswer(failures.get_failure_groups)
    analyze_agent_performance = AsyncAnswer(performance.analyze_agent_performance)
    performance_by_agent = AsyncAnswer(performance.performance_by_agent)
    performance_by = AsyncAnswer(breakdown.performance_by)
    performance_by_model = AsyncAnswer(breakdown.performance_by_model)
    get_llm_interactions = AsyncAnswer(calls.get_llm_interactions)
    get_execution_call_chain = AsyncAnswer(chains.get_execution_call_chain)
    find_slow_executions = AsyncAnswer(executions.find_slow_executions)
    get_execution = AsyncAnswer(executions.get_execution)
    get_executions = AsyncAnswer(executions.get_executions)
    get_execution_with_logs = AsyncAnswer(executions.get_execution_with_logs)
    get_recent_executions = AsyncAnswer(executions.get_recent_executions)
    get_skipped_executions = AsyncAnswer(executions.get_skipped_executions)
    get_conversation = AsyncAnswer(conversations.get_conversation)
    find_conversations = AsyncAnswer(conversations.find_conversations)
    compare_executions = AsyncAnswer(differences.compare_executions)
    get_activity = AsyncAnswer(activity.get_activity)
    get_ingestion = AsyncAnswer(ingestion.get_ingestion)
    get_followed_paths = AsyncAnswer(ingestion.get_followed_paths)
    get_log_lines = AsyncAnswer(lines.get_log_lines)
    search_log_lines = AsyncAnswer(lines.search_log_lines)
    get_losses = AsyncAnswer(losses.get_losses)
    get_quarantined_lines = AsyncAnswer(losses.get_quarantined_lines)
    resolve_prefix = AsyncAnswer(prefixes.resolve_prefix)
    shortest_prefixes = AsyncAnswer(prefixes.shortest_prefixes)
    run_sql = AsyncAnswer(sql.run_sql)

    async def close(self) -> None:
        """Close the connections; more than once is fine, and a later question connects anew."""
        import asyncio

        await asyncio.to_thread(self._close)  # It waits for the thread that owns the connections.

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()


def default_url() -> str:
    """Give the URL of the database that is asked when none is named."""
    return os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_URL


_inherited: Final[list[Reader]] = []
"""Readers of a parent process."""

_defaults: Final[dict[tuple[type[Connected], str], Connected]] = {}
"""What answers for calls on the classes, for each class and URL."""

_defaults_lock = threading.Lock()


@overload
def _default(owner: type[ExecutionAnalytics]) -> ExecutionAnalytics: ...


@overload
def _default(owner: type[AsyncExecutionAnalytics]) -> AsyncExecutionAnalytics: ...


def _default(owner: type[Connected]) -> Connected:
    url = default_url()
    with _defaults_lock:
        answerer = _defaults.get((owner, url))
        if answerer is None:
            answerer = _defaults[owner, url] = owner(url)
        return answerer


def close_defaults() -> None:
    """Close what calls on the classes opened; a later call connects anew."""
    with _defaults_lock:
        answerers = list(_defaults.values())
        _defaults.clear()
    for answerer in answerers:
        answerer._close()


def _start_anew() -> None:
    """Forget, in a forked child, what is its parent's: readers, and a lock whose holder does not exist here."""
    global _defaults_lock
    _defaults_lock = threading.Lock()
    _inherited.extend(answerer._reader for answerer in _defaults.values())
    _defaults.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)


def _close_reader(reader: Reader, pid: int) -> None:
    if pid == os.getpid():
        reader.close()
