"""A request as it came over the wire."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .responses import Response


@dataclass(slots=True)
class Request:
    """A request; its target is the path, still percent-encoded, and the query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    is_long_poll: bool = False
    """Whether the client waits for jobs if there are none yet."""
    client_gone: bool = False
    """Whether the client has disconnected, so that no jobs may be claimed for it."""


def without_body(request: Request, response: Response) -> Response:
    """Return the response without its body if the method is HEAD."""
    if request.method == "HEAD" and response.body:
        return replace(response, body=b"")
    return response
