"""Errors, jobs and queues can be pickled and are unpickled unchanged."""

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import pydantic
import pytest

import relay_sdk
from relay_sdk import (
    ClientStateError,
    Codec,
    Job,
    JobExistsError,
    JobLostError,
    JobNotFoundError,
    PayloadError,
    Queue,
    RelayError,
    RequestRejectedError,
    RetryableError,
    ServerBusyError,
    TransportError,
    UnexpectedStatusError,
    UnsupportedError,
)
from relay_sdk.job import from_raw, to_raw

from ..support.flow_player import received

Again = Callable[[Any], Any]


def pickled(protocol: int) -> Again:
    return lambda value: pickle.loads(pickle.dumps(value, protocol))


AGAIN: dict[str, Again] = {
    **{f"pickle {protocol}": pickled(protocol) for protocol in range(2, 6)},
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}

ERRORS = [
    RelayError("what\nhappened"),
    RetryableError("later"),
    TransportError("cut off", sent=True),
    ServerBusyError("job 'x' in queue 'q'", 503, "down\x1b[2J", 2.5),
    RequestRejectedError("job 'x' in queue 'q'", 422, "no"),
    UnexpectedStatusError("job 'x' in queue 'q'", 520, ""),
    UnsupportedError("v1 cannot"),
    ClientStateError("the client is closed"),
    JobExistsError("q", "x"),
    JobNotFoundError("q", "x"),
    JobLostError("q", "x", "it was removed"),
    PayloadError("q", "x", "payload", "it does not fit", b"{}"),
]


def test_every_error_class_is_covered() -> None:
    public = {getattr(relay_sdk, name) for name in relay_sdk.__all__ if name.endswith("Error")}
    assert {type(error) for error in ERRORS} == public


@pytest.mark.parametrize("again", AGAIN.values(), ids=AGAIN)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_is_unpickled_completely(error: RelayError, again: Again) -> None:
    back = again(error)
    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))


def test_notes_are_pickled() -> None:
    error = JobExistsError("q", "x")
    error.add_note("seen at night")
    assert pickled(5)(error).__notes__ == ["seen at night"]


@dataclass
class Email:
    to: str


class Model(pydantic.BaseModel):
    n: int


def encode(value: complex) -> object:
    return [value.real, value.imag]


def decode(value: Any) -> complex:
    return complex(*value)


QUEUES: list[tuple[Queue[Any, Any], Any]] = [
    (Queue("q"), {"a": [1, None]}),
    (Queue("q", Email, state=Email), Email("a")),
    (Queue("q", list[Email] | None, state=dict[str, Email]), [Email("a")]),
    (Queue("q", Model | Email, state=Model), Model(n=3)),
    (Queue("q", Codec(encode, decode)), 1 + 2j),
]


@pytest.mark.parametrize("again", AGAIN.values(), ids=AGAIN)
@pytest.mark.parametrize(("queue", "payload"), QUEUES, ids=str)
def test_a_queue_is_unpickled_with_its_types(
    queue: Queue[Any, Any], payload: object, again: Again
) -> None:
    back = again(queue)
    assert back.name == queue.name
    raw = to_raw(queue.job("x", payload))
    assert to_raw(back.job("x", payload)) == raw
    assert from_raw(back, raw) == from_raw(queue, raw)
    with pytest.raises(PayloadError):
        to_raw(back.job("x", {1, 2}))


@pytest.mark.parametrize("again", AGAIN.values(), ids=AGAIN)
@pytest.mark.parametrize(("queue", "payload"), QUEUES, ids=str)
def test_a_job_is_unpickled_equal_and_with_its_types(
    queue: Queue[Any, Any], payload: object, again: Again
) -> None:
    job = queue.job("x", payload, timeout=3, run_at=datetime(2031, 1, 1, tzinfo=UTC))
    back = again(job)
    assert back == job
    with pytest.raises(PayloadError):
        to_raw(msgspec.structs.replace(back, payload={1, 2}))


@pytest.mark.parametrize("again", AGAIN.values(), ids=AGAIN)
def test_a_received_job_is_unpickled_equal(again: Again) -> None:
    raw = received(payload={"to": "a"})
    assert again(raw) == raw
    job = from_raw(Queue("emails", Email), raw)
    assert isinstance(job, Job)
    assert again(job) == job


def test_a_queue_of_lambdas_is_refused_by_pickle() -> None:
    queue = Queue("q", Codec(lambda value: value, lambda value: value))
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(queue)
