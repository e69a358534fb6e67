"""The clients."""

import threading
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Generic, Self, TypeVar

from attrs import evolve, frozen

from relay_sdk._base.clock import Clock, Stopped, SystemClock
from relay_sdk._base.flow import Flow
from relay_sdk._base.validation import (
    check_choice,
    check_int_range,
    check_key,
    check_type,
    to_seconds,
)
from relay_sdk._engine import operations
from relay_sdk._engine.config import ApiChoice, ClientConfig
from relay_sdk._engine.driver import AsyncDriver, Driver
from relay_sdk._engine.run import R, TaskRun, ThreadRun, claim_runs
from relay_sdk._http.address import Address
from relay_sdk._http.client import AsyncHttp, Http
from relay_sdk._http.httpx_adapter import AsyncHttpClient, HttpClient
from relay_sdk._protocol.negotiation import VersionNegotiator
from relay_sdk.backoff import Backoff
from relay_sdk.events import Event
from relay_sdk.helper import AsyncJobHelper, JobHelper
from relay_sdk.job import EnqueueMode, Job, P, Queue, S, as_queue, from_raw

NEXT_BACKOFF = Backoff(0.1, maximum=1.0)
RETRY_BACKOFF = Backoff(0.1, maximum=2.0, factor=2, retries=5)


OwnClient = TypeVar("OwnClient", HttpClient, AsyncHttpClient)


class _Client(Generic[OwnClient]):
    """The parts that both clients share: the arguments, their checks, and the flows."""

    def __init__(
        self,
        base_url: str | None = None,
        *,
        next_backoff: Backoff = NEXT_BACKOFF,
        retry_backoff: Backoff = RETRY_BACKOFF,
        http_client: OwnClient | None = None,
        timeout: float | timedelta = 15.0,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        api: ApiChoice = "auto",
        on_event: Callable[[Event], object] | None = None,
        clock: Clock | None = None,
    ) -> None:
        check_choice("api", api, ApiChoice)
        for name, value in (("next_backoff", next_backoff), ("retry_backoff", retry_backoff)):
            check_type(f"{name} must be a Backoff", value, Backoff, "write Backoff(retries=3)")
        self._config = ClientConfig(
            next_backoff,
            retry_backoff,
            clock or SystemClock(),
            VersionNegotiator(api),
            to_seconds("timeout", timeout),
            # The clock of a test does not move while the server holds a request.
            clock is None,
            on_event,
        )
        self._open(Address(base_url, self._config.timeout, headers, token), http_client)

    @abstractmethod
    def _open(self, address: Address, http_client: OwnClient | None) -> None:
        """Make the driver."""

    def _enqueue(self, jobs: Iterable[Job[Any, Any]], mode: EnqueueMode) -> Flow[None]:
        check_choice("mode", mode, EnqueueMode)
        check_type("enqueue_batch takes several jobs", jobs, Iterable, "write enqueue_batch([job])")
        return operations.enqueue(self._config, jobs, mode)

    def _claim(
        self, kind: type[R], queue: Queue[P, S], num_jobs: int, timeout: float | timedelta | None
    ) -> Flow[list[R]]:
        check_int_range("num_jobs", num_jobs, 1, 2**32 - 1, queue.name)
        seconds = None if timeout is None else to_seconds("timeout", timeout, queue.name)
        # If the polls are limited, the server must answer each of them at once.
        long_poll = self._config.next_backoff.retries is None
        return claim_runs(kind, self._config, queue.name, num_jobs, seconds, long_poll=long_poll)

    def _claim_one(self, kind: type[R], queue: Queue[P, S]) -> Flow[list[R]]:
        """Wait for a job without a limit of time or polls."""
        unlimited = evolve(self._config.next_backoff, retries=None)
        config = evolve(self._config, next_backoff=unlimited)
        return claim_runs(kind, config, queue.name, 1, long_poll=True)

    def _get(self, queue: Queue[P, S] | str, id: str) -> Flow[Job[P, S]]:
        declared = as_queue(queue)
        raw = yield from operations.get(self._config, *_key(declared, id))
        return from_raw(declared, raw)

    def _exists(self, queue: Queue[Any, Any] | str, id: str) -> Flow[bool]:
        return operations.exists(self._config, *_key(queue, id))

    def _remove(self, queue: Queue[Any, Any] | str, id: str) -> Flow[None]:
        return operations.remove(self._config, *_key(queue, id))


