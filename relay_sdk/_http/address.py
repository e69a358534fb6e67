"""The address of the server, and the headers of every request."""

import os
import re
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx

from relay_sdk._base.fork import process_id
from relay_sdk._base.validation import check_type
from relay_sdk._http.proxy import Proxy, basic_auth, find_proxy
from relay_sdk._http.request_writer import RequestWriter, connect_request

DEFAULT_URL = "http://127.0.0.1:8080"
"""The default of `relay-sdk serve`, and of Relay."""

HEADER_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
TOKEN = re.compile(r"[!-~]+")
FRAMING_HEADERS = ("content-length", "transfer-encoding")


class Address:
    """The address of the server, and the headers of every request.

    A name and a password in the URL are not a part of `url`: they are sent as a header, as a token
    is, so that they are shown nowhere.
    """

    def __init__(
        self,
        base_url: str | None,
        timeout: float,
        headers: Mapping[str, str] | None,
        token: str | None = None,
    ) -> None:
        self.is_default: bool
        self.is_default, written, url = _read_url(base_url)
        if not timeout > 0:
            raise ValueError(f"timeout must be above 0 seconds, not {timeout}")
        self.timeout = timeout
        self.headers: dict[str, str] = dict(headers or {})
        for name, value in self.headers.items():
            if not HEADER_NAME.fullmatch(name) or not _is_sendable(value):
                raise ValueError(f"the header {name!r} or its value cannot be sent in HTTP")
            if name.lower() in FRAMING_HEADERS:
                raise ValueError(f"the header {name!r} cannot be sent: the SDK sets it itself")
        name, token = _read_token(token)
        logins = [name for name in self.headers if name.lower() == "authorization"]
        if token is not None:
            if logins or url.userinfo:
                where = "in base_url" if url.userinfo else "in headers"
                raise ValueError(f"{name} and a login {where} exclude each other")
            self.headers["Authorization"] = f"Bearer {token}"
        self.has_token: bool = token is not None
        if url.userinfo:
            for name in logins:
                del self.headers[name]
            self.headers["Authorization"] = basic_auth(url)
            written = str(url.copy_with(username="", password=""))
        self.url: str = written.rstrip("/")
        self.scheme: str = url.scheme
        self.host: str = url.raw_host.decode()
        self.port: int = url.port or (443 if url.scheme == "https" else 80)
        self.proxy: Proxy | None = None
        self.tunnel_request: bytes | None = None
        """The CONNECT request to the proxy, if the server uses TLS."""
        self.writer: RequestWriter = RequestWriter(
            url.netloc.decode(), url.raw_path.rstrip(b"/"), self.headers
        )
        self._tls: dict[int, ssl.SSLContext] = {}

    def prepare(self) -> None:
        """Read the certificates and the proxy of the environment; refuse an invalid proxy."""
        self.tls()
        self.proxy = find_proxy(self.scheme, self.host, self.port)
        if self.proxy is None:
            return
        if self.scheme == "http":
            self.writer.use_proxy(self.proxy.login)
        else:
            self.tunnel_request = connect_request(self.host, self.port, self.proxy.login)

    def tls(self) -> ssl.SSLContext:
        """Return the TLS context of this process, which is cached: creating one takes 20 ms."""
        pid = process_id()
        return self._tls.get(pid) or self._tls.setdefault(pid, httpx.create_ssl_context())

    @property
    def server(self) -> str:
        """The host and port, for messages."""
        return f"{urlsplit(self.url).hostname} port {self.port}"

    @property
    def hints(self) -> list[str]:
        """Sentences about what may be wrong with the address, for messages."""
        hints: list[str] = []
        if self.is_default:
            hints.append(f"RELAY_URL is not set, so this is the default, {self.url}.")
        if self.proxy is not None:
            hints.append(f"Requests go through the proxy that {self.proxy.name} names.")
        return hints


def _read_url(base_url: str | None) -> tuple[bool, str, httpx.URL]:
    """Return whether this is the default, the URL as text, and the parsed URL."""
    given = os.environ.get("RELAY_URL") if base_url is None else base_url
    if given is not None:
        check_type(f"base_url must be a str such as {DEFAULT_URL!r}", given, str)
    written = DEFAULT_URL if given is None else given.strip()
    if not written:
        raise ValueError(
            "base_url is empty" if base_url is not None else "RELAY_URL is set, and empty"
        )
    shown = re.sub(r"^(\w+://)?.*@", r"\1***@", written, flags=re.DOTALL)
    try:
        url = httpx.URL(written)
    except httpx.InvalidURL as error:
        # The error quotes parts of the URL, so it is shown only where there is no login.
        why, cause = (f": {error}", error) if shown == written else ("", None)
        raise ValueError(f"base_url {shown!r} is not a URL{why}") from cause
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise ValueError(f"base_url {shown!r} must look like http://127.0.0.1:8080")
    return given is None, written, url


def check_token(name: str, token: object) -> None:
    """Refuse a token that cannot be sent, without showing it."""
    if not isinstance(token, str):
        raise TypeError(f"{name} must be a str, not of type {type(token).__name__}")
    if not TOKEN.fullmatch(token):
        raise ValueError(
            f"{name} cannot be sent: it may contain only ASCII letters, digits and punctuation, "
            "no spaces and no line breaks"
        )


def _read_token(given: str | None) -> tuple[str, str | None]:
    """Return the name of the option or variable that sets the token, and the token, if any."""
    name, token = "token", given
    if token is None:
        name, token = "RELAY_TOKEN", os.environ.get("RELAY_TOKEN") or None
    if token is not None:
        check_token(name, token)
    return name, token


def _is_sendable(value: str) -> bool:
    return value.isascii() and value.isprintable() and value == value.strip()
