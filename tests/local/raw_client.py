"""A client that sends raw bytes, and reads one response after another."""

import json
import select
import socket
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlsplit

PATIENCE = 30.0


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Raw:
    """A connection to the server."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        assert place.hostname
        assert place.port
        self.socket = socket.create_connection((place.hostname, place.port), timeout=PATIENCE)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def send(self, method: str, target: str, body: bytes = b"", **headers: str) -> None:
        lines = [f"{method} {target} HTTP/1.1", f"host: {headers.pop('host', 'localhost')}"]
        if body:
            lines += ["content-type: application/json", f"content-length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    def read(self, *, bodiless: bool = False) -> Answer:
        """Read one answer, and nothing beyond it."""
        line = self._file.readline()
        assert line, "the connection was closed"
        headers: dict[str, str] = {}
        while (text := self._file.readline().strip()) != b"":
            name, _, value = text.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        length = 0 if bodiless else int(headers.get("content-length", "0"))
        return Answer(int(line.split()[1]), headers, self._file.read(length))

    def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        self.send(method, target, body, **headers)
        return self.read(bodiless=method == "HEAD")

    def is_closed(self) -> bool:
        """Wait for the end of the connection."""
        try:
            return self._file.read() == b""
        except ConnectionError:
            return True

    def is_answered(self) -> bool:
        """Return whether data has arrived, without waiting for it."""
        return bool(select.select([self.socket], [], [], 0)[0])


def jobs(*ids: str, **extra: object) -> bytes:
    return json.dumps(
        [{"queue": "q", "id": key, "timeout": 30, "payload": 1} | extra for key in ids]
    ).encode()
