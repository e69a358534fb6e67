"""Find the proxy of a server in the environment."""

from base64 import b64encode
from urllib.request import getproxies, proxy_bypass

import httpx
from attrs import frozen

from relay_sdk._http.errors import ProxyError


@frozen
class Proxy:
    """A proxy: the environment variable that names it, and the header of its login, if any."""

    name: str
    host: str
    port: int
    login: dict[str, str]


def find_proxy(scheme: str, host: str, port: int) -> Proxy | None:
    """Read HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY; on Windows and macOS, the settings."""
    proxies = getproxies()
    kind = scheme if scheme in proxies else "all"
    value = proxies.get(kind)
    if not value or proxy_bypass(host) or proxy_bypass(f"{host}:{port}"):
        return None
    name = f"{kind.upper()}_PROXY"
    try:
        url = httpx.URL(value if "://" in value else f"http://{value}")
    except httpx.InvalidURL:
        raise ValueError(f"{name} is not a URL") from None  # it may contain a password
    if url.scheme != "http" or not url.host:
        raise ValueError(
            f"{name} must look like http://127.0.0.1:3128, not like {url.scheme}://...: pass your "
            "own http_client to use a proxy of another kind, or add this server to NO_PROXY"
        )
    login = {"Proxy-Authorization": basic_auth(url)} if url.userinfo else {}
    return Proxy(name, url.raw_host.decode(), url.port or 80, login)


def basic_auth(url: httpx.URL) -> str:
    """Return the value of the header for the name and password in a URL."""
    return "Basic " + b64encode(f"{url.username}:{url.password}".encode()).decode()


def check_tunnel(status: int) -> None:
    """Raise `ProxyError` unless the reply to CONNECT has a status of success."""
    if not 200 <= status < 300:
        raise ProxyError(f"it answered with status {status}")
