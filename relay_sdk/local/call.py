"""A request that has found its route, and how its parts are read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qsl

from . import storable
from .answers import Refused
from .operations import Mode
from .reading import Reader

T = TypeVar("T")

BODY_LIMIT = 2 * 1024 * 1024

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_JSON_TYPE = re.compile(
    # Possessive, so that a long run of spaces is gone through once.
    rf"\s*application/(?:json|{_WORD}\+json)"
    rf'(?:\s*+;\s*+{_WORD}=(?:{_WORD}|"[^"]*"))*\s*+(?:;\s*+)?',
    re.IGNORECASE,
)
_LONGEST = len(str(2**63))


@dataclass(frozen=True, slots=True)
class Call:
    """One request; its path is read first, then its query, then its body."""

    now: int
    path: Mapping[str, str]
    query: str
    content_type: str
    content: bytes

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

    def num_jobs(self) -> int:
        text = self._parameter("num_jobs")
        return 1 if text is None else _positive(text)

    def mode(self) -> Mode:
        """Read the mode; whatever is none means unique."""
        match self._parameter("mode"):
            case "ignore":
                return "ignore"
            case "replace":
                return "replace"
            case _:
                return "unique"

    def body(self, item: Callable[[Reader], T]) -> T:
        """Read the whole body as JSON."""
        if not _JSON_TYPE.fullmatch(self.content_type):
            raise Refused(415, "Expected request with `Content-Type: application/json`")
        if len(self.content) > BODY_LIMIT:
            raise Refused(413, "Failed to buffer the request body: length limit exceeded")
        reader = Reader(self.content)
        value = item(reader)
        reader.end()
        return value

    def state(self) -> str | None:
        """Read a heartbeat's body; whatever is no JSON is no state, and no error."""
        try:
            return storable.json(self.body(Reader.value))
        except Refused:
            return None

    def _parameter(self, name: str) -> str | None:
        values = [v for k, v in parse_qsl(self.query, keep_blank_values=True) if k == name]
        if len(values) > 1:
            raise _bad_query(f"duplicate field `{name}`")
        return values[0] if values else None


def _positive(text: str) -> int:
    if not text:
        raise _bad_query("cannot parse integer from empty string")
    if not re.fullmatch("[+-]?[0-9]+", text):
        raise _bad_query("invalid digit found in string")
    digits = text.lstrip("+-").lstrip("0")
    if text.startswith("-") or not digits:
        raise _bad_query("Integer is too small to store in target integer type")
    if len(digits) > _LONGEST or int(digits) >= 2**63:
        raise _bad_query("number too large to fit in target type")
    return int(digits)


def _bad_query(detail: str) -> Refused:
    return Refused(400, f"Failed to deserialize query string: {detail}")
