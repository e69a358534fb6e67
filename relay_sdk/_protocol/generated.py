"""Convert the requests that the generated code builds.

A generated endpoint builds each request, so mypy and pyright check the SDK's arguments against its
signature. Only v1 and v2 import this module: the generated code is loaded with the first request.
"""

from collections.abc import Sequence

import msgspec
from relay_api.types import UNSET, Unset
from relay_api.types import Request as BuiltRequest

from relay_sdk._base.flow import Request

_encode = msgspec.json.Encoder().encode


def to_request(built: BuiltRequest, jobs: Sequence[object] | None = None) -> Request:
    """Convert what an endpoint has built, with its body, if any, encoded as JSON.

    `jobs` is a body of generated models. msgspec encodes it in half the time that the endpoint
    takes. None of the models' fields may be `UNSET`.
    """
    # Payloads and states are `msgspec.Raw`, which is written as it is.
    body = built.body if jobs is None else jobs
    content = None if body is UNSET else _encode(body)
    return Request(built.method, built.target, built.headers, content)


def prefer(wait: int) -> str | Unset:
    """Return the `Prefer` header that asks the server to hold a request for `wait` seconds."""
    return f"wait={wait}" if wait else UNSET
