"""The one seam to the generated code, which is loaded with the first request.

A generated endpoint builds each request, and mypy and pyright hold our arguments to its signature.
Here its result becomes a `Call`.
"""

from collections.abc import Callable, Sequence
from typing import ParamSpec, Protocol

import msgspec
import relay_api.types
from msgspec.structs import replace
from relay_api.types import UNSET, Unset

from relay_sdk._flow import Call

A = ParamSpec("A")

_write = msgspec.json.Encoder().encode


class Endpoint(Protocol[A]):
    """A generated endpoint module, as far as it is used."""

    @property
    def build_request(self) -> Callable[A, relay_api.types.Request]: ...


def build(endpoint: Endpoint[A], *args: A.args, **kwargs: A.kwargs) -> Call:
    """Build the call of a generated endpoint."""
    built = endpoint.build_request(*args, **kwargs)
    # Payloads and states are `msgspec.Raw`: they are sent as the text they are.
    body = built.body
    content = None if body is UNSET else _write(body)
    return Call(built.method, built.target, built.headers, content)


def build_with(
    jobs: Sequence[object], endpoint: Endpoint[A], *args: A.args, **kwargs: A.kwargs
) -> Call:
    """Build it with a body of generated models, which msgspec writes in half the time.

    None of their fields may be `UNSET`.
    """
    return replace(build(endpoint, *args, **kwargs), content=_write(jobs))


def prefer(wait: int) -> str | Unset:
    """Ask for a request to be held some seconds, until a job is ready."""
    return f"wait={wait}" if wait else UNSET
