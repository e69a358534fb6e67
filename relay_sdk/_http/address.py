"""Where the server is, and what goes with every request."""

import os
import re
import ssl
from collections.abc import Mapping

import httpx

from relay_sdk._base.flow import Request
from relay_sdk._base.fork import process_id
from relay_sdk._base.validation import check_type
from relay_sdk._http.proxy import Proxy, basic, find_proxy

DEFAULT_URL = "http://127.0.0.1:8080"
"""Where `relay-sdk serve` listens, and Relay too, unless they are told otherwise."""

NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
TOKEN = re.compile(r"[!-~]+")
FRAMING = ("content-length", "transfer-encoding")
USUAL = {"Accept": "*/*", "Accept-Encoding": "gzip", "User-Agent": "relay-job-sdk"}


class Address:
    """Where the server is, and what goes with every request.

    `url` is without the name and password that were in it: they go as a header, as a token does,
    so that they appear nowhere.
    """

    def __init__(
        self,
        base_url: str | None,
        timeout: float,
        headers: Mapping[str, str] | None,
        token: str | None = None,
    ) -> None:
        given = os.environ.get("RELAY_URL") if base_url is None else base_url
        if given is not None:
            check_type(f"base_url must be a str such as {DEFAULT_URL!r}", given, str)
        self.is_default: bool = given is None
        given = DEFAULT_URL if given is None else given.strip()
        if not given:
            raise ValueError(
                "base_url is empty" if base_url is not None else "RELAY_URL is set, and empty"
            )
        shown = re.sub(r"^(\w+://)?.*@", r"\1***@", given, flags=re.DOTALL)
        try:
            url = httpx.URL(given)
        except httpx.InvalidURL as error:
            # The error quotes parts of the URL.
            why, cause = (f": {error}", error) if shown == given else ("", None)
            raise ValueError(f"base_url {shown!r} is not a URL{why}") from cause
        if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
            raise ValueError(f"base_url {shown!r} must look like http://127.0.0.1:8080")
        if not timeout > 0:
            raise ValueError(f"timeout must be above 0 seconds, not {timeout}")
        self.timeout = timeout
        self.headers: dict[str, str] = dict(headers or {})
        for name, value in self.headers.items():
            if not NAME.fullmatch(name) or not _can_be_sent(value) or name.lower() in FRAMING:
                raise ValueError(f"the header {name!r} or its value cannot be sent in HTTP")
        name, token = _token(token)
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
            self.headers["Authorization"] = basic(url)
            given = str(url.copy_with(username="", password=""))
        self.url: str = given.rstrip("/")
        self.scheme: str = url.scheme
        self.host: str = url.raw_host.decode()
        self.port: int = url.port or (443 if url.scheme == "https" else 80)
        self.proxy: Proxy | None = None
        self._netloc = url.netloc.decode()
        self._path = url.raw_path.rstrip(b"/")
        self._tls: dict[int, ssl.SSLContext] = {}
        self._fields = _fields({"Host": self._netloc} | USUAL) | _fields(self.headers)
        self._heads: dict[tuple[tuple[str, str], ...], bytes] = {}

    def target(self, call: Request) -> bytes:
        """Give what stands in the request's first line, byte for byte as the call has it."""
        if not call.target.isascii() or not call.target.isprintable() or " " in call.target:
            raise ValueError(f"{call.target!r} is not percent-encoded")
        return self._path + call.target.encode()

    def request(self, call: Request) -> bytes:
        """Give a whole request; what is in its head besides target and length is written once."""
        key = (*call.headers.items(),)
        lines = self._heads.get(key)
        if lines is None:
            lines = _lines(self._fields | _fields(call.headers))
            self._heads[key] = lines  # they are few: ours, and not of the job
        method, target, content = call.method.encode(), self.target(call), call.content or b""
        if _has_content(call):
            lines += b"Content-Length: %d\r\n" % len(content)
        return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, lines) + content

    def prepare(self) -> None:
        """Read what the environment says of certificates and proxies, and refuse what is wrong."""
        self.tls()
        self.proxy = find_proxy(self.scheme, self.host, self.port)
        if self.proxy and self.scheme == "http":  # the proxy is told the whole URL
            self._path = b"http://%b%b" % (self._netloc.encode(), self._path)
            self._fields |= _fields(self.proxy.login)

    @property
    def tunnel(self) -> bytes | None:
        """What asks a proxy for a connection, where TLS is spoken through it."""
        if self.proxy is None or self.scheme == "http":
            return None
        place = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        lines = _lines(_fields({"Host": place} | self.proxy.login))
        return b"CONNECT %b HTTP/1.1\r\n%b\r\n" % (place.encode(), lines)

    def tls(self) -> ssl.SSLContext:
        """Give what this process shares between its connections; making it takes 20 ms."""
        pid = process_id()
        return self._tls.get(pid) or self._tls.setdefault(pid, httpx.create_ssl_context())


def _has_content(call: Request) -> bool:
    return call.content is not None or call.method in ("POST", "PUT", "PATCH")


def check_token(name: str, token: object) -> None:
    """Refuse a token that cannot be sent, without showing it."""
    if not isinstance(token, str):
        raise TypeError(f"{name} must be a str, not of type {type(token).__name__}")
    if not TOKEN.fullmatch(token):
        raise ValueError(
            f"{name} cannot be sent: it must have letters, digits and signs of ASCII alone, "
            "no spaces and no line breaks"
        )


def _token(given: str | None) -> tuple[str, str | None]:
    """Give the token to send, if there is one, and what it is called."""
    name, token = "token", given
    if token is None:
        name, token = "RELAY_TOKEN", os.environ.get("RELAY_TOKEN") or None
    if token is not None:
        check_token(name, token)
    return name, token


def _fields(headers: Mapping[str, str]) -> dict[str, tuple[bytes, bytes]]:
    """Give headers as they are sent, by what makes two of them the same."""
    return {name.lower(): (name.encode(), value.encode()) for name, value in headers.items()}


def _lines(fields: Mapping[str, tuple[bytes, bytes]]) -> bytes:
    return b"".join(b"%b: %b\r\n" % field for field in fields.values())


def _can_be_sent(value: str) -> bool:
    return value.isascii() and value.isprintable() and value == value.strip()
