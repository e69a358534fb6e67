"""The table of routes, and how a request finds its own."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes
from uuid import UUID

from . import answers, v1, v2
from .answers import BackendError, Refused, Response
from .call import Call
from .operations import Flow

Handler = Callable[[Call], Flow[Response]]


# As the real server sends it, an allow names HEAD twice where GET would answer it too.
TABLE: list[tuple[str, str, dict[str, Handler | Response]]] = [
    ("/health", "GET,HEAD", {"GET": answers.empty(200), "HEAD": answers.empty(200)}),
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


def _pattern(template: str) -> re.Pattern[str]:
    """Make the last segment fill; any other may be empty."""
    inner = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]*)", template)
    return re.compile(re.sub(r"\*\)$", "+)", inner), re.DOTALL)


_PATTERNS = [(_pattern(template), allow, handlers) for template, allow, handlers in TABLE]


@dataclass(frozen=True, slots=True)
class Found:
    """The handler of a request, its decoded path and its raw query."""

    handler: Handler
    path: Mapping[str, str]
    query: str


def find(method: str, target: str) -> Found | Response:
    """Match the still encoded path; return the answer where no handler is needed."""
    raw, _, query = target.partition("?")
    for pattern, allow, handlers in _PATTERNS:
        if matched := pattern.fullmatch(raw):
            if method not in handlers:
                return Response(405, {"allow": allow, "content-length": "0"})
            handler = handlers[method]
            if isinstance(handler, Response):
                return handler
            try:
                return Found(handler, _decoded(matched.groupdict()), query)
            except Refused as refused:
                return answers.plain(refused.status, refused.text)
    return answers.empty(404)


def backend_error(target: str, error: BackendError) -> Response:
    """Answer in the words of the version that was asked."""
    raw = target.partition("?")[0]
    permanent = 500 if re.fullmatch("/v./queues/[^/]*/jobs", raw) else 422
    if raw.startswith("/v1/"):
        return answers.plain(
            429 if error.retryable else permanent, f"Backend error: {error.message}"
        )
    retryable = "true" if error.retryable else "false"
    return answers.plain(
        503 if error.retryable else permanent,
        f"Backend error: {error.message}. Is retryable: {retryable}.",
    )


def _decoded(segments: Mapping[str, str]) -> dict[str, str]:
    path: dict[str, str] = {}
    for name, segment in segments.items():
        try:
            path[name] = unquote_to_bytes(segment.encode("utf-8", "surrogatepass")).decode()
        except UnicodeDecodeError:
            raise Refused(400, f"Invalid URL: Invalid UTF-8 in `{name}`") from None
    if "run_id" in path:
        path["run_id"] = _run_id(path["run_id"])
    return path


_GROUPS = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_RUN_ID = re.compile(rf"{_GROUPS}|[0-9a-f]{{32}}|\{{{_GROUPS}\}}|urn:uuid:{_GROUPS}", re.IGNORECASE)


def _run_id(text: str) -> str:
    if not _RUN_ID.fullmatch(text):
        raise Refused(400, f"Invalid URL: UUID parsing failed: `{text}` is no UUID")
    return str(UUID(text))
