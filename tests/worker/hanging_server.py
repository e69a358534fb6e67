"""A server in front of another, which takes some requests and says nothing."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import httpx


class HangingServer:
    """Passes requests on, but those whose method is `hang`; `taken` is set when one came."""

    def __init__(self, target: str, hang: str) -> None:
        self.taken = threading.Event()
        self._end = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(target, hang))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        self._server.shutdown()
        self._server.server_close()

    def _handler(self, target: str, hang: str) -> type[BaseHTTPRequestHandler]:
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline()
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if self.command == hang and "num_jobs=0" not in self.path:
                    front.taken.set()
                    front._end.wait(60)
                    self.close_connection = True
                    return
                headers = {"content-type": self.headers.get("content-type", "")} if body else {}
                answer = httpx.request(
                    self.command, target + self.path, content=body, headers=headers
                )
                self.send_response(answer.status_code)
                if "content-type" in answer.headers:
                    self.send_header("content-type", answer.headers["content-type"])
                if answer.status_code != 204:
                    self.send_header("content-length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            def log_message(self, *_: object) -> None: ...

        return Handler
