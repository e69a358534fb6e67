"""The page and its files."""

from importlib import resources

from relay_sdk.local.answers import Response

# Nothing comes from elsewhere, no script stands in the page, no text becomes elements, and nobody
# frames it.
POLICY = (
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

PATHS = frozenset(FILES)
"""What the page needs before it knows the token; there is nothing of the jobs in it."""


def read_page() -> dict[str, Response]:
    """Read the files, by their paths."""
    folder = resources.files(__package__ or "")
    return {
        path: _answer(folder.joinpath(name).read_bytes(), _TYPES[name[name.index(".") :]])
        for path, name in FILES.items()
    }


def _answer(body: bytes, content_type: str) -> Response:
    headers = {
        "content-type": content_type,
        "content-length": str(len(body)),
        "content-security-policy": POLICY,
        "cache-control": "no-cache",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }
    return Response(200, headers, body)
