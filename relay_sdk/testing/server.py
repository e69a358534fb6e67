"""A server in this process and its clients, without sockets or real waits."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from math import inf
from typing import TypeVar

import httpx
from anyio.lowlevel import checkpoint
from attrs import evolve, field, frozen

from relay_sdk._base.clock import Stopped
from relay_sdk._base.flow import Flow
from relay_sdk._engine.config import ApiChoice, ClientConfig
from relay_sdk._engine.driver import AsyncDriver, Driver
from relay_sdk._http.client import AsyncHttp, Http
from relay_sdk.backoff import Backoff
from relay_sdk.client import NEXT_BACKOFF, AsyncClient, Client
from relay_sdk.local import App
from relay_sdk.local.sqlite.store import SqliteStore
from relay_sdk.testing.clock import Clock

R = TypeVar("R")

URL = "http://in.process"
REAP_INTERVAL = 1e-6
"""Seconds between two searches for jobs that timed out: practically at once."""

NEXT_DUE = """
SELECT min(at) FROM (SELECT coalesce(expires_at + 1, run_at) AS at FROM jobs) WHERE at > ?"""

# The driver of a client is private; only this module replaces it.
# pyright: reportPrivateUsage=false


class Idle(BaseException):
    """A call would wait forever: no job is scheduled, and no running job can time out.

    It is not an `Exception`, so that it also ends loops that catch errors.
    """


class InProcessServer(App):
    """An empty server in this process, with its own clock and clients.

    Time only passes when `clock.advance` or a waiting call moves the clock. `next` moves it to the
    time when the next job is due or a run times out, but by no more than its `timeout`; it raises
    `Idle` if there is no such time. A retry moves it by the delay before it. Background tasks, such
    as automatic heartbeats or a worker between two polls, do not move it: they continue when the
    clock has been moved far enough, or after that much real time.

    The server detects a run that times out at once; a real server takes some seconds.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or Clock(datetime.now(UTC), skip=False)
        super().__init__(clock=self.clock.now, reap_interval=REAP_INTERVAL)
        assert isinstance(self.store, SqliteStore)  # noqa: S101  the default store, in memory
        self._connection = self.store.connection

    def client(self, *, api: ApiChoice = "auto") -> Client:
        """Return a `Client` of this server."""
        client = Client(
            URL,
            http_client=httpx.Client(transport=transport(self)),
            next_backoff=_UntilDue(seconds=self._until_due),
            api=api,
            clock=self.clock,
        )
        driver = client._driver
        client._driver = _Driver(_with_poll_backoff(driver.config), driver.http, self._wait)
        return client

    def async_client(self, *, api: ApiChoice = "auto") -> AsyncClient:
        """Return an `AsyncClient` of this server, for any number of event loops."""
        client = AsyncClient(
            URL,
            http_client=httpx.AsyncClient(transport=transport(self)),
            next_backoff=_UntilDue(seconds=self._until_due),
            api=api,
            clock=self.clock,
        )
        driver = client._driver
        client._driver = _AsyncDriver(_with_poll_backoff(driver.config), driver.http, self._wait)
        return client

    def _until_due(self) -> float:
        """Return the seconds until a job may be ready next, or infinity."""
        now = self.now()
        with self._lock:
            (at,) = self._connection.execute(NEXT_DUE, (now,)).fetchone()
        return inf if at is None else (at - now) / 10**6

    def _wait(self, seconds: float) -> None:
        if seconds < inf:
            self.clock.skip(seconds)
            return
        with self._lock:
            counts = self._connection.execute(
                "SELECT queue, count(*) FROM jobs GROUP BY queue ORDER BY queue"
            ).fetchall()
        held = ", ".join(f"{count} in queue {queue!r}" for queue, count in counts)
        raise Idle(
            f"waiting would never return a job (jobs on the server: {held or 'none'}). Enqueue one "
            "first, or pass a timeout. If another thread or task enqueues it later, use a "
            "LocalServer (fixture relay_server), which runs in real time"
        )


def transport(app: App) -> httpx.MockTransport:
    """Return an httpx transport, sync and async, that calls a server in this process."""

    def answer(request: httpx.Request) -> httpx.Response:
        response = app(
            request.method,
            request.url.raw_path.decode("ascii"),
            {name.lower(): value for name, value in request.headers.items()},
            request.content,
        )
        return httpx.Response(
            response.status, headers=dict(response.headers), content=response.body
        )

    return httpx.MockTransport(answer)


@frozen
class _UntilDue(Backoff):
    """Polls again when a job may be ready, and not earlier."""

    seconds: Callable[[], float] = field(kw_only=True)

    def __iter__(self) -> Iterator[float]:
        return iter(self.seconds, None)


def _with_poll_backoff(config: ClientConfig) -> ClientConfig:
    # Workers run in the background, so they poll as usual instead of moving the clock.
    return evolve(config, next_backoff=NEXT_BACKOFF)


class _Driver(Driver):
    """Moves the clock instead of waiting."""

    def __init__(self, config: ClientConfig, http: Http, wait: Callable[[float], None]) -> None:
        super().__init__(config, http)
        self._wait = wait

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> None:
        if stop is not None and stop.is_set():
            raise Stopped
        self._wait(seconds)


class _AsyncDriver(AsyncDriver):
    """Moves the clock instead of waiting, after a checkpoint for other tasks."""

    def __init__(
        self, config: ClientConfig, http: AsyncHttp, wait: Callable[[float], None]
    ) -> None:
        super().__init__(config, http)
        self._wait = wait

    async def run(self, flow: Flow[R]) -> R:
        await checkpoint()
        return await super().run(flow)

    async def sleep(self, seconds: float) -> None:
        self._wait(seconds)
        await checkpoint()
