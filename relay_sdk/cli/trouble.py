"""Why a server cannot be talked to, in words that lead somewhere."""

import re

from relay_sdk._base.flow import Response
from relay_sdk.cli.output import without_login

TITLE = re.compile(rb"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)


def why_no_login(reply: Response, url: str, *, has_token: bool) -> str:
    """Explain a 401 to all but `/health`."""
    if not reply.headers.get("www-authenticate", "Bearer").lower().startswith("bearer"):
        return why_not_relay(reply, url)
    if has_token:
        return f"{url} refuses this token: is it the one that the server was started with?"
    return f"{url} wants a token: set RELAY_TOKEN to it, or pass --token"


def why_not_relay(reply: Response, url: str) -> str:
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
