"""The one seam between the generated code and the network.

A generated endpoint builds each request, and mypy and pyright hold our arguments to its signature.
Here its result becomes a `Call`, with what generated code gets wrong mended on the way, and here
the status of the reply gets its meaning.
"""

from collections.abc import Callable, Mapping
from typing import Any, Generic, ParamSpec, Protocol, TypeVar
from urllib.parse import urlencode

import msgspec
from attrs import evolve, frozen

from relay_sdk._flow import Call, Flow, Reply, send
from relay_sdk.exceptions import (
    RelayError,
    RequestRejectedError,
    ServerBusyError,
    TransportError,
    UnexpectedStatusError,
    UnusableClientError,
)

R = TypeVar("R")
A = ParamSpec("A")

BUSY = {408, 429, 502, 503, 504}
REJECTED = {400, 413, 415, 422}
DOTS = {".": "%2E", "..": "%2E%2E"}


class Endpoint(Protocol[A]):
    """A generated endpoint module, as far as it is used: what builds its request."""

    @property
    def _get_kwargs(self) -> Callable[A, dict[str, Any]]: ...


def build(endpoint: Endpoint[A], *args: A.args, **kwargs: A.kwargs) -> Call:
    """Build the call of a generated endpoint."""
    built = endpoint._get_kwargs(*args, **kwargs)  # pyright: ignore[reportPrivateUsage]
    # A key that is all dots would be taken for a step in the path and lead to another route.
    segments: list[str] = built["url"].split("/")
    target = "/".join(DOTS.get(segment, segment) for segment in segments)
    if params := built.get("params"):
        target += "?" + urlencode(params)
    headers: dict[str, str] = dict(built.get("headers", {}))
    content = None
    if "json" in built:
        # Payloads and states are `msgspec.Raw`: they are sent as the text they are.
        content = msgspec.json.encode(built["json"])
    else:
        headers.pop("Content-Type", None)
    return Call(built["method"].upper(), target, headers, content)


class Unreadable(Exception):
    """A reply is not what its status promises; the text says how."""


@frozen
class Request(Generic[R]):
    """A call, what it is about, and what each status means that its reply may have.

    With `patient`, the request itself cannot be at fault: when the server blames its database, it
    is only busy.
    """

    about: str
    call: Call
    meanings: Mapping[int, Callable[[Reply], R]]
    patient: bool = False

    def ask(self, within: float | None = None) -> Flow[R]:
        """Send the call once, within some seconds; give what the reply means, or raise it."""
        try:
            reply = yield from send(evolve(self.call, within=within))
        except TransportError as error:
            raise TransportError(f"{self.about}: {error}", sent=error.sent) from error
        except UnusableClientError as error:
            raise UnusableClientError(f"{self.about}: {error}") from error
        meaning = self.meanings.get(reply.status)
        if meaning is None:
            raise self._failure(reply)
        try:
            return meaning(reply)
        except (Unreadable, msgspec.DecodeError, RecursionError) as error:
            raise TransportError(
                f"{self.about}: the reply with status {reply.status} is not Relay's: {error}",
                sent=True,
            ) from error

    def _failure(self, reply: Reply) -> RelayError:
        status, text = reply.status, reply.text[:1000]
        database = status in (422, 500) and text.startswith("Backend error:")
        if status in BUSY or (self.patient and database):
            after = reply.headers.get("retry-after", "")
            return ServerBusyError(
                self.about, status, text, float(after) if after.isdecimal() else 0.0
            )
        if status in REJECTED:
            return RequestRejectedError(self.about, status, text)
        return UnexpectedStatusError(
            self.about,
            status,
            text,
            "Relay does not give that here: is base_url right, is a proxy between?",
        )


def nothing(reply: Reply) -> None:
    """Read an empty reply."""
    if reply.content:
        raise Unreadable(f"it should be empty, and is {reply.text[:200]!r}")
