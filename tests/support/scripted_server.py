"""A server on loopback that answers every request with prepared bytes."""

import socketserver
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class Server(socketserver.ThreadingTCPServer):
    request_queue_size = 200


class ScriptedServer:
    """Answers each request with the next of the answers, then always with the last.

    It closes each connection after its answer.

    With a `pace`, the server waits so many seconds after each byte, until the client closes the
    connection. For `None` it sends nothing.
    """

    def __init__(self, *answers: bytes | None, pace: float = 0) -> None:
        self.requests: list[bytes] = []
        self._over = threading.Event()
        left = list(answers)

        class Handler(socketserver.StreamRequestHandler):
            def handle(handler) -> None:  # noqa: N805 `self` is the server
                request, length = b"", 0
                while (line := handler.rfile.readline()) not in (b"\r\n", b""):
                    request += line
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                handler.rfile.read(length)
                self.requests.append(request)
                answer = left.pop(0) if len(left) > 1 else left[0]
                if answer is None:
                    self._over.wait()
                    return
                with suppress(ConnectionError):
                    if not pace:
                        handler.wfile.write(answer)
                        return
                    for byte in answer:
                        handler.wfile.write(bytes([byte]))
                        if self._over.wait(pace):
                            return

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.01])
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def hang_up(self) -> None:
        """End the answers in progress."""
        self._over.set()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.hang_up()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def http(status: str, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    """Return the bytes of an answer; `length` is the content-length that it claims."""
    lines = [f"HTTP/1.1 {status}", "connection: close", *headers]
    lines.append(f"content-length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body
