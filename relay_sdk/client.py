"""The clients: one line an operation."""

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Generic, Self

from attrs import evolve, frozen

from relay_sdk import _operations as operations
from relay_sdk._address import Address
from relay_sdk._checks import check_choice, check_key, check_seconds, check_whole, place
from relay_sdk._clock import Clock, Stopped, SystemClock
from relay_sdk._flow import Flow
from relay_sdk._http import AsyncHttp, Http
from relay_sdk._own import AsyncHttpClient, HttpClient
from relay_sdk._policy import ApiChoice, Policy
from relay_sdk._run import Run, take_runs
from relay_sdk._session import AsyncSession, Session
from relay_sdk._wire.detection import Versions
from relay_sdk.backoff import Backoff
from relay_sdk.helper import AsyncJobHelper, JobHelper
from relay_sdk.job import EnqueueMode, Job, P, Queue, S, as_queue, from_raw

NEXT_BACKOFF = Backoff(0.1, maximum=1.0)
RETRY_BACKOFF = Backoff(0.1, maximum=2.0, factor=2, retries=5)


class _Client:
    """What the two clients share: checking arguments."""

    def __init__(
        self,
        next_backoff: Backoff,
        retry_backoff: Backoff,
        clock: Clock | None,
        api: ApiChoice,
        timeout: float,
    ) -> None:
        check_choice("api", api, ApiChoice)
        self._policy = Policy(
            next_backoff, retry_backoff, clock or SystemClock(), Versions(api), timeout
        )

    def _enqueue(self, jobs: Iterable[Job[Any, Any]], mode: EnqueueMode) -> Flow[None]:
        check_choice("mode", mode, EnqueueMode)
        return operations.enqueue(self._policy, jobs, mode)

    def _take(self, queue: Queue[P, S], num_jobs: int, timeout: float | None) -> Flow[list[Run]]:
        where = place(queue.name)
        check_whole(f"num_jobs of {where}", num_jobs, 1, 2**32 - 1)
        if timeout is not None:
            check_seconds(f"timeout of {where}", timeout)
        return take_runs(self._policy, queue.name, num_jobs, timeout)

    def _take_one(self, queue: Queue[P, S]) -> Flow[list[Run]]:
        """Wait for a job, however long that is."""
        for_ever = evolve(self._policy.next_backoff, retries=None)
        return take_runs(evolve(self._policy, next_backoff=for_ever), queue.name, 1, None)