class Client(_Client[HttpClient]):
    """A client of a Relay server that blocks. Safe to share between threads.

    `base_url` defaults to `$RELAY_URL`, or else to `http://127.0.0.1:8080`, where `relay-sdk serve`
    and Relay listen. `next_backoff` is how long to wait between polls of an empty queue; its
    `retries` limit the polls of one `next`. `retry_backoff` is how long to wait before a failed
    request is retried, and how often. `timeout` limits each request as a whole, in seconds.
    `headers` are sent with every request, and so is `token`, as `Authorization: Bearer`; it
    defaults to `$RELAY_TOKEN`, and excludes another login. `http_client` is an `httpx.Client` or
    `httpx2.Client` of your own, for client certificates or limits; the SDK does not close it.
    `api="auto"` detects the version of the API with the first request and prefers v2. `on_event` is
    called with a `RequestEvent` as each request begins and ends, and with a `JobEvent` for each job
    in a worker of this client, in the thread or task in which that happens; what it raises is
    logged. `clock` is for tests: see `relay_sdk.testing`.

    Every method may raise `TransportError` or `ServerBusyError` when its retries are used up, and
    `RequestRejectedError` or `UnexpectedStatusError`.
    """

    def _open(self, address: Address, http_client: HttpClient | None) -> None:
        if http_client is not None:
            # A thread that waits in the user's own client cannot be interrupted.
            self._config = evolve(self._config, may_long_poll=False)
        self._driver: Driver = Driver(self._config, Http(address, http_client))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; every later call raises `ClientStateError`."""
        self._driver.http.close()

    def enqueue(self, job: Job[Any, Any], *, mode: EnqueueMode = "unique") -> None:
        """Enqueue a job. When this returns, the server has written it to disk.

        If the queue has a job with this id, waiting or running, `mode` decides: "unique" raises
        `JobExistsError`, "ignore" keeps the job that is there, "replace" overwrites it (not on
        API v1: `UnsupportedError`). A job that cannot be sent raises `PayloadError`, `ValueError`
        or `TypeError`.
        """
        self._driver.run(self._enqueue([job], mode))

    def enqueue_batch(self, jobs: Iterable[Job[Any, Any]], *, mode: EnqueueMode = "ignore") -> None:
        """Enqueue several jobs, of any queues and types.

        Mode "unique" is one transaction, all or nothing (not on API v1). In the other modes a batch
        above 2 MiB is sent in several requests; if one fails, a note on the error says how many
        jobs were enqueued before. Two jobs with the same queue and id raise `ValueError`.
        """
        self._driver.run(self._enqueue(jobs, mode))

    def next(
        self,
        queue: Queue[P, S] | str,
        num_jobs: int = 1,
        *,
        timeout: float | timedelta | None = None,
        stop: threading.Event | None = None,
    ) -> list[JobHelper[P, S]]:
        """Wait for jobs and claim up to `num_jobs` of them, each until its timeout.

        Returns an empty list if no job came within `timeout` seconds, or if `stop` is set. A
        `timeout` of 0 polls once. Raises if the server has not answered at all by then; the last
        poll may take 2 seconds more. If a reply is lost on its way, its jobs stay claimed until
        their timeout.
        """
        declared = as_queue(queue)
        flow = self._claim(ThreadRun, declared, num_jobs, timeout)
        return self._helpers(declared, flow, stop)

    def iter(
        self, queue: Queue[P, S] | str, *, stop: threading.Event | None = None
    ) -> Iterator[JobHelper[P, S]]:
        """Claim jobs one by one until `stop` is set, however long the queue stays empty.

        A job that arrives after `stop` was set is put back.
        """
        declared = as_queue(queue)
        while stop is None or not stop.is_set():
            for helper in self._helpers(declared, self._claim_one(ThreadRun, declared), stop):
                if stop is None or not stop.is_set():
                    yield helper
                else:
                    helper.release()

    def _helpers(
        self, queue: Queue[P, S], flow: Flow[list[ThreadRun]], stop: threading.Event | None
    ) -> list[JobHelper[P, S]]:
        if stop is not None and stop.is_set():
            return []
        try:
            runs = self._driver.run(flow, stop)
        except Stopped:
            return []
        return [JobHelper(self._driver, run, queue) for run in runs]

    def get(self, queue: Queue[P, S] | str, id: str) -> Job[P, S]:
        """Read a job, waiting or running, without claiming it.

        Raises `JobNotFoundError`, or `PayloadError` if it does not fit the queue's types.
        """
        return self._driver.run(self._get(queue, id))

    def exists(self, queue: Queue[Any, Any] | str, id: str) -> bool:
        """Return whether a job is in the queue, waiting or running."""
        return self._driver.run(self._exists(queue, id))

    def remove(self, queue: Queue[Any, Any] | str, id: str) -> None:
        """Delete a job, even if a worker is running it. No error if there is none.

        If the reply is lost the request is repeated, which may delete a new job with this id.
        """
        self._driver.run(self._remove(queue, id))


class AsyncClient(_Client[AsyncHttpClient]):
    """A client of a Relay server for asyncio and trio: `Client`, awaited.

    Safe to share between tasks. The arguments are those of `Client`; `http_client` is an
    `httpx.AsyncClient` or `httpx2.AsyncClient` of your own, which the SDK does not close.
    """

    def _open(self, address: Address, http_client: AsyncHttpClient | None) -> None:
        self._driver: AsyncDriver = AsyncDriver(self._config, AsyncHttp(address, http_client))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; every later call raises `ClientStateError`."""
        await self._driver.http.aclose()

    async def enqueue(self, job: Job[Any, Any], *, mode: EnqueueMode = "unique") -> None:
        """Enqueue a job. When this returns, the server has written it to disk.

        If the queue has a job with this id, waiting or running, `mode` decides: "unique" raises
        `JobExistsError`, "ignore" keeps the job that is there, "replace" overwrites it (not on
        API v1: `UnsupportedError`). A job that cannot be sent raises `PayloadError`, `ValueError`
        or `TypeError`.
        """
        await self._driver.run(self._enqueue([job], mode))

    async def enqueue_batch(
        self, jobs: Iterable[Job[Any, Any]], *, mode: EnqueueMode = "ignore"
    ) -> None:
        """Enqueue several jobs, of any queues and types.

        Mode "unique" is one transaction, all or nothing (not on API v1). In the other modes a batch
        above 2 MiB is sent in several requests; if one fails, a note on the error says how many
        jobs were enqueued before. Two jobs with the same queue and id raise `ValueError`.
        """
        await self._driver.run(self._enqueue(jobs, mode))

    async def next(
        self,
        queue: Queue[P, S] | str,
        num_jobs: int = 1,
        *,
        timeout: float | timedelta | None = None,
    ) -> list[AsyncJobHelper[P, S]]:
        """Wait for jobs and claim up to `num_jobs` of them, each until its timeout.

        Returns an empty list if no job came within `timeout` seconds. A `timeout` of 0 polls once.
        Raises if the server has not answered at all by then; the last poll may take 2 seconds more.
        If a reply is lost on its way, or the task is cancelled before it comes, its jobs stay
        claimed until their timeout.
        """
        declared = as_queue(queue)
        return await self._helpers(declared, self._claim(TaskRun, declared, num_jobs, timeout))

    def iter(self, queue: Queue[P, S] | str) -> AsyncIterator[AsyncJobHelper[P, S]]:
        """Claim jobs one by one, however long the queue stays empty."""
        declared = as_queue(queue)
        return _Jobs(lambda: self._helpers(declared, self._claim_one(TaskRun, declared)))

    async def _helpers(
        self, queue: Queue[P, S], flow: Flow[list[TaskRun]]
    ) -> list[AsyncJobHelper[P, S]]:
        runs = await self._driver.run(flow)
        return [AsyncJobHelper(self._driver, run, queue) for run in runs]

    async def get(self, queue: Queue[P, S] | str, id: str) -> Job[P, S]:
        """Read a job, waiting or running, without claiming it.

        Raises `JobNotFoundError`, or `PayloadError` if it does not fit the queue's types.
        """
        return await self._driver.run(self._get(queue, id))

    async def exists(self, queue: Queue[Any, Any] | str, id: str) -> bool:
        """Return whether a job is in the queue, waiting or running."""
        return await self._driver.run(self._exists(queue, id))

    async def remove(self, queue: Queue[Any, Any] | str, id: str) -> None:
        """Delete a job, even if a worker is running it. No error if there is none.

        If the reply is lost the request is repeated, which may delete a new job with this id.
        """
        await self._driver.run(self._remove(queue, id))


def _key(queue: Queue[Any, Any] | str, id: str) -> tuple[str, str]:
    name = as_queue(queue).name
    check_key(name, id)
    return name, id


@frozen
class _Jobs(Generic[P, S]):
    """An async iterator that needs no clean-up, unlike an async generator."""

    take: Callable[[], Awaitable[list[AsyncJobHelper[P, S]]]]

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AsyncJobHelper[P, S]:
        (helper,) = await self.take()  # which waits for one, however long
        return helper
