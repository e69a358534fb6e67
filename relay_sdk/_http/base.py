"""The seam that every request passes: what makes one exchange at a time."""

import select
import zlib
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Protocol

from relay_sdk._base.flow import Request, Response
from relay_sdk._http.deadline import Bound

LARGEST = 1 << 28
"""Bytes of a reply's content, also when it is unpacked."""

CUT = "the server closed the connection before the end of its reply"


class Broken(Exception):
    """A reply that cannot be used: cut, too large, or packed in a way that was not asked for."""


class NotHttp(Broken):
    """A reply that is not HTTP."""


class ReadError(Exception):
    """The connection broke before the reply."""


class ConnectError(Exception):
    """There is no connection, so nothing was sent."""


class ConnectTimeout(ConnectError, TimeoutError):
    """There is no connection in time."""


class ProxyError(ConnectError):
    """The proxy gives no connection."""


class Transport(Protocol):
    """Makes exchanges by blocking. What it raises is told by `relay_sdk._http.client`."""

    def exchange(self, call: Request, bound: Bound) -> Response:
        """Send a call and wait for its reply; after an error, close it."""
        ...

    def close(self) -> None:
        """Close the connection, also while another thread uses it."""
        ...


class AsyncTransport(Protocol):
    """Makes exchanges by awaiting. Whatever ends one early, it leaves nothing behind."""

    async def exchange(self, call: Request, bound: Bound) -> Response:
        """Send a call and await its reply."""
        ...

    async def aclose(self) -> None:
        """Close the connection, also while another task uses it."""
        ...


@contextmanager
def connecting() -> Generator[None]:
    """Tell what fails before anything is sent from what fails later."""
    try:
        yield
    except ConnectError:
        raise
    except TimeoutError as error:
        raise ConnectTimeout(str(error)) from error
    except (OSError, UnicodeError, RuntimeError, Broken, ReadError) as error:
        # A RuntimeError says that the system has no thread to look a name up.
        raise ConnectError(str(error)) from error


class Peek:
    """Looks whether anything came on a connection that nobody uses: its end, maybe not yet read."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._poll = select.poll() if hasattr(select, "poll") else None
        if self._poll is not None and number >= 0:
            self._poll.register(number, select.POLLIN)

    def is_quiet(self) -> bool:
        if self._number < 0:  # another thread has closed it
            return False
        if self._poll is None:
            return not select.select([self._number], [], [], 0)[0]
        return not self._poll.poll(0)


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


def make_reply(status: int, headers: Iterable[tuple[bytes, bytes]], content: Content) -> Response:
    """Make a reply of what came."""
    fields: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return Response(status, fields, _unpacked(fields, b"".join(content.chunks)))


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
