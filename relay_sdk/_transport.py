"""The seam that every request passes: what makes one exchange at a time."""

import zlib
from collections.abc import Iterable, Mapping
from typing import Protocol

from relay_sdk._bound import Bound
from relay_sdk._flow import Call, Reply

LARGEST = 1 << 28
"""Bytes of a reply's content, also when it is unpacked."""


SLACK = 0.1
"""Seconds for httpcore's own timeouts to come first: some sockets it leaves open when cancelled."""


class Broken(Exception):
    """A reply that cannot be used: cut, too large, or packed in a way that was not asked for."""


class NotHttp(Broken):
    """A reply that is not HTTP."""


class Transport(Protocol):
    """Makes exchanges by blocking. What it raises is told by `relay_sdk._http`."""

    library: str

    def exchange(self, call: Call, bound: Bound) -> Reply:
        """Send a call and wait for its reply."""
        ...

    def close(self) -> None:
        """Close the connection, also while another thread uses it."""
        ...


class AsyncTransport(Protocol):
    """Makes exchanges by awaiting. Whatever ends one early, it leaves nothing behind."""

    library: str

    async def exchange(self, call: Call, bound: Bound) -> Reply:
        """Send a call and await its reply."""
        ...

    async def aclose(self) -> None:
        """Close the connection, also while another task uses it."""
        ...


class Content:
    """The content of a reply, as it comes."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self._length = 0

    def add(self, chunk: bytes) -> None:
        """Take a piece, unless it is too much."""
        self._length += len(chunk)
        if self._length > LARGEST:
            raise Broken("the content is larger than 256 MiB")
        self.chunks.append(chunk)


def make_reply(status: int, headers: Iterable[tuple[bytes, bytes]], content: Content) -> Reply:
    """Make a reply of what came."""
    fields: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return Reply(status, fields, _unpacked(fields, b"".join(content.chunks)))


def _unpacked(headers: Mapping[str, str], content: bytes) -> bytes:
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding == "identity" or not content:
        return content
    if coding not in ("gzip", "x-gzip"):
        raise Broken(f"the content-encoding {coding!r} was not asked for")
    unpacking = zlib.decompressobj(wbits=31)
    try:
        content = unpacking.decompress(content, LARGEST)
    except zlib.error as error:
        raise Broken(f"the content is not gzip: {error}") from error
    if not unpacking.eof:
        raise Broken("the content is cut, or larger than 256 MiB")
    return content
