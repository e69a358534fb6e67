"""Translate errors that occur before anything is sent."""

import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager

from relay_sdk._http.errors import (
    CertificateError,
    ConnectError,
    ConnectionRefused,
    ConnectTimeout,
    InvalidReplyError,
    NameResolutionError,
    ProxyError,
    ReadError,
    RemoteProtocolError,
    TlsError,
    root_cause,
)


@contextmanager
def connecting() -> Generator[None]:
    """Raise each error of the block as a `ConnectError`, because nothing was sent.

    Errors of other kinds, such as a `RuntimeError`, are bugs, and are raised unchanged.
    """
    try:
        yield
    except ConnectError:
        raise
    except TimeoutError as error:
        raise ConnectTimeout from error
    except (OSError, UnicodeError) as error:  # a host name may not fit into DNS
        raise connect_error(error) from error
    except (ReadError, RemoteProtocolError, InvalidReplyError) as error:
        # Only a proxy replies before the connection is there.
        raise ProxyError(error) from error


def connect_error(error: BaseException) -> ConnectError:
    """Return the `ConnectError` that fits an error of a look-up, a connect or a handshake."""
    match root_cause(error):
        case ssl.SSLCertVerificationError() as cause:
            return CertificateError(cause.verify_message)
        case ssl.SSLError() as cause:
            return TlsError(cause.reason or cause)
        case socket.gaierror():
            return NameResolutionError()
        case ConnectionRefusedError():
            return ConnectionRefused()
        case OSError() as cause if cause.strerror:
            return ConnectError(cause.strerror)
        case cause:
            return ConnectError(cause)
