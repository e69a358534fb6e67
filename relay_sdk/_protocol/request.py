"""A call with what it is about, where the status of its reply gets its meaning."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Generic, TypeVar

import msgspec
from msgspec.structs import replace

from relay_sdk._base.flow import Flow, Request, Response
from relay_sdk._http.errors import HttpError, UnusableClientError, root_cause
from relay_sdk.exceptions import (
    ClientStateError,
    RelayError,
    RequestRejectedError,
    ServerBusyError,
    TransportError,
    UnexpectedStatusError,
)

R = TypeVar("R")

BUSY = {408, 429}
FAULT = 500
"""From here on statuses are a server's or a proxy's fault, which may pass."""
SUCCESS = 2
REJECTED = {400, 413, 415, 422}
NO_LOGIN = "Is a token needed? Set RELAY_TOKEN to it, or pass token="
NOT_HERE = "Relay does not give that here: is base_url right, is a proxy between?"
UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Unreadable(Exception):
    """A reply is not what its status promises; the text says how."""


class ApiRequest(msgspec.Struct, Generic[R], frozen=True, gc=False):
    """A call, what it is about, and what each status means that its reply may have.

    With `retry_backend_errors`, the request itself cannot be at fault: a server that blames its
    database is only busy.
    """

    about: str
    call: Request
    handlers: Mapping[int, Callable[[Response], R]]
    retry_backend_errors: bool = False

    def send(self, timeout: float | None = None) -> Flow[R]:
        """Send the call once, timeout some seconds; give what the reply means, or raise it."""
        try:
            call = self.call if timeout is None else replace(self.call, timeout=timeout)
            reply: Response = yield call
        except HttpError as error:
            text = f"{self.about}: {error}"
            raise TransportError(text, sent=error.sent) from root_cause(error)
        except UnusableClientError as error:
            raise ClientStateError(f"{self.about}: {error}") from root_cause(error)
        meaning = self.handlers.get(reply.status)
        if meaning is None:
            raise self._failure(reply)
        try:
            return meaning(reply)
        except (Unreadable, *UNDECODABLE) as error:
            raise self._strange(reply, error) from error

    def _strange(self, reply: Response, why: object) -> TransportError:
        text = f"{self.about}: the reply with status {reply.status} is not Relay's: {why}"
        return TransportError(text, sent=True)

    def _failure(self, reply: Response) -> RelayError:
        status, text = reply.status, reply.text[:1000]
        database = status == 422 and text.startswith("Backend error:")
        if status in BUSY or status >= FAULT or (self.retry_backend_errors and database):
            return ServerBusyError(self.about, status, text, _retry_after(reply.headers))
        if status // 100 == SUCCESS:
            return self._strange(reply, f"it means nothing here ({text[:200]!r})")
        if status in REJECTED:
            return RequestRejectedError(self.about, status, text)
        return UnexpectedStatusError(
            self.about, status, text, NO_LOGIN if status == 401 else NOT_HERE
        )


def nothing(reply: Response) -> None:
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
