"""Access control: refuse web pages of other origins, and clients without the token."""

import hmac
import ipaddress
import socket
from collections.abc import Container, Mapping

from . import responses
from .responses import Response

MAX_CACHED_HOSTS = 100


class AccessControl:
    """Refuses requests that no client of Relay sends.

    Any web page can make a browser send requests to this machine. It can use a DNS name that its
    owner points here, which shows in the Host header, or send them across origins, which shows in
    headers that browsers add. No page can know the token, so a server with a token may be reached
    by any name.
    """

    def __init__(
        self, host: str, token: str | None = None, public: Container[str] = ("/health",)
    ) -> None:
        self._public = public
        self._loopback = _is_loopback(host)
        self._token = None if token is None else token.encode()
        if self._token == b"":
            raise ValueError("the token must not be empty")
        self._names = {"localhost", host.lower()}
        if not self._loopback:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        self._allowed_hosts: set[str] = set()

    @property
    def is_open(self) -> bool:
        """Whether other machines may use the server without a token."""
        return self._token is None and not self._loopback

    def refusal(self, target: str, headers: Mapping[str, str]) -> Response | None:
        """Return the response if the request is refused."""
        site = headers.get("sec-fetch-site", "none")
        if target == "/" and headers.get("sec-fetch-mode") == "navigate":
            site = "none"  # the user followed a link, and the page itself shows no jobs
        if "origin" in headers or site not in ("none", "same-origin"):
            # Behind a proxy with TLS the page has another scheme than this server sees.
            allowed = (
                site == "same-origin" or headers.get("origin") == f"http://{headers.get('host')}"
            )
            if site in ("cross-site", "same-site") or not allowed:
                return responses.plain(403, "A web page of another origin may not use this server.")
        if self._token is not None:
            return None if target in self._public else self._check_token(headers)
        host = headers.get("host")
        if host is None or host in self._allowed_hosts:
            return None
        if not self._is_own_name(host):
            return responses.plain(
                403,
                f"This server is not called `{host[:100]}`. Ask for it by its address, start it "
                "with that name as its host, or give it a token.",
            )
        if len(self._allowed_hosts) < MAX_CACHED_HOSTS:
            self._allowed_hosts.add(host)
        return None

    def _check_token(self, headers: Mapping[str, str]) -> Response | None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(token.strip().encode("latin-1"), self._token or b"")
        if right and scheme.lower() == "bearer":
            return None
        refused = responses.plain(401, "This server requires a token: `Authorization: Bearer ...`.")
        return Response(401, {**refused.headers, "www-authenticate": "Bearer"}, refused.body)

    def _is_own_name(self, host: str) -> bool:
        name = _without_port(host).lower().removesuffix(".")
        if name in self._names or name.endswith(".localhost"):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._loopback


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
