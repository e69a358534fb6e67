"""One test for workers on threads and on tasks: a server to be disturbed, and a clock to be moved.

Handlers are written as coroutines. For a worker on threads they are run to their end at once, so
they wait for nothing but a `Gate`, and use `maybe_await` for what only tasks have to await.
"""

import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio
import anyio.to_thread
import httpx

from relay_sdk import AsyncClient, AsyncWorker, Client, Worker
from relay_sdk.local import App
from relay_sdk.testing import Clock, transport

from ..support.sync_async import AnyHelper, maybe_await

Helper = AnyHelper
Kind = Literal["sync", "asyncio", "trio"]
Handler = Callable[..., Coroutine[Any, Any, None]]
AnyWorker = Worker | AsyncWorker

__all__ = [
    "PATIENCE",
    "AnyWorker",
    "Gate",
    "Handler",
    "Harness",
    "Helper",
    "Kind",
    "Server",
    "maybe_await",
]

PATIENCE = 20  # seconds after which a test has failed


class Gate:
    """Where handlers and replies wait until a test opens it. `waiting` have come so far."""

    def __init__(self, kind: Kind, *, opened: bool = False) -> None:
        self.waiting = 0
        self._kind = kind
        self._opened = threading.Event()
        if opened:
            self._opened.set()

    def open(self) -> None:
        self._opened.set()

    def block(self) -> None:
        self.waiting += 1
        assert self._opened.wait(PATIENCE)

    async def passed(self) -> None:
        if self._kind == "sync":
            self.block()
            return
        self.waiting += 1
        glance = 0.002
        with anyio.fail_after(PATIENCE):
            while not self._opened.is_set():
                await anyio.sleep(glance)
                glance = min(glance * 1.5, 0.03)  # many tasks may wait at once


class Server(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """The bundled server in this process; what it was asked is remembered.

    `trouble` may answer, or fail, in its place. A reply for which `delay` has a gate waits there.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self.asked: list[str] = []
        self.trouble: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
        self.delay: Callable[[httpx.Request], Gate | None] = lambda _: None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._answer(request)
        if gate := self.delay(request):
            gate.block()
        return response

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = self._answer(request)
        if gate := self.delay(request):
            await gate.passed()
        return response

    def count(self, method: str) -> int:
        return sum(line.startswith(method) for line in self.asked)

    def polls(self) -> list[int]:
        """How many jobs each request asked for."""
        numbers = [line.partition("num_jobs=")[2] for line in self.asked]
        return [int(number) for number in numbers if number not in ("", "0")]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.raw_path.decode()}")
        return self.trouble(request) or transport(self.app).handler(request)  # type: ignore[return-value]


class Harness:
    """Workers of one kind, before one server, on one clock."""

    def __init__(self, kind: Kind, clock: Clock, server: Server, api: str) -> None:
        self.kind = kind
        self.clock = clock
        self.server = server
        self.producer = Client("http://server", http_client=_http(server.app), api=api)
        self._gates: list[Gate] = []
        make = httpx.Client if kind == "sync" else httpx.AsyncClient
        self.http = make(transport=server, verify=False)
        self.api = api

    def client(self, **options: Any) -> Any:
        """Make a client whose requests are remembered; the worker's."""
        usual: dict[str, Any] = {"http_client": self.http, "clock": self.clock, "api": self.api}
        make = Client if self.kind == "sync" else AsyncClient
        return make("http://server", **usual | options)

    def worker(self, queue: Any, handler: Handler, **options: Any) -> Any:
        for name in ("on_error", "on_retries_exhausted"):
            if options.get(name):
                options[name] = self.adapted(options[name])
        client = options.pop("client", None) or self.client()
        make = Worker if self.kind == "sync" else AsyncWorker
        return make(client, queue, self.adapted(handler), **options)

    def adapted(self, function: Handler) -> Callable[..., Any]:
        """Make a function for this kind of worker from a coroutine function."""
        if self.kind != "sync":
            return function

        def blocking(*args: Any) -> None:
            coroutine = function(*args)
            try:
                coroutine.send(None)
            except StopIteration:
                return
            coroutine.close()
            raise AssertionError("it waits for more than a gate")

        return blocking

    def gate(self, *, opened: bool = False) -> Gate:
        self._gates.append(Gate(self.kind, opened=opened))
        return self._gates[-1]

    def jobs(self, queue: str, *ids: str) -> list[str]:
        """Which of the jobs are still on the server."""
        return [id for id in ids if self.producer.exists(queue, id)]

    async def until(self, condition: Callable[[], object], *, tick: float = 0.0) -> None:
        """Wait for something to become true; with `tick`, time goes on meanwhile."""
        with anyio.fail_after(PATIENCE):
            while not condition():
                if tick:
                    self.clock.advance(tick)
                await anyio.sleep(0.003)

    @asynccontextmanager
    async def running(self, worker: AnyWorker) -> AsyncIterator[None]:
        """Run a worker until the block is left, or the test stops it there."""
        async with anyio.create_task_group() as group:
            if isinstance(worker, AsyncWorker):
                group.start_soon(worker.run)
            else:
                group.start_soon(anyio.to_thread.run_sync, worker.run)
            try:
                yield
            except BaseException:
                # Fail at once, and not when the grace is over.
                for gate in self._gates:
                    gate.open()
                worker.stop()
                self.clock.advance(1000)
                group.cancel_scope.cancel()
                raise
            finally:
                worker.stop()


def _http(app: App) -> httpx.Client:
    return httpx.Client(transport=transport(app), verify=False)
