"""Requests as bytes."""

from collections.abc import Mapping

from relay_sdk._base.flow import Request

METHODS_WITH_BODY = ("POST", "PUT", "PATCH")
DEFAULT_HEADERS = {"Accept": "*/*", "Accept-Encoding": "gzip", "User-Agent": "relay-job-sdk"}

Fields = dict[str, tuple[bytes, bytes]]
"""Headers as they are sent, by their names in lower case."""


class RequestWriter:
    """Writes the requests to one server.

    `authority` is the host and port of the URL, `path` what comes before each target, and `headers`
    are sent with every request.
    """

    def __init__(self, authority: str, path: bytes, headers: Mapping[str, str]) -> None:
        self._authority = authority
        self._path = path
        self._fields = _fields({"Host": authority} | DEFAULT_HEADERS) | _fields(headers)
        self._heads: dict[tuple[tuple[str, str], ...], bytes] = {}

    def use_proxy(self, headers: Mapping[str, str]) -> None:
        """Write whole URLs, as a proxy expects where there is no TLS."""
        self._path = b"http://%b%b" % (self._authority.encode(), self._path)
        self._fields |= _fields(headers)

    def write(self, request: Request) -> bytes:
        """Return a whole request."""
        # Most requests have one of a few sets of headers, so each set is encoded only once. No
        # header contains a queue or an id, which would make the cache grow.
        key = (*request.headers.items(),)
        lines = self._heads.get(key)
        if lines is None:
            lines = self._heads[key] = _encode(self._fields | _fields(request.headers))
        content = request.content
        if content is not None or request.method in METHODS_WITH_BODY:
            content = content or b""
            lines += b"Content-Length: %d\r\n" % len(content)
        method, target = request.method.encode(), self._target(request)
        return b"%b %b HTTP/1.1\r\n%b\r\n%b" % (method, target, lines, content or b"")

    def _target(self, request: Request) -> bytes:
        """Return the target for the first line; the request's target is copied unchanged."""
        target = request.target
        if not target.isascii() or not target.isprintable() or " " in target:
            raise ValueError(f"{target!r} is not percent-encoded")
        return self._path + target.encode()


def connect_request(host: str, port: int, headers: Mapping[str, str]) -> bytes:
    """Return the request to a proxy for a connection to a server."""
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = _encode(_fields({"Host": authority} | {**headers}))
    return b"CONNECT %b HTTP/1.1\r\n%b\r\n" % (authority.encode(), lines)


def _fields(headers: Mapping[str, str]) -> Fields:
    return {name.lower(): (name.encode(), value.encode()) for name, value in headers.items()}


def _encode(fields: Fields) -> bytes:
    return b"".join(b"%b: %b\r\n" % field for field in fields.values())
