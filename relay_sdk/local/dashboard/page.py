"""The files of the page."""

from importlib import resources

from relay_sdk.local.responses import Response

# Everything is loaded from this server, inline scripts are refused, text cannot become elements,
# and no other page can frame this one.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_SCRIPTS = ("page.js", "ask.js", "chart.js", "dialogs.js", "show.js")

FILES = {
    "/": "page.html",
    **{f"/local/{name}": name for name in ("page.css", "icon.svg", *_SCRIPTS)},
}

PAGE_PATHS = frozenset(FILES)
"""The files that the page loads before it has the token; they contain nothing about jobs."""


def read_page() -> dict[str, Response]:
    """Return the responses for the files, by path."""
    folder = resources.files(__package__ or "")
    return {
        path: _answer(folder.joinpath(name).read_bytes(), _TYPES[name[name.index(".") :]])
        for path, name in FILES.items()
    }


def _answer(body: bytes, content_type: str) -> Response:
    headers = {
        "content-type": content_type,
        "content-length": str(len(body)),
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "cache-control": "no-cache",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }
    return Response(200, headers, body)
