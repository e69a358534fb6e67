"""A proxy that injects faults, scripted or at random from a seed."""

import random
import re
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self

HTML = b"<html><h1>Bad day</h1></html>"
PACE = 0.002
"""Seconds between the bytes of a reply that trickles."""


class Exchange:
    """A request, and the ways to answer it."""

    def __init__(self, client: socket.socket, request: bytes, server: tuple[str, int]) -> None:
        self.client = client
        self.request = request
        self._server = server

    def forward(self) -> bytes:
        """Return the server's response."""
        with socket.create_connection(self._server, timeout=30) as server:
            server.sendall(self.request)
            return read_message(server, head=self.request.startswith(b"HEAD"))

    def wait(self, seconds: float | None = None) -> None:
        """Send nothing until the client disconnects, or for some seconds."""
        self.client.settimeout(seconds)
        with suppress(OSError):
            while self.client.recv(65536):
                pass
        self.client.settimeout(None)

    def reset(self) -> None:
        """Have the connection end with RST."""
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Fault = Callable[[Exchange], bool]
"""Answers an exchange; returns whether the connection can be used again."""


def passed(exchange: Exchange) -> bool:
    exchange.client.sendall(exchange.forward())
    return True


def closed(exchange: Exchange) -> bool:
    return False


def reset(exchange: Exchange) -> bool:
    exchange.reset()
    return False


def hung(exchange: Exchange) -> bool:
    exchange.wait()
    return False


def reply_lost(exchange: Exchange) -> bool:
    exchange.forward()
    return False


def reply_reset(exchange: Exchange) -> bool:
    exchange.forward()
    exchange.reset()
    return False


def reply_hung(exchange: Exchange) -> bool:
    exchange.forward()
    exchange.wait()
    return False


def reply_cut(exchange: Exchange) -> bool:
    reply = exchange.forward()
    exchange.client.sendall(reply[: len(reply) * 2 // 3])
    return False


def reply_stuck(exchange: Exchange) -> bool:
    reply = exchange.forward()
    exchange.client.sendall(reply[: len(reply) * 2 // 3])
    exchange.wait()
    return False


def reply_late(exchange: Exchange) -> bool:
    reply = exchange.forward()
    threading.Event().wait(0.1)
    exchange.client.sendall(reply)
    return True


def reply_trickles(exchange: Exchange) -> bool:
    pause = threading.Event()
    for byte in exchange.forward():
        exchange.client.sendall(bytes([byte]))
        pause.wait(PACE)
    return True


def endless(exchange: Exchange) -> bool:
    exchange.client.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:  # until the client hangs up
        exchange.client.sendall(b"1000\r\n" + b" " * 4096 + b"\r\n")


def answered(status: str, body: bytes = b"", *headers: str, forwarded: bool) -> Fault:
    """Answer in place of the server, before or after the server has acted."""
    lines = [f"HTTP/1.1 {status}", *headers, f"content-length: {len(body)}", "", ""]
    reply = "\r\n".join(lines).encode() + body

    def fault(exchange: Exchange) -> bool:
        if forwarded:
            exchange.forward()
        if exchange.request.startswith(b"HEAD"):
            exchange.client.sendall(reply.removesuffix(body))
        else:
            exchange.client.sendall(reply)
        return True

    return fault


PAST = "retry-after: Mon, 01 Jan 2024 00:00:00 GMT"
FAULTS: dict[str, Fault] = {
    "closed": closed,
    "reset": reset,
    "hung": hung,
    "reply lost": reply_lost,
    "reply reset": reply_reset,
    "reply hung": reply_hung,
    "reply cut": reply_cut,
    "reply stuck": reply_stuck,
    "reply late": reply_late,
    "reply trickles": reply_trickles,
    "endless": endless,
    "429": answered("429 Too Many Requests", b"wait", "retry-after: 0", forwarded=False),
    "503": answered("503 Away", HTML, PAST, forwarded=False),
    "408": answered("408 Too Late", forwarded=True),
    "500 before": answered("500 Oh", HTML, forwarded=False),
    "500 after": answered("500 Oh", HTML, forwarded=True),
    "502 before": answered("502 Bad Gateway", HTML, forwarded=False),
    "502 after": answered("502 Bad Gateway", HTML, forwarded=True),
    "504 after": answered("504 Too Late", HTML, forwarded=True),
    "520 after": answered("520 What", HTML, forwarded=True),
    "HTML with 200": answered("200 OK", HTML, "content-type: text/html", forwarded=True),
    "HTML with 202": answered("202 Accepted", HTML, forwarded=True),
    "201": answered("201 Created", forwarded=True),
    "wrong JSON": answered("200 OK", b'[{"queue":', forwarded=True),
    "no HTTP": lambda exchange: exchange.client.sendall(b"SSH-2.0-x\r\n") is not None,
}


class FaultProxy:
    """Forwards exchanges to a server, each with the fault that `choose` returns."""

    def __init__(self, server: tuple[str, int], choose: Callable[[], str | None]) -> None:
        self.spoiled: list[str] = []
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError):
                    while request := read_message(self.request):
                        name = choose()
                        if name is not None:
                            proxy.spoiled.append(name)
                        fault = passed if name is None else FAULTS[name]
                        if not fault(Exchange(self.request, request, server)):
                            return

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 1000

            def shutdown_request(self, request: object) -> None:
                self.close_request(request)  # type: ignore[arg-type]

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.01])
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.socket.close()


def by_chance(seed: int, rate: float) -> Callable[[], str | None]:
    """Choose a fault for some of the exchanges; a test that fails prints the seed."""
    chance, lock = random.Random(seed), threading.Lock()

    def choose() -> str | None:
        with lock:
            return chance.choice(list(FAULTS)) if chance.random() < rate else None

    return choose


def scripted(*names: str | None) -> Callable[[], str | None]:
    """Choose these faults in order, and none after them."""
    left: Iterator[str | None] = iter(names)
    return lambda: next(left, None)


def read_message(peer: socket.socket, *, head: bool = False) -> bytes:
    """Read a request or response with a length; return nothing if the peer disconnects."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = peer.recv(65536)
        if not more:
            return b""
        data += more
    lines, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"^content-length: *(\d+)", lines, re.IGNORECASE | re.MULTILINE)
    left = 0 if head or found is None else int(found[1]) - len(body)
    while left > 0:
        more = peer.recv(65536)
        if not more:
            return b""
        data += more
        left -= len(more)
    return data
