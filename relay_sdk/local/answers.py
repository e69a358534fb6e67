"""What a request is answered, and the exceptions that stand for an error answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


class Refused(Exception):
    """The request is at fault."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(status, text)
        self.status = status
        self.text = text


class BackendError(Exception):
    """The database cannot do what the request asks; the route knows the status."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.retryable = retryable


class JobExistsError(Exception):
    """A job with that queue and id is there already."""

    def __init__(self, queue: str, id: str) -> None:
        super().__init__(queue, id)
        self.queue = queue
        self.id = id


@cache
def empty(status: int) -> Response:
    """Answer without a body."""
    return Response(status, {} if status == 204 else {"content-length": "0"})


def json(text: str) -> Response:
    """Answer with JSON."""
    return _full(200, "application/json", text)


def plain(status: int, text: str) -> Response:
    """Answer with an error text, which is never JSON."""
    return _full(status, "text/plain; charset=utf-8", text)


def fault() -> Response:
    """Answer that this is the server's own mistake."""
    return plain(500, "The local server has a fault; its log says more.")


def _full(status: int, content_type: str, text: str) -> Response:
    body = text.encode()
    return Response(status, {"content-type": content_type, "content-length": str(len(body))}, body)
