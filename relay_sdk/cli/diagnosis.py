"""Explain unexpected replies of a server, with advice."""

import re

from relay_sdk._base.flow import Response
from relay_sdk.cli.output import hide_credentials

TITLE = re.compile(rb"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)


def explain_unauthorized(reply: Response, url: str, *, has_token: bool) -> str:
    """Explain a 401 reply of any route but `/health`."""
    if not reply.headers.get("www-authenticate", "Bearer").lower().startswith("bearer"):
        return explain_unexpected_reply(reply, url)
    if has_token:
        return f"{url} refuses this token: was the server started with another one?"
    return f"{url} requires a token: set RELAY_TOKEN, or pass --token"


def explain_unexpected_reply(reply: Response, url: str) -> str:
    """Explain a reply that Relay never sends."""
    status = f"{url} answered {reply.status}"
    if 300 <= reply.status < 400:
        other = hide_credentials(reply.headers.get("location", "nowhere"))
        return f"{status}, a redirect to {other}: use that URL"
    if reply.status in (401, 403, 407):
        return (
            f"{status}: a proxy requires a login. For basic authentication, put the credentials "
            "into the URL: https://name:password@host"
        )
    if reply.status in (502, 503, 504):
        return f"{status}: a proxy answers, but not Relay behind it: is Relay running?"
    if "html" in reply.headers.get("content-type", "") or reply.content.lstrip().startswith(b"<"):
        title = TITLE.search(reply.content)
        named = f", {title[1].decode(errors='replace').strip()!r}" if title else ""
        return f"{status} with a web page{named}, so it is not Relay: are host and port right?"
    if reply.status == 404:
        return f"{status}: an HTTP server, but not Relay. Are host, port and path right?"
    body = reply.text[:200]
    return f"{status}{f': {body}' if body else ''}. Relay does not reply that: is the URL right?"
