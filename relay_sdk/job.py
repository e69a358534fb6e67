"""Jobs, and the queues that declare their types."""
# pyright: reportPrivateUsage=false
# The functions of this module use private attributes of its classes.

from datetime import UTC, datetime, timedelta
from math import ceil
from operator import attrgetter
from typing import Any, Generic, overload
from uuid import UUID

import msgspec
from typing_extensions import TypeForm, TypeVar

from relay_sdk._base.envelope import unwrap
from relay_sdk._base.validation import (
    add_delay,
    check_exclusive,
    check_int_range,
    check_key,
    check_queue,
    check_type,
    to_utc,
)
from relay_sdk._codecs.json import CodecError
from relay_sdk._protocol.models import EnqueueMode as EnqueueMode
from relay_sdk._protocol.models import RawJob as RawJob
from relay_sdk.codec import Codec, TextCodec, text_codec
from relay_sdk.exceptions import PayloadError

P = TypeVar("P", default=Any)
S = TypeVar("S", default=Any)
P_co = TypeVar("P_co", default=Any, covariant=True)
S_co = TypeVar("S_co", default=Any, covariant=True)
T = TypeVar("T")

MAX_RETRIES = 2**15 - 1

NULL = msgspec.Raw(b"null")


class Job(msgspec.Struct, Generic[P_co, S_co], frozen=True, kw_only=True, eq=False, weakref=True):
    """A job. `EMAILS.job(...)` returns one to enqueue; `helper.job` is one that was received.

    `timeout` is in seconds: a run that sends no heartbeat for this time loses the job, which is
    then queued again. `max_retries` is how often that may happen before the job is deleted; `None`
    means without limit. `run_at` is when the job may first run; `None` means at once. The server
    sets the last four fields. They are `None` on a job that was not received, and API v1 sends only
    `updated_at`. `msgspec.structs.replace` returns a changed copy.
    """

    queue: str
    id: str
    payload: P_co
    state: S_co | None = None
    timeout: int = 60
    max_retries: int | None = None
    run_at: datetime | None = None
    updated_at: datetime | None = None
    created_at: datetime | None = None
    run_id: UUID | None = None
    retries_remaining: int | None = None
    # The declared queue encodes payload and state. Without it, they are plain JSON.
    _types: "Queue[Any, Any] | None" = None

    def __eq__(self, other: object) -> bool:
        return (
            _public_values(self) == _public_values(other)
            if isinstance(other, Job)
            else NotImplemented
        )

    def __hash__(self) -> int:
        return hash(_public_values(self))

    def __repr__(self) -> str:
        values = zip(_PUBLIC_FIELDS, _public_values(self), strict=True)
        return f"Job({', '.join(f'{name}={value!r}' for name, value in values)})"


_PUBLIC_FIELDS = tuple(name for name in Job.__struct_fields__ if not name.startswith("_"))
_public_values = attrgetter(*_PUBLIC_FIELDS)


class Queue(Generic[P, S]):
    """The name of a queue and the types of its jobs. Declare it once, for producers and workers.

    `payload` and `state` take a dataclass, attrs class, TypedDict, NamedTuple, msgspec Struct,
    pydantic model, enum, datetime, UUID, a container or union of these, or a `Codec`. A type that
    cannot be written as JSON and read back raises `TypeError` here. Without types, payload and
    state are plain JSON. With only a payload type, type checkers infer that the state is `None`.
    """

    __slots__ = ("_payload", "_state", "_type_forms", "name")

    @overload
    def __init__(self: "Queue[T, None]", name: str, payload: type[T] | Codec[T]) -> None: ...
    @overload
    def __init__(self: "Queue[T, None]", name: str, payload: TypeForm[T]) -> None: ...
    @overload
    def __init__(
        self, name: str, payload: type[P] | Codec[P] = ..., *, state: type[S] | Codec[S] = ...
    ) -> None: ...
    @overload
    def __init__(
        self, name: str, payload: type[P] | Codec[P] = ..., *, state: TypeForm[S]
    ) -> None: ...
    @overload
    def __init__(self, name: str, payload: TypeForm[P], *, state: type[S] | Codec[S]) -> None: ...
    @overload
    def __init__(self, name: str, payload: TypeForm[P], *, state: TypeForm[S]) -> None: ...
    def __init__(self, name: str, payload: Any = Any, *, state: Any = Any) -> None:
        check_queue(name)
        self.name: str = name
        self._type_forms = (payload, state)
        self._payload: TextCodec[P] = text_codec(payload)
        self._state: TextCodec[S] = text_codec(state)

    def __reduce__(self) -> tuple[object, ...]:
        return _declare, (self.name, *self._type_forms)

    def __repr__(self) -> str:
        return f"Queue({self.name!r})"

    def job(
        self,
        id: str,
        payload: P,
        *,
        state: S | None = None,
        timeout: int | timedelta = 60,
        max_retries: int | None = None,
        run_at: datetime | None = None,
        delay: float | timedelta | None = None,
    ) -> Job[P, S]:
        """Return a job for this queue; `enqueue` sends it.

        `timeout` is in whole seconds; a timedelta is rounded up. The job may run from `run_at` on,
        or after `delay` seconds from now by the clock of this machine, or else at once. Arguments
        that no server accepts raise `ValueError` or `TypeError`. Payload and state are checked when
        the job is sent.
        """
        if isinstance(timeout, timedelta):
            timeout = ceil(timeout.total_seconds())
        if delay is not None:
            check_exclusive(run_at, delay)
            run_at = add_delay(datetime.now(UTC), delay, self.name, id)
        job: Job[P, S] = Job(
            queue=self.name,
            id=id,
            payload=payload,
            state=state,
            timeout=timeout,
            max_retries=max_retries,
            run_at=run_at,
            _types=self,
        )
        check_job(job)
        return job


