"""Flows played by hand: no server, no loop, no clock."""

import json
from collections.abc import Mapping
from math import inf
from typing import Any

import msgspec
from attrs import field, mutable

from relay_sdk import Backoff, Queue, RelayError
from relay_sdk._base.flow import Flow, Invoke, Request, Response, Sleep
from relay_sdk._engine.config import ApiChoice, ClientConfig
from relay_sdk._http.errors import ConnectError, HttpError, ReadError
from relay_sdk._protocol.negotiation import VersionNegotiator
from relay_sdk.job import RawJob, to_raw
from relay_sdk.testing import Clock

RUN_ID = "0b5cd4d2-9d4f-4f0e-9c1e-0f0f0f0f0f0f"
LOST_REPLY = ReadError("the reply was lost")
REFUSED = ConnectError("connection refused")

JOBS = Queue("emails")


def reply(status: int, body: Any = b"", headers: Mapping[str, str] | None = None) -> Response:
    """A reply with bytes, a text or JSON."""
    if isinstance(body, str):
        body = body.encode()
    elif not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return Response(status, headers or {}, body)


def config(
    choice: ApiChoice = "v2", clock: Clock | None = None, retries: int | None = 3
) -> ClientConfig:
    """Waits that can be told apart: whole seconds between polls, tenths between attempts."""
    return ClientConfig(
        next_backoff=Backoff(1, maximum=8, factor=2, jitter=0),
        retry_backoff=Backoff(0.1, maximum=0.4, factor=2, jitter=0, retries=retries),
        clock=clock or Clock(),
        versions=VersionNegotiator(choice),
    )


def received(**fields: Any) -> RawJob:
    """A job as `next` hands it out."""
    return msgspec.convert(row(**fields), RawJob)


def row(**fields: Any) -> dict[str, Any]:
    """A job as API v2 shows it."""
    row = {
        "queue": "emails", "id": "x", "timeout": 60, "max_retries": None, "payload": 1,
        "state": None, "run_id": RUN_ID, "run_at": "2030-01-01T00:00:00Z",
        "updated_at": "2030-01-01T00:00:00Z", "created_at": "2030-01-01T00:00:00Z",
        "retries_remaining": None,
    } | fields  # fmt: skip
    for name in ("payload", "state"):
        row[name] = msgspec.Raw(json.dumps(row[name]).encode())
    return row


def shown(**fields: Any) -> Response:
    """The reply that shows a job."""
    return Response(200, {}, msgspec.json.encode(row(**fields)))


def next_reply(*ids: str) -> Response:
    """The reply of `next`."""
    return Response(200, {}, msgspec.json.encode([row(id=id) for id in ids]))


VERSION_EXISTS = reply(
    400,
    "Failed to deserialize query string: Integer is too small to store in target integer type",
)
"""The answer to the question whether a version is spoken."""


def missing_job(version: str = "v2") -> list[Response]:
    """The replies to a look-up of a job that is not there."""
    return [reply(404)] * (1 if version == "v1" else 2) + [VERSION_EXISTS]


def exists_already(id: str = "x") -> Response:
    return reply(409, f"job with id `{id}` already exists in queue `emails`.")


def sent(**fields: Any) -> RawJob:
    """A job as it is sent."""
    return to_raw(JOBS.job("x", fields.pop("payload", 1), **fields))


@mutable
class Play:
    """What a flow did, and how it ended."""

    calls: list[Request] = field(factory=list)
    waits: list[float] = field(factory=list)
    steps: list[str | float] = field(factory=list)
    result: Any = None
    error: Exception | None = None


def begin(flow: Flow[Any]) -> Request:
    """Start a flow and return its first request."""
    step = next(flow)
    while isinstance(step, Invoke):
        step = flow.send(step.function())
    assert isinstance(step, Request)
    return step


def play(flow: Flow[Any], *replies: Response | HttpError, clock: Clock | None = None) -> Play:
    """Drive a flow with these replies, one for each request; all of them must be used."""
    played = Play()
    left = list(replies)
    try:
        step = next(flow)
        while True:
            if isinstance(step, Sleep):
                played.waits.append(step.seconds)
                played.steps.append(step.seconds)
                if clock is not None:
                    clock.advance(step.seconds)
                step = flow.send(None)
                continue
            if isinstance(step, Invoke):
                step = flow.send(step.function())
                continue
            assert isinstance(step, Request)
            played.calls.append(step)
            played.steps.append(step.method)
            assert left, f"one call too many: {step}"
            answer = left.pop(0)
            step = flow.throw(answer) if isinstance(answer, Exception) else flow.send(answer)
    except StopIteration as done:
        played.result = done.value
    except AssertionError:
        raise
    except Exception as error:  # noqa: BLE001 the test looks at it
        played.error = error
    assert not left, f"{len(left)} replies were not asked for"
    return played


class Slow:
    """Plays a flow against a server that needs its time for each exchange."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.bounds: list[float | None] = []

    def play(self, flow: Flow[Any], *answers: tuple[float, Response | HttpError]) -> Play:
        """Advance the clock, up to the timeout of the exchange, and answer if that was enough."""
        played, left = Play(), list(answers)
        try:
            step = next(flow)
            while True:
                if isinstance(step, Sleep):
                    played.waits.append(step.seconds)
                    self.clock.advance(step.seconds)
                    step = flow.send(None)
                    continue
                played.calls.append(step)
                self.bounds.append(step.timeout)
                assert left, f"one call too many: {step}"
                seconds, answer = left.pop(0)
                bound = inf if step.timeout is None else step.timeout
                self.clock.advance(min(seconds, bound))
                if isinstance(answer, Exception) or seconds > bound:
                    step = flow.throw(answer if isinstance(answer, Exception) else LOST_REPLY)
                else:
                    step = flow.send(answer)
        except StopIteration as done:
            played.result = done.value
        except RelayError as error:
            played.error = error
        assert not left
        return played


HANGS = (inf, reply(204))
