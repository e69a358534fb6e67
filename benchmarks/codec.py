"""Measure the CPU time of the SDK per job, in µs, with a server that replies at once.

Run it: python benchmarks/codec.py [ROUNDS]. `send` is from jobs to the bytes of one request,
`receive` from the bytes of one reply to each `helper.job.payload`; the limit of both is 3 µs.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import process_time
from typing import Any
from uuid import uuid4

import attrs
import msgspec
import pydantic

from relay_sdk import Client, Queue
from relay_sdk._base.flow import Request, Response
from relay_sdk.job import from_raw, to_raw

JOBS = 1_000
LIMIT = 3


@dataclass
class Email:
    to: str
    subject: str
    reply_to: str | None
    size: int


@dataclass
class Weighed:
    to: str
    subject: str
    weight: float | None
    size: int


class Struct(msgspec.Struct):
    to: str
    subject: str
    reply_to: str | None
    size: int


@attrs.define
class Attrs:
    to: str
    subject: str
    reply_to: str | None
    size: int


class Model(pydantic.BaseModel):
    to: str
    subject: str
    reply_to: str | None
    size: int


FIELDS: dict[str, Any] = {
    "to": "anna@example.org",
    "subject": "Welcome",
    "reply_to": None,
    "size": 7,
}
PAYLOADS: dict[str, tuple[Any, Any]] = {
    "plain JSON": (Any, FIELDS),
    "dataclass": (Email, Email(**FIELDS)),
    "with a float": (Weighed, Weighed("anna@example.org", "Welcome", None, 7)),
    "Struct": (Struct, Struct(**FIELDS)),
    "attrs": (Attrs, Attrs(**FIELDS)),
    "pydantic": (Model, Model(**FIELDS)),
}


class Stub:
    """A transport that replies at once."""

    def __init__(self, answer: Response) -> None:
        self.answer = answer

    def send(self, _: Request, _stop: object = None) -> Response:
        return self.answer

    def close(self) -> None:
        pass


def talking(answer: Response) -> Client:
    """Return a client with a stub as its transport."""
    client = Client("http://server", api="v2")
    client.close()
    client._driver.http = Stub(answer)  # type: ignore[assignment]
    return client


def row(number: int, payload: bytes) -> dict[str, object]:
    """Return a job as a server sends it."""
    moment = "2030-01-01T00:00:00.123456Z"
    return {
        "queue": "emails", "id": f"welcome-{number}", "timeout": 60, "max_retries": None,
        "retries_remaining": None, "payload": msgspec.Raw(payload), "state": None,
        "run_id": uuid4(), "run_at": moment, "updated_at": moment, "created_at": moment,
    }  # fmt: skip


def stages(form: Any, payload: Any) -> dict[str, Callable[[], object]]:
    """Return the stages to time with one type of payload."""
    queue = Queue("emails", form)
    numbers = range(JOBS)
    jobs = [queue.job(f"welcome-{number}", payload) for number in numbers]
    text = bytes(to_raw(jobs[0]).payload)
    producer = talking(Response(202, {}, b""))
    content = msgspec.json.encode([row(number, text) for number in numbers])
    consumer = talking(Response(200, {}, content))
    raws = [helper.raw for helper in consumer.next(queue, JOBS)]
    return {
        "job": lambda: [queue.job(f"welcome-{number}", payload) for number in numbers],
        "to_raw": lambda: [to_raw(job) for job in jobs],
        "send": lambda: producer.enqueue_batch(jobs),
        "next": lambda: consumer.next(queue, JOBS),
        "from_raw": lambda: [from_raw(queue, raw) for raw in raws],
        "receive": lambda: [(helper, helper.job.payload) for helper in consumer.next(queue, JOBS)],
    }


def microseconds(stage: Callable[[], object]) -> float:
    """Return the time of a stage per job."""
    start = process_time()
    result = stage()
    taken = process_time() - start
    del result  # the time to free the jobs is not counted
    return taken * 1e6 / JOBS


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 31
    kinds = {name: stages(*payload) for name, payload in PAYLOADS.items()}
    times = {(kind, stage): list[float]() for kind, each in kinds.items() for stage in each}
    for _ in range(rounds):  # in turn, so that other load affects all of them
        for kind, stage in times:
            times[kind, stage].append(microseconds(kinds[kind][stage]))
    names = list(next(iter(kinds.values())))
    for title, figure in (("median", median), ("least", min)):
        print(f"{title + ', µs a job':<18}" + "".join(f"{name:>10}" for name in names))
        for kind in kinds:
            figures = "".join(f"{figure(times[kind, name]):>10.2f}" for name in names)
            print(f"{kind:<18}{figures}")
    print(f"(of {rounds} rounds; the limit of send and receive is {LIMIT})")


if __name__ == "__main__":
    main()
