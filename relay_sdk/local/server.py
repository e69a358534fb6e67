"""The app on a socket, in a thread of its own."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from datetime import datetime
from threading import Event, Thread
from types import TracebackType
from typing import TYPE_CHECKING, Self

from .app import App, utc_now
from .asgi import Asgi

if TYPE_CHECKING:
    import uvicorn

log: logging.Logger = logging.getLogger("relay_sdk.local")

GRACE = 5  # seconds that running requests have to end when the server stops
HEAD = 128 * 1024  # bytes of a request's head, if h11 reads it: long keys fit, percent-encoded
IDLE = 3600  # seconds after which an unused connection is closed


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
    ) -> None:
        if not 0 <= port <= 65535:
            raise ValueError(f"port must be from 0 to 65535, not {port}")
        self._db = db
        self._host = host
        self._port = port
        self._reap_interval = reap_interval
        self._clock = clock
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
            self._running = _Running(app, self._host, self._port)
        except BaseException:
            app.close()
            raise
        return self

    def stop(self) -> None:
        """Stop, if it runs; a client that does not end its request is cut off after a while."""
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
    def __init__(self, app: App, host: str, port: int) -> None:
        self.app = app
        self.ended = Event()
        self._server = _uvicorn(app)
        self._listener = _listen(host, port)
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self._listener.getsockname()[1]}"
        # A program that forgets to stop it can end all the same: what was answered is on disk.
        self._thread = Thread(target=self._run, name=f"relay {self.url}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(self._serve())
        except Exception:
            log.exception("The local server ended")
        finally:
            self._listener.close()
            self.app.close()
            self.ended.set()

    async def _serve(self) -> None:
        await self._server.serve(sockets=[self._listener])
        # Old versions of uvicorn leave them open when they are stopped while they start.
        for server in self._server.servers:
            server.close()
        # What is left here was cancelled when its time was over.
        if tasks := set(self._server.server_state.tasks):
            await asyncio.wait(tasks, timeout=1)
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()


def _uvicorn(app: App) -> "uvicorn.Server":
    try:
        import uvicorn
    except ImportError as error:
        raise ImportError(
            "the local server needs uvicorn: pip install 'relay-job-sdk[server]'"
        ) from error
    config = uvicorn.Config(
        Asgi(app),
        loop="none",
        lifespan="off",
        ws="none",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=HEAD,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=GRACE,
    )
    config.load()
    return uvicorn.Server(config)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"cannot listen on {host} port {port}: {reason}") from error


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
