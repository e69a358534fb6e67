"""A request with a handler for each status that its reply may have."""

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
SERVER_ERROR = 500
"""This status and all above mean that the server or a proxy failed, which may be temporary."""
SUCCESS = 2
REJECTED = {400, 413, 415, 422}
LOGIN_ADVICE = "Is a token needed? Set RELAY_TOKEN to it, or pass token="
URL_ADVICE = "Relay does not send this here: is base_url right? Is there a proxy in between?"
UNDECODABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class UnexpectedReplyError(Exception):
    """The content of a reply does not match its status. The message says how."""


class ApiRequest(msgspec.Struct, Generic[R], frozen=True, gc=False):
    """A request, its description for messages, and a handler for each expected status.

    A handler returns the result or raises an error. `retry_backend_errors` is for requests that
    cannot cause a database error themselves: then such an error means that the server is busy.
    """

    description: str
    request: Request
    handlers: Mapping[int, Callable[[Response], R]]
    retry_backend_errors: bool = False

    def send(self, timeout: float | None = None) -> Flow[R]:
        """Send the request once; return the result, or raise the error that the reply means."""
        try:
            request = self.request if timeout is None else replace(self.request, timeout=timeout)
            reply: Response = yield request
        except HttpError as error:
            text = f"{self.description}: {error}"
            raise TransportError(text, sent=error.sent) from root_cause(error)
        except UnusableClientError as error:
            raise ClientStateError(f"{self.description}: {error}") from root_cause(error)
        handle = self.handlers.get(reply.status)
        if handle is None:
            raise self._status_error(reply)
        try:
            return handle(reply)
        except (UnexpectedReplyError, *UNDECODABLE) as error:
            raise self._invalid_reply(reply, error) from error

    def _invalid_reply(self, reply: Response, reason: object) -> TransportError:
        message = f"{self.description}: invalid reply with status {reply.status}: {reason}"
        return TransportError(message, sent=True)

    def _status_error(self, reply: Response) -> RelayError:
        status, text = reply.status, reply.text[:1000]
        database = status == 422 and text.startswith("Backend error:")
        if status in BUSY or status >= SERVER_ERROR or (self.retry_backend_errors and database):
            return ServerBusyError(self.description, status, text, _retry_after(reply.headers))
        if status // 100 == SUCCESS:
            return self._invalid_reply(reply, f"unexpected status ({text[:200]!r})")
        if status in REJECTED:
            return RequestRejectedError(self.description, status, text)
        return UnexpectedStatusError(
            self.description, status, text, LOGIN_ADVICE if status == 401 else URL_ADVICE
        )


def expect_empty(reply: Response) -> None:
    """Check that a reply has no body."""
    if reply.content:
        raise UnexpectedReplyError(f"expected no body, got {reply.text[:200]!r}")


def _retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds of `Retry-After`. A date is compared with the server's clock, if known."""
    after = headers.get("retry-after", "")
    if after.isdecimal() or not after:
        return float(after or 0)
    try:
        until = parsedate_to_datetime(after)
        now = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
        return max((until - now).total_seconds(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return 0.0
