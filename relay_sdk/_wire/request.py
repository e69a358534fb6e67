"""The one seam between the generated code and the network.

A generated endpoint builds each request, and mypy and pyright hold our arguments to its signature.
Here its result becomes a `Call`, and here the status of the reply gets its meaning.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Generic, ParamSpec, Protocol, TypeVar

import msgspec
import relay_api.types
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

BUSY = {408, 429}
FAULT = 500
"""From here on statuses are a server's or a proxy's fault, which may pass."""
SUCCESS = 2
REJECTED = {400, 413, 415, 422}
NOT_HERE = "Relay does not give that here: is base_url right, is a proxy between?"
UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Endpoint(Protocol[A]):
    """A generated endpoint module, as far as it is used."""

    @property
    def build_request(self) -> Callable[A, relay_api.types.Request]: ...


def build(endpoint: Endpoint[A], *args: A.args, **kwargs: A.kwargs) -> Call:
    """Build the call of a generated endpoint."""
    built = endpoint.build_request(*args, **kwargs)
    # Payloads and states are `msgspec.Raw`: they are sent as the text they are.
    body = built.body
    content = None if body is relay_api.types.UNSET else msgspec.json.encode(body)
    return Call(built.method, built.target, built.headers, content)


def build_with(
    jobs: Sequence[object], endpoint: Endpoint[A], *args: A.args, **kwargs: A.kwargs
) -> Call:
    """Build it with a body of generated models, which msgspec writes in half the time.

    None of their fields may be `UNSET`.
    """
    return evolve(build(endpoint, *args, **kwargs), content=msgspec.json.encode(jobs))


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
            call = self.call if within is None else evolve(self.call, within=within)
            reply = yield from send(call)
        except TransportError as error:
            raise TransportError(f"{self.about}: {error}", sent=error.sent) from error.__cause__
        except UnusableClientError as error:
            raise UnusableClientError(f"{self.about}: {error}") from error
        meaning = self.meanings.get(reply.status)
        if meaning is None:
            raise self._failure(reply)
        try:
            return meaning(reply)
        except (Unreadable, *UNDECODABLE) as error:
            raise self._strange(reply, error) from error

    def _strange(self, reply: Reply, why: object) -> TransportError:
        text = f"{self.about}: the reply with status {reply.status} is not Relay's: {why}"
        return TransportError(text, sent=True)

    def _failure(self, reply: Reply) -> RelayError:
        status, text = reply.status, reply.text[:1000]
        database = status == 422 and text.startswith("Backend error:")
        if status in BUSY or status >= FAULT or (self.patient and database):
            return ServerBusyError(self.about, status, text, _retry_after(reply.headers))
        if status // 100 == SUCCESS:
            return self._strange(reply, f"it means nothing here ({text[:200]!r})")
        if status in REJECTED:
            return RequestRejectedError(self.about, status, text)
        return UnexpectedStatusError(self.about, status, text, NOT_HERE)


def nothing(reply: Reply) -> None:
    """Read an empty reply."""
    if reply.content:
        raise Unreadable(f"it should be empty, and is {reply.text[:200]!r}")


def _retry_after(headers: Mapping[str, str]) -> float:
    """Read the seconds to wait, or until when: by the server's clock, where it tells the time."""
    after = headers.get("retry-after", "")
    if after.isdecimal() or not after:
        return float(after or 0)
    try:
        until = parsedate_to_datetime(after)
        now = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
        return max((until - now).total_seconds(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return 0.0