def as_queue(queue: Queue[P, S] | str) -> Queue[P, S]:
    """Return a queue; a name becomes a queue of plain JSON."""
    check_type("expected a Queue or the name of one", queue, (Queue, str))
    return Queue(queue) if isinstance(queue, str) else queue


def check_job(job: Job) -> None:
    """Raise `ValueError` or `TypeError` for an invalid job. Payload and state are not checked."""
    check_type("expected a Job", job, Job, "create one with Queue.job(id, payload)")
    check_key(job.queue, job.id)
    check_int_range("timeout", job.timeout, 0, 2**31 - 1, job.queue, job.id)
    if job.max_retries is not None:
        check_int_range("max_retries", job.max_retries, 0, MAX_RETRIES, job.queue, job.id)
    if job.run_at is not None:
        to_utc("run_at", job.run_at, job.queue, job.id)


def to_raw(job: Job) -> RawJob:
    """Check a job and encode it; raise `ValueError`, `TypeError` or `PayloadError`."""
    check_job(job)
    queue = job._types or Queue(job.queue)
    return RawJob(
        queue=job.queue,
        id=job.id,
        timeout=job.timeout,
        max_retries=job.max_retries,
        payload=_write(queue._payload, "payload", job.queue, job.id, job.payload),
        state=write_state(queue, job.id, job.state),
        run_at=job.run_at and job.run_at.astimezone(UTC),
    )


def write_state(queue: Queue[Any, S], id: str, state: S | None) -> msgspec.Raw:
    """Encode a state as JSON, or raise `PayloadError`."""
    return NULL if state is None else _write(queue._state, "state", queue.name, id, state)


def from_raw(queue: Queue[P, S], raw: RawJob) -> Job[P, S]:
    """Decode a received job, or raise `PayloadError`."""
    _, state = unwrap(raw.state)
    job: Job[P, S] = Job(
        queue=raw.queue,
        id=raw.id,
        payload=_read(queue._payload, "payload", raw, raw.payload),
        state=None if state == NULL else _read(queue._state, "state", raw, state),
        timeout=raw.timeout,
        max_retries=raw.max_retries,
        run_at=raw.run_at,
        updated_at=raw.updated_at,
        created_at=raw.created_at,
        run_id=raw.run_id,
        retries_remaining=raw.retries_remaining,
        _types=queue,
    )
    return job


def _declare(name: str, payload: Any, state: Any) -> Queue[Any, Any]:
    """Return the queue of a pickle, whose `__init__` takes `state` by name only."""
    return Queue(name, payload, state=state)


def _read(codec: TextCodec[T], what: str, job: RawJob, text: msgspec.Raw) -> T:
    try:
        return codec.read(text)
    except CodecError as error:
        raise PayloadError(job.queue, job.id, what, str(error), bytes(text)) from error


def _write(codec: TextCodec[T], what: str, queue: str, id: str, value: T) -> msgspec.Raw:
    try:
        return msgspec.Raw(codec.write(value))
    except CodecError as error:
        raise PayloadError(queue, id, what, str(error), None) from error
