"""The responses of the server, and the functions that build them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from json import JSONEncoder


@dataclass(frozen=True, slots=True)
class Response:
    """A response; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


json_string: Callable[[str], str] = JSONEncoder(ensure_ascii=False).encode


@cache
def empty(status: int) -> Response:
    """Return a response without a body."""
    return Response(status, {} if status == 204 else {"content-length": "0"})


def json(text: str) -> Response:
    """Return a response with JSON text."""
    return _with_body(200, "application/json", text)


def json_array(items: Iterable[str]) -> Response:
    """Return a JSON array of these texts, or 204 if there are none."""
    text = ",".join(items)
    return json(f"[{text}]") if text else empty(204)


def plain(status: int, text: str) -> Response:
    """Return a response with an error text, which is never JSON."""
    return _with_body(status, "text/plain; charset=utf-8", text)


def server_error() -> Response:
    """Return a response for a bug of this server."""
    return plain(500, "The local server has a fault; its log says more.")


def _with_body(status: int, content_type: str, text: str) -> Response:
    body = text.encode()
    return Response(status, {"content-type": content_type, "content-length": str(len(body))}, body)
