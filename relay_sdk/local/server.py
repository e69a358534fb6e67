"""The app on a socket, in a background thread."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from threading import Event, Thread
from types import TracebackType
from typing import Self

from .access import AccessControl
from .app import App, utc_now
from .batch_executor import BatchExecutor
from .connections import Connections
from .dashboard.api import DashboardApi
from .dashboard.executor import DashboardExecutor
from .dashboard.page import PAGE_PATHS
from .http import Exchange, HttpConnection

log: logging.Logger = logging.getLogger("relay_sdk.local")

GRACEFUL_SHUTDOWN_TIMEOUT = 5
"""Seconds that running requests have to end when the server stops."""

BACKLOG = 4096
"""Connections that may wait to be accepted."""

RESERVED_FILES = 64
"""Open files that are not connections."""


class LocalServer:
    """Relay on this machine: `with LocalServer() as server: server.url`.

    It listens when start() has returned. Stopping lets running requests finish.
    """

    def __init__(
        self,
        db: str | os.PathLike[str] = ":memory:",
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        reap_interval: float = 5.0,
        clock: Callable[[], datetime] = utc_now,
        token: str | None = None,
        dashboard: bool = True,
    ) -> None:
        if not 0 <= port <= 65535:
            raise ValueError(f"port must be from 0 to 65535, not {port}")
        self._db = db
        self._host = host
        self._port = port
        self._reap_interval = reap_interval
        self._clock = clock
        self._access = AccessControl(host, token, {"/health", *(PAGE_PATHS if dashboard else ())})
        self._dashboard = dashboard
        self._running: _Running | None = None

    @property
    def url(self) -> str:
        return self._started().url

    @property
    def app(self) -> App:
        return self._started().app

    def start(self) -> Self:
        """Open the database and listen.

        Raise OSError when the database or the port cannot be used, and ValueError when the
        database is not Relay's.
        """
        if self._running is not None:
            raise RuntimeError("the server is running already")
        app = App(self._db, reap_interval=self._reap_interval, clock=self._clock)
        try:
            dashboard = DashboardApi(app, dashboard=self._dashboard)
            self._running = _Running(app, self._host, self._port, self._access, dashboard)
        except BaseException:
            app.close()
            raise
        if self._access.is_open:
            log.warning(
                "Every program that can reach %s can read and change all jobs: set a token",
                self.url,
            )
        return self

    def stop(self) -> None:
        """Stop the server if it runs; disconnect clients that do not finish in time."""
        if self._running is not None:
            self._running.stop()
            self._running = None

    def wait(self) -> None:
        """Block until the server ends."""
        self._started().ended.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _started(self) -> "_Running":
        if self._running is None:
            raise RuntimeError("the server is not running: call start() or use it in a with")
        return self._running


class _Running:
    def __init__(
        self, app: App, host: str, port: int, access: AccessControl, dashboard: DashboardApi
    ) -> None:
        self.app = app
        self.ended = Event()
        self._access = access
        self._dashboard = dashboard
        self._listener = _listen(host, port)
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self._listener.getsockname()[1]}"
        self._runner = asyncio.Runner(loop_factory=_loop_factory())
        self._loop = self._runner.get_loop()
        self._stop = asyncio.Event()
        # A daemon, so that a program that forgets to stop the server can end: all answered requests
        # are on disk.
        self._thread = Thread(target=self._run, name=f"relay {self.url}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if not self.ended.is_set():
            with suppress(RuntimeError):  # the loop was closed
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._runner:
                self._runner.run(self._serve())
        except Exception:
            log.exception("The local server ended")
        finally:
            self._listener.close()
            self.app.close()
            self.ended.set()

    async def _serve(self) -> None:
        batches = BatchExecutor(self.app)
        dashboard = DashboardExecutor(self._dashboard)
        connections = Connections(_max_connections())

        def handle(exchange: Exchange) -> None:
            request = exchange.request
            if refusal := self._access.refusal(request.target, request.headers):
                exchange.answer(refusal)
            elif self._dashboard.handles(request.target):
                dashboard.submit(exchange)
            else:
                batches.submit(exchange)

        server = await self._loop.create_server(
            lambda: HttpConnection(connections, handle), sock=self._listener, backlog=BACKLOG
        )
        try:
            await self._stop.wait()
        finally:
            server.close()
            batches.stop_long_polls()
            await connections.close(GRACEFUL_SHUTDOWN_TIMEOUT)
            dashboard.close()
            batches.close()


def _max_connections() -> int:
    """Return how many connections the limit of open files allows."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return 10_000
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files == resource.RLIM_INFINITY:
        return 1_000_000
    return max(files - RESERVED_FILES, files // 2)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"cannot listen on {host} port {port}: {reason}") from error


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