class Client(_Client):
    """A client of a Relay server that blocks. Safe to share between threads.

    `base_url` defaults to `$RELAY_URL`. `next_backoff` paces the polls of an empty queue; its
    `retries` are how many more there are before `next` gives up. `retry_backoff` paces the attempts
    when a request fails, and its `retries` are how many more there are. `timeout` bounds each
    request as a whole, in seconds. `headers` go with every request. `http_client` is an
    `httpx.Client` or `httpx2.Client` of your own, for proxies or certificates; it is not closed
    here. `api="auto"`
    asks the server at the first request and takes v2 where it is spoken; it asks again when a route
    is missing, and once v2 was, it keeps to v1. `clock` is for tests: see `relay_sdk.testing`.

    Every method may raise `TransportError` or `ServerBusyError` when the retries are spent, and
    `RequestRejectedError` or `UnexpectedStatusError`.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        next_backoff: Backoff = NEXT_BACKOFF,
        retry_backoff: Backoff = RETRY_BACKOFF,
        http_client: HttpClient | None = None,
        timeout: float = 10.0,
        headers: Mapping[str, str] | None = None,
        api: ApiChoice = "auto",
        clock: Clock | None = None,
    ) -> None:
        super().__init__(next_backoff, retry_backoff, clock, api, timeout)
        self._session: Session = Session(
            self._policy, Http(Address(base_url, timeout, headers), http_client)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.http.close()

    def enqueue(self, job: Job[Any, Any], *, mode: EnqueueMode = "unique") -> None:
        """Enqueue a job; it is on the server's disk when this returns.

        `JobExistsError` when its id is in the queue already, waiting or running; mode "ignore"
        keeps that job without an error, "replace" overwrites it (not on API v1:
        `UnsupportedError`). `PayloadError`, `ValueError` or `TypeError` when it cannot be sent.
        """
        self._session.run(self._enqueue([job], mode))

    def enqueue_batch(self, jobs: Iterable[Job[Any, Any]], *, mode: EnqueueMode = "ignore") -> None:
        """Enqueue jobs of any queues and types, as `enqueue` does one.

        Mode "unique" is one transaction: all or none, and not on API v1. In the other modes a
        batch above 2 MiB goes in several requests; an error tells how many jobs went before it.
        Two jobs of one queue and id are refused (`ValueError`).
        """
        self._session.run(self._enqueue(jobs, mode))

    def next(
        self,
        queue: Queue[P, S] | str,
        num_jobs: int = 1,
        *,
        timeout: float | None = None,
        stop: threading.Event | None = None,
    ) -> list[JobHelper[P, S]]:
        """Wait for jobs and take from 1 to `num_jobs` of them: they are ours until their timeout.

        The list is empty after `timeout` seconds without a job, and when `stop` is set; with a
        `timeout` of 0 the server is asked once. A server that does not answer in time is an error,
        unless it said before that there are no jobs; the last look has at least 2 seconds. If
        the reply is lost, the jobs in it stay claimed until their timeout.
        """
        declared = as_queue(queue)
        return self._handed_out(declared, self._take(declared, num_jobs, timeout), stop)

    def iter(
        self, queue: Queue[P, S] | str, *, stop: threading.Event | None = None
    ) -> Iterator[JobHelper[P, S]]:
        """Take jobs one by one until `stop` is set; `next_backoff` waits for ever here.

        A job that comes when it was set meanwhile is put back.
        """
        declared = as_queue(queue)
        while stop is None or not stop.is_set():
            for helper in self._handed_out(declared, self._take_one(declared), stop):
                if stop is None or not stop.is_set():
                    yield helper
                else:
                    helper.release()

    def _handed_out(
        self, queue: Queue[P, S], flow: Flow[list[Run]], stop: threading.Event | None
    ) -> list[JobHelper[P, S]]:
        if stop is not None and stop.is_set():
            return []
        try:
            runs = self._session.run(flow, stop)
        except Stopped:
            return []
        return [JobHelper(self._session, run, queue) for run in runs]

    def get(self, queue: Queue[P, S] | str, id: str) -> Job[P, S]:
        """Read a job, waiting or running: `JobNotFoundError`, or `PayloadError`."""
        declared = as_queue(queue)
        check_key(declared.name, id)
        return from_raw(
            declared, self._session.run(operations.get(self._policy, declared.name, id))
        )

    def exists(self, queue: Queue[Any, Any] | str, id: str) -> bool:
        """Look whether a job is in the queue, waiting or running."""
        name = as_queue(queue).name
        check_key(name, id)
        return self._session.run(operations.exists(self._policy, name, id))

    def remove(self, queue: Queue[Any, Any] | str, id: str) -> None:
        """Delete a job, also from under the worker that runs it. No error when there is none.

        It is asked for again when the reply is lost: a new job of that id may go then.
        """
        name = as_queue(queue).name
        check_key(name, id)
        self._session.run(operations.remove(self._policy, name, id))


class AsyncClient(_Client):
    """A client of a Relay server for asyncio and trio: `Client`, awaited.

    Safe to share between the tasks of one event loop. `http_client` is an `httpx.AsyncClient`
    or `httpx2.AsyncClient` of your own; it is not closed here.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        next_backoff: Backoff = NEXT_BACKOFF,
        retry_backoff: Backoff = RETRY_BACKOFF,
        http_client: AsyncHttpClient | None = None,
        timeout: float = 10.0,
        headers: Mapping[str, str] | None = None,
        api: ApiChoice = "auto",
        clock: Clock | None = None,
    ) -> None:
        super().__init__(next_backoff, retry_backoff, clock, api, timeout)
        self._session: AsyncSession = AsyncSession(
            self._policy, AsyncHttp(Address(base_url, timeout, headers), http_client)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.http.aclose()

    async def enqueue(self, job: Job[Any, Any], *, mode: EnqueueMode = "unique") -> None:
        """Enqueue a job; it is on the server's disk when this returns.

        `JobExistsError` when its id is in the queue already, waiting or running; mode "ignore"
        keeps that job without an error, "replace" overwrites it (not on API v1:
        `UnsupportedError`). `PayloadError`, `ValueError` or `TypeError` when it cannot be sent.
        """
        await self._session.run(self._enqueue([job], mode))

    async def enqueue_batch(
        self, jobs: Iterable[Job[Any, Any]], *, mode: EnqueueMode = "ignore"
    ) -> None:
        """Enqueue jobs of any queues and types, as `enqueue` does one.

        Mode "unique" is one transaction: all or none, and not on API v1. In the other modes a
        batch above 2 MiB goes in several requests; an error tells how many jobs went before it.
        Two jobs of one queue and id are refused (`ValueError`).
        """
        await self._session.run(self._enqueue(jobs, mode))

    async def next(
        self, queue: Queue[P, S] | str, num_jobs: int = 1, *, timeout: float | None = None
    ) -> list[AsyncJobHelper[P, S]]:
        """Wait for jobs and take from 1 to `num_jobs` of them: they are ours until their timeout.

        The list is empty after `timeout` seconds without a job; with a `timeout` of 0 the server is
        asked once. A server that does not answer in time is an error, unless it said before that
        there are no jobs; the last look has at least 2 seconds. If the reply is lost, or the
        task is cancelled while it is on its way, the jobs in it stay claimed until their timeout.
        """
        declared = as_queue(queue)
        return await self._handed_out(declared, self._take(declared, num_jobs, timeout))

    def iter(self, queue: Queue[P, S] | str) -> AsyncIterator[AsyncJobHelper[P, S]]:
        """Take jobs one by one; `next_backoff` waits for ever here."""
        declared = as_queue(queue)
        return _Jobs(lambda: self._handed_out(declared, self._take_one(declared)))

    async def _handed_out(
        self, queue: Queue[P, S], flow: Flow[list[Run]]
    ) -> list[AsyncJobHelper[P, S]]:
        runs = await self._session.run(flow)
        return [AsyncJobHelper(self._session, run, queue) for run in runs]

    async def get(self, queue: Queue[P, S] | str, id: str) -> Job[P, S]:
        """Read a job, waiting or running: `JobNotFoundError`, or `PayloadError`."""
        declared = as_queue(queue)
        check_key(declared.name, id)
        raw = await self._session.run(operations.get(self._policy, declared.name, id))
        return from_raw(declared, raw)

    async def exists(self, queue: Queue[Any, Any] | str, id: str) -> bool:
        """Look whether a job is in the queue, waiting or running."""
        name = as_queue(queue).name
        check_key(name, id)
        return await self._session.run(operations.exists(self._policy, name, id))

    async def remove(self, queue: Queue[Any, Any] | str, id: str) -> None:
        """Delete a job, also from under the worker that runs it. No error when there is none.

        It is asked for again when the reply is lost: a new job of that id may go then.
        """
        name = as_queue(queue).name
        check_key(name, id)
        await self._session.run(operations.remove(self._policy, name, id))


@frozen
class _Jobs(Generic[P, S]):
    """An iterator without a state to clean up, as an async generator would have."""

    take: Callable[[], Awaitable[list[AsyncJobHelper[P, S]]]]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AsyncJobHelper[P, S]:
        while True:
            for helper in await self.take():
                return helper
