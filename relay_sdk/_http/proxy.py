"""The proxy that the environment names for a server."""

from base64 import b64encode
from urllib.request import getproxies, proxy_bypass

import httpx
from attrs import frozen

from relay_sdk._http.base import ProxyError


@frozen
class Proxy:
    """Where a proxy is, who names it, and the header of its login, if there is one."""

    name: str
    host: str
    port: int
    login: dict[str, str]


def find_proxy(scheme: str, host: str, port: int) -> Proxy | None:
    """Read HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY; on Windows and macOS, the settings."""
    proxies = getproxies()
    kind = scheme if scheme in proxies else "all"
    given = proxies.get(kind)
    if not given or proxy_bypass(host) or proxy_bypass(f"{host}:{port}"):
        return None
    name = f"{kind.upper()}_PROXY"
    try:
        url = httpx.URL(given if "://" in given else f"http://{given}")
    except httpx.InvalidURL:
        raise ValueError(f"{name} is not a URL") from None  # it may hold a password
    if url.scheme != "http" or not url.host:
        raise ValueError(
            f"{name} must look like http://127.0.0.1:3128, not like {url.scheme}://...: for other "
            "proxies give an http_client of your own, for this server name it in NO_PROXY"
        )
    login = {"Proxy-Authorization": basic(url)} if url.userinfo else {}
    return Proxy(name, url.raw_host.decode(), url.port or 80, login)


def basic(url: httpx.URL) -> str:
    """Give what a name and a password are sent as."""
    return "Basic " + b64encode(f"{url.username}:{url.password}".encode()).decode()


def check_tunnel(status: int) -> None:
    """Refuse a reply to CONNECT that gives no connection."""
    if not 200 <= status < 300:
        raise ProxyError(f"it answered with status {status}")
