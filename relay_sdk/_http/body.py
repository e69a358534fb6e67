"""The content of a reply: collected, bounded and unpacked."""

import zlib
from collections.abc import Iterable, Mapping

from relay_sdk._base.flow import Response
from relay_sdk._http.errors import InvalidReplyError

MAX_BODY_BYTES = 1 << 28
"""The largest content of a reply, also when it is unpacked."""


class BodyBuffer:
    """The content of a reply, as it arrives."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self._length = 0

    def add(self, chunk: bytes) -> None:
        """Add a chunk, unless the content is too large then."""
        self._length += len(chunk)
        if self._length > MAX_BODY_BYTES:
            raise InvalidReplyError("the content is larger than 256 MiB")
        self.chunks.append(chunk)


def build_response(
    status: int, headers: Iterable[tuple[bytes, bytes]], body: BodyBuffer
) -> Response:
    """Return a response with unpacked content."""
    fields: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return Response(status, fields, _unpack(fields, b"".join(body.chunks)))


def _unpack(headers: Mapping[str, str], content: bytes) -> bytes:
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding == "identity" or not content:
        return content
    if coding not in ("gzip", "x-gzip"):
        raise InvalidReplyError(f"its content-encoding {coding!r} was not requested")
    decompressor = zlib.decompressobj(wbits=31)
    try:
        content = decompressor.decompress(content, MAX_BODY_BYTES)
    except zlib.error as error:
        raise InvalidReplyError(f"the content is not gzip: {error}") from error
    if not decompressor.eof:
        raise InvalidReplyError("the content is cut off, or larger than 256 MiB")
    return content
