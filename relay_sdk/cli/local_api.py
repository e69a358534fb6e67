"""A client of the `/local` API, which only the bundled server has."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from relay_sdk._base.flow import Request, Response
from relay_sdk._http.address import Address
from relay_sdk._http.client import Http
from relay_sdk._http.errors import HttpError, root_cause
from relay_sdk.cli.diagnosis import explain_unauthorized, explain_unexpected_reply
from relay_sdk.cli.errors import usage_errors
from relay_sdk.cli.options import check_token_option
from relay_sdk.cli.output import hide_credentials
from relay_sdk.exceptions import RelayError, ServerBusyError, TransportError

T = TypeVar("T")

TIMEOUT = 30.0


class LocalApiError(RelayError):
    """The server has no `/local` API, or refuses access to it."""


class LocalApi:
    """Sends requests to the `/local` API of a bundled server."""

    def __init__(self, http: Http, url: str, *, has_token: bool) -> None:
        self.url = url
        self._http = http
        self._has_token = has_token

    def get(self, path: str, shape: type[T], **query: str) -> T:
        """Send a GET request and decode the reply."""
        target = f"{path}?{urlencode(query)}" if query else path
        return self._read(self._send(Request("GET", target)), shape)

    def post(self, path: str, value: object, shape: type[T]) -> T:
        """Send a POST request and decode the reply."""
        headers = {"Content-Type": "application/json"}
        request = Request("POST", path, headers, msgspec.json.encode(value))
        return self._read(self._send(request), shape)

    def _send(self, request: Request) -> Response:
        try:
            return self._http.send(request)
        except HttpError as error:
            raise TransportError(str(error), sent=error.sent) from root_cause(error)

    def _read(self, reply: Response, shape: type[T]) -> T:
        if reply.status == 200:
            try:
                return msgspec.json.decode(reply.content, type=shape)
            except msgspec.MsgspecError:
                pass  # not a reply of the bundled server, but a page of a proxy, for example
        if reply.status == 503:
            raise ServerBusyError(self.url, 503, reply.text[:200])
        raise LocalApiError(self._explain(reply))

    def _explain(self, reply: Response) -> str:
        if reply.status == 404 and not reply.content:
            return (
                f"{self.url} has no API to list or purge queues: only the bundled server has one "
                "(relay-sdk serve), Relay itself does not"
            )
        if reply.status == 401:
            return explain_unauthorized(reply, self.url, has_token=self._has_token)
        if reply.status in (403, 404, 422):
            return f"{self.url} answered {reply.status}: {reply.text[:200]}"
        return explain_unexpected_reply(reply, self.url)


@contextmanager
def local_api(url: str | None, token: str | None) -> Generator[LocalApi]:
    """Yield a client of the `/local` API of a bundled server."""
    check_token_option(token)
    with usage_errors("--url: "):
        address = Address(url, TIMEOUT, None, token or None)
    http = Http(address, None)
    try:
        yield LocalApi(http, hide_credentials(address.url), has_token=address.has_token)
    finally:
        http.close()
