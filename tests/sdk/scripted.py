"""A server on loopback that answers with prepared bytes, whatever is asked."""

import socketserver
import threading
from types import TracebackType
from typing import Self


class ScriptedServer:
    """Answers each request with the next of the answers, the last for ever, and hangs up."""

    def __init__(self, *answers: bytes) -> None:
        self.requests: list[bytes] = []
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
                handler.wfile.write(left.pop(0) if len(left) > 1 else left[0])

        self._server = socketserver.TCPServer(("127.0.0.1", 0), Handler)
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
        self._server.server_close()


def http(status: str, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    """The bytes of an answer; `length` is what it claims to be."""
    lines = [f"HTTP/1.1 {status}", "connection: close", *headers]
    lines.append(f"content-length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body
