"""Declarations and jobs that both checkers refuse, each on the line it is on."""

from typing import Any

from shared import EMAILS, URGENT, Email, Progress

from relay_sdk import Backoff, Codec, EnqueueMode, Job, JobHelper, Queue

# a value where a type is due
Queue("q", payload=3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
Queue("q", state=3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
Queue("q", payload=Email("a"))  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
Queue("q", payload=Email, state=Progress(0))  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]

# arguments of the wrong kind
Queue(b"q")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
Queue("q", Email, Progress)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
Queue("q", payloads=Email)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
Queue()  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
Backoff(retries="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
MODE: EnqueueMode = "overwrite"  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


def encode(value: complex) -> object:
    return [value.real, value.imag]


def decode_otherwise(value: Any) -> bytes:
    return bytes(value)


CODEC: Codec[complex] = Codec(encode, decode_otherwise)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# a payload or state of the wrong type
PLAIN_EMAILS = Queue("emails", Email)
EMAILS.job("1", Progress(0))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
EMAILS.job("1", {"to": "a"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
EMAILS.job("1", None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
EMAILS.job("1")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
EMAILS.job("1", Email("a"), state=Email("a"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
PLAIN_EMAILS.job("1", Email("a"), state=Progress(0))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
URGENT.job("1", Email("a"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# an option of the wrong type
EMAILS.job(1, Email("a"))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
EMAILS.job("1", Email("a"), timeout=1.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
EMAILS.job("1", Email("a"), delay="60")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
EMAILS.job("1", Email("a"), run_at=60)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
EMAILS.job("1", Email("a"), max_retries="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
EMAILS.job("1", Email("a"), run_at="2030-01-01T00:00:00Z")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def received(job: Job[Email, Progress]) -> None:
    job.id = "2"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    job.payload = Email("a")  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    job.payload.sent += 1  # type: ignore[attr-defined]  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue]
    job.state.sent += 1  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]


def read_sent(job: Job[Progress]) -> int:
    return job.payload.sent


def use_any_queue(queue: Queue[object, object]) -> None:
    queue.job("1", 3)


def use_any_helper(helper: JobHelper[object, object]) -> None:
    helper.heartbeat(3)


def use_no_state(helper: JobHelper[Email, None]) -> None:
    helper.heartbeat(Progress(0))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def substitutes(job: Job[Email, Progress], helper: JobHelper[Email, Progress]) -> None:
    read_sent(job)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    use_any_queue(EMAILS)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    use_any_helper(helper)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
