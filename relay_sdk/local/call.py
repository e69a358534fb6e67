"""A request that has found its route, and how its parts are read."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar
from urllib.parse import parse_qsl

from . import storable
from .answers import Refused
from .news import News
from .operations import Claim, Enqueue, Flow, Job, Mode, NewJob
from .reading import Reader

T = TypeVar("T")

BODY_LIMIT = 2 * 1024 * 1024

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
# As the real server's parser takes it: a last parameter may lack its value, and even itself, but
# what is quoted may not be empty, and before a semicolon there is no space.
_CONTENT_TYPE = re.compile(
    rf"application/({_WORD})"
    rf'(?:; *+{_WORD}=(?:{_WORD}|"[ -~][ !#-~]*+" *+))*+'
    rf"(?:; *+(?:{_WORD}=)?)?",
    re.IGNORECASE,
)
_INTEGER = re.compile("[+-]?[0-9]++")
_LONGEST = len(str(2**63))

CLAIMS = 1000
"""Jobs that one request is given at most; who asked for more asks again."""


@dataclass(slots=True)
class Call:
    """One request; its path is read first, then its query, then its body."""

    news: News
    waits: bool
    gone: bool
    path: Mapping[str, str]
    query: str
    content_type: str
    content: bytes

    @property
    def now(self) -> int:
        return self.news.now

    @property
    def queue(self) -> str:
        return storable.no_nul(self.path["queue"])

    def queue_of_next(self) -> str:
        """Read the queue of a `next`; the real server blames its database for a NUL, with 500."""
        if "\0" in self.path["queue"]:
            raise Refused(400, "Invalid URL: NUL in `queue`")
        return self.path["queue"]

    @property
    def id(self) -> str:
        return storable.no_nul(self.path["id"])

    @property
    def run_id(self) -> str:
        return self.path["run_id"]

    def claim(self) -> Flow[list[Job]]:
        """Take ready jobs of the queue, and tell what is left for others who wait."""
        queue = self.queue_of_next()
        limit = 0 if self.gone else num_jobs(self.query, CLAIMS)
        if not (limit or self.waits):
            return []
        claimed = yield from Claim(queue, limit, tell_left=self.waits)
        if self.waits:
            self.news.claimed(queue, len(claimed.jobs), claimed.left)
        return claimed.jobs

    def enqueue(self, jobs: Sequence[NewJob], mode: Mode) -> Flow[None]:
        """Store jobs, and tell those who wait for them."""
        yield from Enqueue(jobs, mode)
        self.tell(jobs)

    def tell(self, jobs: Iterable[NewJob]) -> None:
        """Tell those who wait that these jobs are in their queues."""
        for job in jobs:
            self.news.job(job.queue, job.run_at)

    def mode(self) -> Mode:
        """Read the mode; whatever is none means unique."""
        match _parameter(self.query, "mode"):
            case "ignore":
                return "ignore"
            case "replace":
                return "replace"
            case _:
                return "unique"

    def body(self, item: Callable[[Reader], T]) -> T:
        """Read the whole body as JSON."""
        self.check_body()
        reader = Reader(self.content)
        value = item(reader)
        reader.end()
        return value

    def check_body(self) -> None:
        """Refuse a body that is not called JSON or is too large."""
        if not _is_json(self.content_type):
            raise Refused(415, "Expected request with `Content-Type: application/json`")
        if len(self.content) > BODY_LIMIT:
            raise Refused(413, "Failed to buffer the request body: length limit exceeded")

    def state(self) -> str | None:
        """Read a heartbeat's body; whatever is no JSON is no state, and no error."""
        if not self.content:
            return None
        try:
            self.check_body()
            return storable.json(Reader(self.content).value())
        except Refused:
            return None


@lru_cache(64)
def _is_json(content_type: str) -> bool:
    found = _CONTENT_TYPE.fullmatch(content_type.strip(" \t"))
    if not found:
        return False
    subtype = found[1].lower()
    main, plus, suffix = subtype.rpartition("+")
    return subtype == "json" or bool(plus and main and "json" in (main, suffix))


def num_jobs(query: str, most: int) -> int:
    """Read how many jobs are asked for, up to most."""
    text = _parameter(query, "num_jobs") if query else None
    return 1 if text is None else min(_positive(text), most)


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
    if len(digits) > _LONGEST or int(digits) >= 2**63:
        raise _bad_query("number too large to fit in target type")
    return int(digits)


def _bad_query(detail: str) -> Refused:
    return Refused(400, f"Failed to deserialize query string: {detail}")
