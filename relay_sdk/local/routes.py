"""The table of routes, and how a request is matched to one."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes
from uuid import UUID

from . import responses, v1, v2
from .context import RequestContext
from .exceptions import BackendError, RequestError
from .operations import Flow
from .responses import Response

Handler = Callable[[RequestContext], Flow[Response]]


# The real server names HEAD twice in `allow` where GET would answer it too.
TABLE: list[tuple[str, str, dict[str, Handler | Response]]] = [
    ("/health", "GET,HEAD", {"GET": responses.empty(200), "HEAD": responses.empty(200)}),
    ("/v1/queues/jobs", "POST,PUT", {"POST": v1.enqueue, "PUT": v1.reschedule}),
    # HEAD would claim jobs and hide them, so it is not allowed.
    ("/v1/queues/{queue}/jobs", "GET", {"GET": v1.next_jobs}),
    (
        "/v1/queues/{queue}/jobs/{id}",
        "HEAD,GET,HEAD,PATCH,DELETE",
        {"HEAD": v1.exists, "GET": v1.get, "PATCH": v1.heartbeat, "DELETE": v1.remove},
    ),
    ("/v2/queues/jobs", "POST", {"POST": v2.enqueue}),
    ("/v2/queues/{queue}/jobs", "GET", {"GET": v2.next_jobs}),
    (
        "/v2/queues/{queue}/jobs/{id}",
        "HEAD,GET,HEAD,DELETE",
        {"HEAD": v2.exists, "GET": v2.get, "DELETE": v2.remove},
    ),
    (
        "/v2/queues/{queue}/jobs/{id}/run-id/{run_id}",
        "PUT,PATCH,DELETE",
        {"PUT": v2.requeue, "PATCH": v2.heartbeat, "DELETE": v2.complete},
    ),
]

ROUTES = [(method, template) for template, _, handlers in TABLE for method in handlers]

_CLAIMS: set[Handler] = {v1.next_jobs, v2.next_jobs}
_READS: set[Handler] = {v1.exists, v1.get, v2.get}


@dataclass(slots=True)
class RouteMatch:
    """The handler of a request, its decoded path and its raw query."""

    handler: Handler
    path: Mapping[str, str]
    query: str

    @property
    def claims(self) -> bool:
        """Whether the request claims jobs."""
        return self.handler in _CLAIMS

    @property
    def reads(self) -> bool:
        """Whether the request changes nothing."""
        return self.handler in _READS


class _Route:
    """A template, split at its slashes as a path is. The last segment may not be empty."""

    def __init__(self, template: str, allow: str, handlers: dict[str, Handler | Response]) -> None:
        parts = template.split("/")
        self.key = (parts[1], len(parts))
        self.words = [(n, part) for n, part in enumerate(parts) if part and part[0] != "{"]
        self.names = [(n, part[1:-1]) for n, part in enumerate(parts) if part and part[0] == "{"]
        self.allow = allow
        self.handlers = handlers

    def matches(self, parts: Sequence[str]) -> bool:
        return bool(parts[-1]) and all(parts[n] == word for n, word in self.words)


# No two routes have the same first segment and the same number of segments.
_ROUTES = {route.key: route for route in (_Route(*row) for row in TABLE)}


def match(method: str, target: str) -> RouteMatch | Response:
    """Match a path that is still percent-encoded; return the response if no handler is needed."""
    raw, _, query = target.partition("?")
    parts = raw.split("/")
    route = _ROUTES.get((parts[1], len(parts))) if len(parts) > 1 and not parts[0] else None
    if route is None or not route.matches(parts):
        return responses.empty(404)
    handler = route.handlers.get(method)
    if handler is None:
        return Response(405, {"allow": route.allow, "content-length": "0"})
    if isinstance(handler, Response):
        return handler
    try:
        path = {name: _decode(name, parts[n]) for n, name in route.names}
        return RouteMatch(handler, path, query)
    except RequestError as error:
        return responses.plain(error.status, error.text)


_NEXT = re.compile("/v./queues/[^/]*+/jobs")


def backend_error(target: str, error: BackendError) -> Response:
    """Return a response in the words of the version that was requested."""
    raw = target.partition("?")[0]
    permanent = 500 if _NEXT.fullmatch(raw) else 422
    if raw.startswith("/v1/"):
        return responses.plain(
            429 if error.retryable else permanent, f"Backend error: {error.message}"
        )
    retryable = "true" if error.retryable else "false"
    return responses.plain(
        503 if error.retryable else permanent,
        f"Backend error: {error.message}. Is retryable: {retryable}.",
    )


def _decode(name: str, segment: str) -> str:
    if "%" in segment or not segment.isascii():
        try:
            segment = unquote_to_bytes(segment.encode("utf-8", "surrogatepass")).decode()
        except UnicodeDecodeError:
            raise RequestError(400, f"Invalid URL: Invalid UTF-8 in `{name}`") from None
    return _run_id(segment) if name == "run_id" else segment


_GROUPS = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_PLAIN = re.compile(_GROUPS)
_RUN_ID = re.compile(rf"(?:urn:uuid:)?({_GROUPS})|([0-9a-f]{{32}})|\{{({_GROUPS})\}}")


def _run_id(text: str) -> str:
    if _PLAIN.fullmatch(text):
        return text
    found = _RUN_ID.fullmatch(text.lower())
    if not found:
        raise RequestError(400, f"Invalid URL: UUID parsing failed: `{text}` is not a UUID")
    return str(UUID(found[1] or found[2] or found[3]))
