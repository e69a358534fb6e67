"""A server that keeps its connections open, and the transport of each kind for it."""

import socket
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from types import TracebackType
from typing import Self

from relay_sdk._http.address import Address
from relay_sdk._http.client import AsyncHttp, Http

from .fixtures import Kind

AnyHttp = Http | AsyncHttp


class KeepAliveServer:
    """A server on loopback that keeps its connections open.

    It answers each request with the next of the answers, and with the last one from then on. For
    `None` it closes the connection."""

    def __init__(self, *answers: bytes | None, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.requests: list[bytes] = []
        self.connections = 0
        self._answers = list(answers)
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                self.connections += 1
                self._threads.append(threading.Thread(target=self._talk, args=[connection]))
                self._threads[-1].start()

    def _talk(self, connection: socket.socket) -> None:
        with ExitStack() as stack, suppress(OSError):
            stack.enter_context(connection)
            if self._tls:
                connection = stack.enter_context(self._tls.wrap_socket(connection, True))
            received = stack.enter_context(connection.makefile("rb"))
            while True:
                request, length = b"", 0
                while (line := received.readline()) not in (b"\r\n", b""):
                    request += line
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                if not request:
                    return
                self.requests.append(request + line + received.read(length))
                answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
                if answer is None:
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                connection.sendall(answer)

    def hang_up(self) -> None:
        """Close the connections."""
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join()


@asynccontextmanager
async def opened(kind: Kind, url: str, timeout: float = 5) -> AsyncIterator[AnyHttp]:
    address = Address(url, timeout, {"X-Own": "1"})
    if kind == "sync":
        http = Http(address, None)
        try:
            yield http
        finally:
            http.close()
    else:
        ahttp = AsyncHttp(address, None)
        try:
            yield ahttp
        finally:
            await ahttp.aclose()
