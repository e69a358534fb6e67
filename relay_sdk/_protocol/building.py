"""The one seam to the generated code, which is loaded with the first request.

A generated endpoint builds each request, and mypy and pyright hold our arguments to its signature.
Here its result becomes a `Request`.
"""

from collections.abc import Sequence

import msgspec
from relay_api.types import UNSET, Unset
from relay_api.types import Request as BuiltRequest

from relay_sdk._base.flow import Request

_write = msgspec.json.Encoder().encode


def to_call(built: BuiltRequest, jobs: Sequence[object] | None = None) -> Request:
    """Make a call of what an endpoint has built, its body, if any, as JSON text.

    `jobs` are a body of generated models, which msgspec writes in half the time that the endpoint
    takes. None of their fields may be `UNSET`.
    """
    # Payloads and states are `msgspec.Raw`: they are sent as the text they are.
    body = built.body if jobs is None else jobs
    content = None if body is UNSET else _write(body)
    return Request(built.method, built.target, built.headers, content)


def prefer(wait: int) -> str | Unset:
    """Ask for a request to be held some seconds, until a job is ready."""
    return f"wait={wait}" if wait else UNSET
