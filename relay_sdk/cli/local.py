"""The own API of the bundled server, which Relay itself does not have."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from relay_sdk._base.flow import Request, Response
from relay_sdk._http.address import Address
from relay_sdk._http.client import Http
from relay_sdk._http.errors import HttpError, root_cause
from relay_sdk.cli.options import check_option
from relay_sdk.cli.outcome import mistakes
from relay_sdk.cli.output import without_login
from relay_sdk.cli.trouble import why_no_login, why_not_relay
from relay_sdk.exceptions import RelayError, ServerBusyError, TransportError

T = TypeVar("T")

TIMEOUT = 30.0


class LocalApiError(RelayError):
    """The server does not offer its own API, or not to us."""


class LocalApi:
    """Asks a server for what only the bundled one tells."""

    def __init__(self, http: Http, url: str, *, has_token: bool) -> None:
        self.url = url
        self._http = http
        self._has_token = has_token

    def get(self, path: str, shape: type[T], **query: str) -> T:
        """Read something."""
        target = f"{path}?{urlencode(query)}" if query else path
        return self._read(self._send(Request("GET", target)), shape)

    def post(self, path: str, value: object, shape: type[T]) -> T:
        """Change something."""
        headers = {"Content-Type": "application/json"}
        call = Request("POST", path, headers, msgspec.json.encode(value))
        return self._read(self._send(call), shape)

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
                pass  # a proxy's page, say
        if reply.status == 503:
            raise ServerBusyError(self.url, 503, reply.text[:200])
        raise LocalApiError(self._why_not(reply))

    def _why_not(self, reply: Response) -> str:
        if reply.status == 404 and not reply.content:
            return (
                f"{self.url} does not tell what is in its queues: only the bundled server does "
                "(relay-sdk serve), and Relay itself has no way to ask"
            )
        if reply.status == 401:
            return why_no_login(reply, self.url, has_token=self._has_token)
        if reply.status in (403, 404, 422):
            return f"{self.url} answered {reply.status}: {reply.text[:200]}"
        return why_not_relay(reply, self.url)


@contextmanager
def local_api(url: str | None, token: str | None) -> Generator[LocalApi]:
    """Connect to a bundled server."""
    check_option(token)
    with mistakes("--url: "):
        address = Address(url, TIMEOUT, None, token or None)
    http = Http(address, None)
    try:
        yield LocalApi(http, without_login(address.url), has_token=address.has_token)
    finally:
        http.close()
