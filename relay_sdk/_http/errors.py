"""The errors of an exchange.

HttpError                    there is no usable reply
├── ConnectError             nothing was sent: there is no connection
│   ├── ConnectTimeout
│   ├── PoolTimeout
│   ├── NameResolutionError
│   ├── ConnectionRefused
│   ├── ProxyError
│   └── TlsError
│       └── CertificateError
├── WriteError               the connection broke during the request
├── ReadError                the connection broke before the reply
├── ReadTimeout              the reply did not arrive in time
├── RemoteProtocolError      the reply is not HTTP
└── InvalidReplyError        the reply is too large, or in a coding that was not requested
    └── IncompleteReplyError

UnusableClientError          the client cannot send requests: trying again does not help
├── ClientClosedError
├── ForkedClientError
└── EventLoopError
"""

from typing import ClassVar

from relay_sdk._base.flow import Request


class HttpError(Exception):
    """Base class of the errors of an exchange.

    `sent` is true if the server may have received the request. `detail` is the reason, and
    `explanation` is the template of the message.
    """

    sent: bool = True
    explanation: ClassVar[str] = "no usable reply from {server}: {detail}"

    def __init__(self, detail: object = "") -> None:
        super().__init__(str(detail))
        self.detail: str = str(detail)

    def explain(self, server: str, scheme: str, timeout: float, hints: list[str]) -> None:
        """Set the text of the error; the hints are sentences that follow its own."""
        why = self.explanation.format(
            server=server,
            detail=self.detail or type(self).__name__,
            timeout=timeout,
            other_scheme="http" if scheme == "https" else "https",
        )
        sentences = [why if why.endswith("?") else f"{why}.", *hints]
        self.args = (" ".join(sentences).removesuffix("."),)


class ConnectError(HttpError):
    """There is no connection, so nothing was sent."""

    sent = False
    explanation = "no connection to {server}: {detail}"


class ConnectTimeout(ConnectError):
    """There was no connection in time."""

    explanation = (
        "no connection to {server} within {timeout:g} s: is the host right, is a firewall between?"
    )


class PoolTimeout(ConnectError):
    """No connection of the user's own client became free in time."""

    explanation = (
        "no connection to {server} within {timeout:g} s: all that http_client may have are in use"
    )


class NameResolutionError(ConnectError):
    """The host name is not known."""

    explanation = (
        "the name in {server} is not known: is it spelt right, does DNS work on this machine?"
    )


class ConnectionRefused(ConnectError):
    """Nothing listens at the port."""

    explanation = "nothing listens at {server}: is the server running, is the port right?"


class ProxyError(ConnectError):
    """The proxy did not make a connection to the server."""

    explanation = "the proxy gave no connection to {server}: {detail}"


class TlsError(ConnectError):
    """The TLS handshake failed."""

    explanation = (
        "no TLS with {server}: {detail}. If the server has no TLS, the URL begins with http://"
    )


class CertificateError(TlsError):
    """The server's certificate is not trusted."""

    explanation = (
        "the certificate of {server} is not trusted: {detail}. To trust an authority of your own, "
        "set SSL_CERT_FILE to its certificate"
    )


class WriteError(HttpError):
    """The connection broke while the request was sent."""

    explanation = "the connection to {server} broke during the request: {detail}"


class ReadError(HttpError):
    """The connection broke before the reply."""

    explanation = (
        "the connection to {server} broke before the reply ({detail}): is the port right, should "
        "the URL begin with {other_scheme}://?"
    )


class ReadTimeout(HttpError):
    """The whole reply did not arrive in time."""

    explanation = "no whole reply within {timeout:g} s from {server}"


class RemoteProtocolError(HttpError):
    """The reply is not HTTP."""

    explanation = (
        "what listens at {server} does not answer in HTTP ({detail}): is the port right, should "
        "the URL begin with {other_scheme}://?"
    )


class InvalidReplyError(HttpError):
    """The reply is HTTP, but cannot be used."""

    explanation = "the reply from {server} cannot be used: {detail}"


class IncompleteReplyError(InvalidReplyError):
    """The connection was closed in the middle of the reply."""

    explanation = "the reply from {server} was cut off: {detail}"

    def __init__(self, detail: object = "the connection was closed before its end") -> None:
        super().__init__(detail)


class UnusableClientError(Exception):
    """The client cannot send requests here, and will not be able to."""


class ClientClosedError(UnusableClientError):
    """The client is closed."""

    def __init__(self, request: Request) -> None:
        super().__init__(f"{request.method} {request.target} was not sent: the client is closed")


class ForkedClientError(UnusableClientError):
    """The process was forked from one that has used the user's own client."""

    def __init__(self, request: Request) -> None:
        super().__init__(
            f"{request.method} {request.target} was not sent: this process was forked from one "
            "that used the same http_client, whose connections it would share. Make another "
            "http_client after the fork"
        )


class EventLoopError(UnusableClientError):
    """The user's client failed, probably because it belongs to another event loop."""

    def __init__(self, request: Request, error: RuntimeError) -> None:
        super().__init__(
            f"{request.method} {request.target} failed in http_client: {error}. If it was used in "
            "another event loop before, make one in each event loop"
        )


def root_cause(error: BaseException) -> BaseException:
    """Return the error at the root of a chain, without its traceback.

    The frames of the libraries fill a hundred lines and explain nothing.
    """
    while cause := _cause(error):
        error = cause
    return error.with_traceback(None)


def _cause(error: BaseException) -> BaseException | None:
    if isinstance(error, BaseExceptionGroup):  # it has one error for each address of a host name
        return next(iter(error.exceptions))  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType, reportUnknownArgumentType]
    return error.__cause__
