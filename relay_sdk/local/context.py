"""Parse the parts of a request for its handler."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar
from urllib.parse import parse_qsl

from . import validation
from .arrivals import JobArrivals
from .exceptions import RequestError
from .json_parser import JsonParser
from .operations import Claim, Enqueue, Flow, Job, Mode, NewJob

T = TypeVar("T")

MAX_BODY_BYTES = 2 * 1024 * 1024

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
# This is what the real server's parser accepts: the last parameter may have no value, and may even
# be empty, but a quoted value may not be empty, and there is no space before a semicolon.
_CONTENT_TYPE = re.compile(
    rf"application/({_NAME})"
    rf'(?:; *+{_NAME}=(?:{_NAME}|"[ -~][ !#-~]*+" *+))*+'
    rf"(?:; *+(?:{_NAME}=)?)?",
    re.IGNORECASE,
)
_INTEGER = re.compile("[+-]?[0-9]++")
_MAX_DIGITS = len(str(2**63))

MAX_CLAIMED_JOBS = 1000
"""Jobs that one request claims at most; a client that wants more sends another request."""


@dataclass(slots=True)
class RequestContext:
    """One request; read its path first, then its query, then its body, as the real server does."""

    arrivals: JobArrivals
    is_long_poll: bool
    client_gone: bool
    path: Mapping[str, str]
    query: str
    content_type: str
    content: bytes

    @property
    def now(self) -> int:
        return self.arrivals.now

    @property
    def queue(self) -> str:
        return validation.check_no_nul(self.path["queue"])

    def claimed_queue(self) -> str:
        """Return the queue to claim from.

        For a NUL the real server answers 500 with an error of its database.
        """
        if "\0" in self.path["queue"]:
            raise RequestError(400, "Invalid URL: NUL in `queue`")
        return self.path["queue"]

    @property
    def id(self) -> str:
        return validation.check_no_nul(self.path["id"])

    @property
    def run_id(self) -> str:
        return self.path["run_id"]

    def claim(self) -> Flow[list[Job]]:
        """Claim ready jobs of the queue, and note how many are left for other long polls."""
        queue = self.claimed_queue()
        limit = 0 if self.client_gone else parse_num_jobs(self.query, MAX_CLAIMED_JOBS)
        if not (limit or self.is_long_poll):
            return []
        claimed = yield from Claim(queue, limit, find_left=self.is_long_poll)
        if self.is_long_poll:
            self.arrivals.subtract_claimed(queue, len(claimed.jobs), claimed.left)
        return claimed.jobs

    def enqueue(self, jobs: Sequence[NewJob], mode: Mode) -> Flow[None]:
        """Store jobs, and note that they arrived."""
        yield from Enqueue(jobs, mode)
        self.add_arrivals(jobs)

    def add_arrivals(self, jobs: Iterable[NewJob]) -> None:
        """Note that these jobs are in their queues."""
        for job in jobs:
            self.arrivals.add(job.queue, job.run_at)

    def mode(self) -> Mode:
        """Return the mode; any unknown value means unique."""
        match _parameter(self.query, "mode"):
            case "ignore":
                return "ignore"
            case "replace":
                return "replace"
            case _:
                return "unique"

    def parse_body(self, parse: Callable[[JsonParser], T]) -> T:
        """Parse the whole body as JSON."""
        self.check_body()
        parser = JsonParser(self.content)
        value = parse(parser)
        parser.end()
        return value

    def check_body(self) -> None:
        """Raise RequestError for a body that is too large or whose type is not JSON."""
        if not _is_json(self.content_type):
            raise RequestError(415, "Expected request with `Content-Type: application/json`")
        if len(self.content) > MAX_BODY_BYTES:
            raise RequestError(413, "Failed to buffer the request body: length limit exceeded")

    def parse_state(self) -> str | None:
        """Parse the body of a heartbeat; a body that is not JSON means no state, not an error."""
        if not self.content:
            return None
        try:
            self.check_body()
            return validation.check_json(JsonParser(self.content).value())
        except RequestError:
            return None


@lru_cache(64)
def _is_json(content_type: str) -> bool:
    found = _CONTENT_TYPE.fullmatch(content_type.strip(" \t"))
    if not found:
        return False
    subtype = found[1].lower()
    main, plus, suffix = subtype.rpartition("+")
    return subtype == "json" or bool(plus and main and "json" in (main, suffix))


def parse_num_jobs(query: str, limit: int) -> int:
    """Return how many jobs the query asks for, at most `limit`."""
    text = _parameter(query, "num_jobs") if query else None
    return 1 if text is None else min(_positive(text), limit)


def _parameter(query: str, name: str) -> str | None:
    if name not in query and "%" not in query:
        return None
    values = [v for k, v in parse_qsl(query, keep_blank_values=True) if k == name]
    if len(values) > 1:
        raise _bad_query(f"duplicate field `{name}`")
    return values[0] if values else None


def _positive(text: str) -> int:
    if not text:
        raise _bad_query("cannot parse integer from empty string")
    if not _INTEGER.fullmatch(text):
        raise _bad_query("invalid digit found in string")
    digits = text.lstrip("+-").lstrip("0")
    if text.startswith("-") or not digits:
        raise _bad_query("Integer is too small to store in target integer type")
    if len(digits) > _MAX_DIGITS or int(digits) >= 2**63:
        raise _bad_query("number too large to fit in target type")
    return int(digits)


def _bad_query(detail: str) -> RequestError:
    return RequestError(400, f"Failed to deserialize query string: {detail}")
