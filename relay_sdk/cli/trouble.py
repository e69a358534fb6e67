"""Why a server cannot be talked to, in words that lead somewhere."""

import re
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore

from relay_sdk._flow import Reply
from relay_sdk._transport import Broken
from relay_sdk.cli.output import without_login
from relay_sdk.exceptions import TransportError

TITLE = re.compile(rb"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)


def why_no_reply(error: TransportError, url: str, timeout: float) -> str:
    """Explain that nothing usable came back."""
    parts = urlsplit(url)
    place = f"{parts.hostname} port {parts.port or (443 if parts.scheme == 'https' else 80)}"
    text = _reason(error, place, parts.scheme, timeout)
    proxy = getproxies().get(parts.scheme)
    if proxy and not proxy_bypass(parts.hostname or ""):
        text += f". Requests go through the proxy that {parts.scheme.upper()}_PROXY names"
    return text


def _reason(error: TransportError, place: str, scheme: str, timeout: float) -> str:
    for cause in _causes(error):
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
            case httpcore.ConnectTimeout():
                return (
                    f"no connection to {place} within {timeout:g} s: is the host right, is a "
                    "firewall between?"
                )
            case httpcore.ReadTimeout():
                return f"{place} took the request and did not answer within {timeout:g} s"
            case (
                Broken()
                | httpcore.RemoteProtocolError()
                | httpcore.ReadError()
                | ConnectionResetError()
            ):
                other = "http" if scheme == "https" else "https"
                return (
                    f"what listens at {place} does not answer in HTTP ({cause}): is the port "
                    f"right, should the URL begin with {other}://?"
                )
            case OSError() if cause.strerror:
                return f"no connection to {place}: {cause.strerror}"
            case _:
                pass
    return without_login(str(error))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Give what caused an error, the first cause first."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    return reversed(chain)


def why_not_relay(reply: Reply, url: str) -> str:
    """Explain a reply that Relay does not give."""
    status = f"{url} answered {reply.status}"
    if 300 <= reply.status < 400:
        other = without_login(reply.headers.get("location", "nowhere"))
        return f"{status}, a redirect to {other}: use that URL"
    if reply.status in (401, 403, 407):
        return (
            f"{status}: a proxy wants a login. The credentials of basic authentication go into "
            "the URL, as in https://name:password@host"
        )
    if reply.status in (502, 503, 504):
        return f"{status}: a proxy is there, but Relay behind it is not: is it running?"
    if "html" in reply.headers.get("content-type", "") or reply.content.lstrip().startswith(b"<"):
        title = TITLE.search(reply.content)
        named = f", {title[1].decode(errors='replace').strip()!r}" if title else ""
        return f"{status} with a web page{named}, so that is not Relay: are host and port right?"
    if reply.status == 404:
        return f"{status}: an HTTP server, but not Relay. Are host, port and path right?"
    said = reply.text[:200]
    return f"{status}{f': {said}' if said else ''}. Relay does not say that: is the URL right?"
