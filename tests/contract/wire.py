"""Plain HTTP to a Relay server: in process, over a socket, or at `$RELAY_TEST_URL`."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Literal, Protocol
from urllib.parse import quote, urlsplit
from uuid import uuid4

from relay_sdk.local import App

Flavor = Literal["relay-rs", "relay", "local"]
Transport = Callable[[str, str, Mapping[str, str], bytes | None], "Answer"]

NOTHING: Any = object()


class Clock(Protocol):
    """A clock that stands still until a test moves it."""

    def now(self) -> datetime: ...
    def advance(self, seconds: float) -> None: ...


@dataclass(frozen=True)
class Answer:
    """What came back. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        assert self.headers.get("content-type") == "application/json", self
        return json.loads(self.body)

    @property
    def content_type(self) -> str | None:
        return self.headers.get("content-type")

    @property
    def allow(self) -> set[str]:
        return {method.strip() for method in self.headers["allow"].split(",")}


# The connection was closed without an answer.
DROPPED = Answer(0, {}, b"")


def in_process(app: App) -> Transport:
    """Call the application as a function."""

    def send(method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        response = app(method, target, headers, body or b"")
        names = {name.lower(): value for name, value in response.headers.items()}
        # The HTTP server in front of the application drops what HEAD must not have.
        return Answer(response.status, names, b"" if method == "HEAD" else response.body)

    return send


def over_socket(url: str) -> Transport:
    """Send each request untouched on a connection of its own."""
    parts = urlsplit(url)
    connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    prefix = parts.path.rstrip("/")

    def send(method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        connection = connect(parts.netloc, timeout=60)
        try:
            connection.putrequest(method, prefix + target, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            # A server may refuse a body before it has read all of it.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.endheaders(body)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        except (ConnectionError, HTTPException):
            return DROPPED
        finally:
            connection.close()

    return send


class Wire:
    """One server as a test sees it: what it answers, which one it is, and how to wait for it.

    `own` servers were started for this run: nobody else uses them and their clock is virtual.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        reap_interval: float,
        url: str | None = None,
        app: App | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._transport = transport
        self.reap_interval = reap_interval
        self.url = url
        self.app = app
        self.clock = clock
        self.own = clock is not None
        self.stored: set[tuple[str, str]] = set()
        self.flavor = self._detect()

    def send(
        self,
        method: str,
        target: str,
        *,
        body: bytes | None = None,
        json: Any = NOTHING,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request. `json` brings its content type with it, `body` does not."""
        if json is not NOTHING:
            body = encode(json)
            content_type = content_type or "application/json"
        fields = {"content-type": content_type} if content_type is not None else {}
        if body is not None:
            fields["content-length"] = str(len(body))
            self._note(body)
        return self._transport(method, target, fields | dict(headers or {}), body)

    def now(self) -> datetime:
        return self.clock.now() if self.clock else datetime.now(UTC)

    def is_now(self, text: str) -> bool:
        """Return whether a date of the server is its present time, as far as clocks agree."""
        tolerance = timedelta(0) if self.own else timedelta(minutes=10)
        return abs(moment(text) - self.now()) <= tolerance

    def wait(self, seconds: float) -> None:
        """Wait until that much of the server's time has passed."""
        if self.clock:
            self.clock.advance(seconds)
        else:
            time.sleep(seconds)

    def reap(self) -> None:
        """Wait until the reaper has surely run."""
        # A foreign reaper that wakes a little early skips that turn.
        self.wait(self.reap_interval if self.own else 2 * self.reap_interval + 0.5)

    def reaped(self, done: Callable[[], bool]) -> bool:
        """Wait for the reaper to do something, no longer than it needs."""
        if self.own:
            self.reap()
            return done()
        deadline = time.monotonic() + 3 * self.reap_interval + 2
        while not done():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def settle(self) -> None:
        """Begin right after a run of the reaper, so that the next one is an interval away."""
        if self.own:
            self.reap()
            self.send("GET", "/health")

    def clean(self) -> None:
        """Delete every job that was sent, whatever became of it."""
        for queue, key in self.stored:
            self.send("DELETE", f"/v1/queues/{escape(queue)}/jobs/{escape(key)}")
        self.stored.clear()

    def _note(self, body: bytes) -> None:
        """Remember the jobs in a body, so that they can be deleted."""
        with suppress(ValueError, RecursionError):
            value = json.JSONDecoder().raw_decode(body.decode())[0]
            for job in value if isinstance(value, list) else [value]:
                match job:
                    case {"queue": str(queue), "id": str(key)}:
                        f"{queue}{key}".encode()  # half a surrogate pair cannot be stored
                        self.stored.add((queue, key))

    def _detect(self) -> Flavor:
        path = f"/v2/queues/{uuid4()}/jobs"
        status = self.send("GET", f"{path}?num_jobs=0").status
        if status == 404 and self.send("GET", "/health").status == 200:
            return "relay-rs"
        assert status == 400, f"no Relay server answers at {self.url}: {status}"
        return "local" if self.send("HEAD", path).status == 405 else "relay"


def moment(text: str) -> datetime:
    """Read a date as the server writes it. As strings they do not compare: fractions vary."""
    return datetime.fromisoformat(text)


def encode(value: Any) -> bytes:
    """JSON as a client would write it. A lone surrogate stays an escape."""
    return json.dumps(value, ensure_ascii=True).encode()


def escape(segment: str) -> str:
    """Percent-encode a path segment whole, and dot segments too."""
    escaped = quote(segment, safe="")
    return escaped.replace(".", "%2E") if escaped in {".", ".."} else escaped
