"""Who may ask: not a web page that someone opens beside the server, nor who lacks the token."""

import hmac
import ipaddress
import socket
from collections.abc import Container, Mapping

from . import answers
from .answers import Response

KNOWN = 100


class Guard:
    """Refuses what no client of Relay sends.

    A page from anywhere can send requests to this machine: by a name that its owner lets point
    here, which Host gives away, or across origins, which browsers tell. A token no page can know,
    so that with one a server may be asked for by any name.
    """

    def __init__(
        self, host: str, token: str | None = None, public: Container[str] = ("/health",)
    ) -> None:
        self._public = public
        self._loopback = _is_loopback(host)
        self._token = None if token is None else token.encode()
        if self._token == b"":
            raise ValueError("an empty token would be none")
        self._names = {"localhost", host.lower()}
        if not self._loopback:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        self._known: set[str] = set()

    @property
    def is_open(self) -> bool:
        """Whether other machines may use the server without a token."""
        return self._token is None and not self._loopback

    def refusal(self, target: str, headers: Mapping[str, str]) -> Response | None:
        """Return the answer to a request that is refused."""
        site = headers.get("sec-fetch-site", "none")
        if target == "/" and headers.get("sec-fetch-mode") == "navigate":
            site = "none"  # a link that a person followed: there is nothing of the jobs there
        if "origin" in headers or site not in ("none", "same-origin"):
            # A page that came through a proxy with TLS has another scheme than we see.
            ours = site == "same-origin" or headers.get("origin") == f"http://{headers.get('host')}"
            if site in ("cross-site", "same-site") or not ours:
                return answers.plain(403, "A web page of another origin may not use this server.")
        if self._token is not None:
            return None if target in self._public else self._check_token(headers)
        host = headers.get("host")
        if host is None or host in self._known:
            return None
        if not self._is_ours(host):
            return answers.plain(
                403,
                f"This server is not called `{host[:100]}`. Ask for it by its address, start it "
                "with that name as its host, or give it a token.",
            )
        if len(self._known) < KNOWN:
            self._known.add(host)
        return None

    def _check_token(self, headers: Mapping[str, str]) -> Response | None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode("latin-1"), self._token or b"")
        if right and scheme.lower() == "bearer":
            return None
        refused = answers.plain(401, "This server wants a token: `Authorization: Bearer ...`.")
        return Response(401, {**refused.headers, "www-authenticate": "Bearer"}, refused.body)

    def _is_ours(self, host: str) -> bool:
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
