"""Contains some shared types for properties"""

import json
from collections.abc import Mapping, MutableMapping
from typing import IO, Any, BinaryIO, Generic, Literal, TypeVar
from urllib.parse import quote

from attrs import define, field


class Unset:
    def __bool__(self) -> Literal[False]:
        return False

    def __reduce__(self) -> str:
        return "UNSET"  # one object, in copies and pickles too


UNSET: Unset = Unset()

# The types that `httpx.Client(files=)` can accept, copied from that library.
FileContent = IO[bytes] | bytes | str
FileTypes = (
    # (filename, file (or bytes), content_type)
    tuple[str | None, FileContent, str | None]
    # (filename, file (or bytes), content_type, headers)
    | tuple[str | None, FileContent, str | None, Mapping[str, str]]
)
RequestFiles = list[tuple[str, FileTypes]]


@define
class File:
    """Contains information for file uploads"""

    payload: BinaryIO
    file_name: str | None = None
    mime_type: str | None = None

    def to_tuple(self) -> FileTypes:
        """Return a tuple representation that httpx will accept for multipart/form-data"""
        return self.file_name, self.payload, self.mime_type


T = TypeVar("T")


def segment(value: object) -> str:
    """Percent-encode a segment of a path, or a value; clients take `.` and `..` for steps"""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if text.isascii() and text.replace("-", "").isalnum():
        return text
    encoded = quote(text, safe="")
    return encoded.replace(".", "%2E") if encoded in (".", "..") else encoded


@define
class Request:
    """A request to an endpoint, before it is sent"""

    method: str
    url: str
    params: dict[str, Any] = field(factory=dict)
    headers: dict[str, str] = field(factory=dict)
    body: Any = field(default=UNSET, alias="json")

    @property
    def target(self) -> str:
        """The path and the query, percent-encoded"""
        query = "&".join(
            [
                f"{name}={segment(each)}"
                for name, value in self.params.items()
                for each in (value if isinstance(value, list) else (value,))
            ]
        )
        return f"{self.url}?{query}" if query else self.url

    @property
    def content(self) -> bytes | None:
        """The body as JSON, None where there is none"""
        if self.body is UNSET:
            return None
        return json.dumps(
            self.body, ensure_ascii=False, separators=(",", ":"), allow_nan=False
        ).encode()


@define
class Response(Generic[T]):
    """A response from an endpoint"""

    status_code: int
    content: bytes
    headers: MutableMapping[str, str]
    parsed: T | None


__all__ = ["UNSET", "File", "FileTypes", "Request", "RequestFiles", "Response", "Unset", "segment"]
