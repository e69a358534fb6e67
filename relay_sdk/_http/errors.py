"""Why there was no usable reply, in words that say where to look."""

import socket
import ssl
from urllib.parse import urlsplit


def names_of(error: BaseException) -> set[str]:
    """Name an error and its base classes: httpcore, httpx and httpx2 have each their own."""
    return {kind.__name__ for kind in type(error).__mro__}


def first_cause(error: BaseException) -> BaseException:
    """Give the error at the root of a chain, without the frames of the libraries it came through.

    They fill a hundred lines of a traceback, and say nothing that the error itself does not.
    """
    while cause := _cause(error):
        error = cause
    return error.with_traceback(None)


def _cause(error: BaseException) -> BaseException | None:
    if isinstance(error, BaseExceptionGroup):  # of one error for each address of a name
        return next(iter(error.exceptions))  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType, reportUnknownArgumentType]
    if error.__cause__ is None and type(error).__module__.startswith("httpcore"):
        return error.__context__  # it hides the causes of its errors
    return error.__cause__


def why_no_reply(
    error: Exception, url: str, seconds: float, *, late: bool, default: bool, proxy: str | None
) -> str:
    """Explain an error of the network.

    `late` tells that the time, in seconds, was up, `default` that nobody has chosen the URL, and
    `proxy` what names the proxy that is between.
    """
    parts = urlsplit(url)
    place = f"{parts.hostname} port {parts.port or (443 if parts.scheme == 'https' else 80)}"
    why = _why(error, place, parts.scheme, seconds, late=late)
    sentences = [why if why.endswith("?") else f"{why}."]
    if default:
        sentences.append(f"RELAY_URL is not set, so this is the default, {url}.")
    if proxy is not None:
        sentences.append(f"Requests go through the proxy that {proxy} names.")
    return " ".join(sentences).removesuffix(".")


def _why(error: Exception, place: str, scheme: str, seconds: float, *, late: bool) -> str:
    cause, names = first_cause(error), names_of(error)
    if "ConnectTimeout" in names:
        return (
            f"no connection to {place} within {seconds:g} s: is the host right, is a firewall "
            "between?"
        )
    if "ProxyError" in names:
        return f"the proxy gave no connection to {place}: {error}"
    if late:
        return f"no whole reply within {seconds:g} s from {place}"
    match cause:
        case ssl.SSLCertVerificationError():
            return (
                f"the certificate of {place} is not trusted: {cause.verify_message}. For an "
                "authority of your own set SSL_CERT_FILE to its certificate"
            )
        case ssl.SSLError():
            return (
                f"no TLS with {place}: {cause.reason or cause}. If the server has no TLS, the "
                "URL begins with http://"
            )
        case socket.gaierror():
            return f"the name in {place} is not known: is it spelt right, does DNS work here?"
        case ConnectionRefusedError():
            return f"nothing listens at {place}: is the server running, is the port right?"
        case _ if "peer closed" in str(cause):
            return f"the reply from {place} was cut off: {cause}"
        case _ if "Broken" in names and "NotHttp" not in names:
            return f"the reply from {place} cannot be used: {cause}"
        case _ if names & {"NotHttp", "RemoteProtocolError", "ReadError"}:
            other = "http" if scheme == "https" else "https"
            return (
                f"what listens at {place} does not answer in HTTP ({cause}): is the port right, "
                f"should the URL begin with {other}://?"
            )
        case OSError() if cause.strerror:
            return f"no connection to {place}: {cause.strerror}"
        case _ if "ConnectError" in names:
            return f"no connection to {place}: {cause}"
        case _:
            return f"no usable reply from {place}: {str(error) or type(error).__name__}"
