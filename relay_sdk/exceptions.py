"""The errors of the SDK.

RelayError
├── RetryableError          temporary; the SDK retries the request as `retry_backoff` says
│   ├── TransportError      no usable reply: unreachable, timed out, cut off, unreadable
│   └── ServerBusyError     408, 429, 500 and above, or the server's database is down
├── RequestRejectedError    400, 413, 415, 422: the server rejected the request
├── UnexpectedStatusError   any other status that is an error
├── UnsupportedError        the API version of this server does not support it
├── ClientStateError        the client is closed, or belongs to another process or event loop
├── JobExistsError          409: a job with this id is already in the queue
├── JobNotFoundError        404: the job does not exist
├── JobLostError            the job is no longer held by this worker
└── PayloadError            a payload or state does not match its type

Invalid arguments (an empty id, a naive datetime, a negative timeout) raise `ValueError` or
`TypeError` before anything is sent.
"""

REFUSALS = {429, 503}
"""Statuses with which a busy server refuses a request without executing it."""


def printable(text: str) -> str:
    """Escape characters that control a terminal, break the line or reverse the text."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


class RelayError(Exception):
    """Base class of the errors of this SDK.

    The message is one line that is safe to print. Errors can be pickled. `sent` is true if the
    server may have received one of the requests and executed it.
    """

    sent: bool = False

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))

    def __reduce__(self) -> tuple[object, ...]:
        # Bypass `__init__`, which has different parameters in most subclasses.
        return RelayError.__new__, (type(self), *self.args), self.__dict__


class RetryableError(RelayError):
    """Base class of temporary errors. The SDK retries the request as `retry_backoff` says."""


class TransportError(RetryableError):
    """No valid reply arrived, after all retries that `retry_backoff` allows."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class _StatusError(RelayError):
    """A reply with an error status. `message` is the text that the server sent."""

    def __init__(self, description: str, status: int, message: str, advice: str = "") -> None:
        text = f"{description}: the server answered {status}"
        text += f": {message}" if message else ", without a message"
        super().__init__(f"{text.rstrip('.')}. {advice}" if advice else text)
        self.status = status
        self.message = message


class ServerBusyError(_StatusError, RetryableError):
    """The server cannot process the request now, after all retries that `retry_backoff` allows.

    `retry_after` is the server's `Retry-After` in seconds, or 0.
    """

    def __init__(
        self, description: str, status: int, message: str, retry_after: float = 0.0
    ) -> None:
        super().__init__(description, status, message, "Try again later")
        self.sent: bool = status not in REFUSALS
        self.retry_after = retry_after


class RequestRejectedError(_StatusError):
    """The server rejected the request, and would reject it again."""


class UnexpectedStatusError(_StatusError):
    """A status that Relay does not send here. Check `base_url`, the token and proxies."""


class UnsupportedError(RelayError):
    """The API version of this server does not support the operation. Nothing was sent."""


class ClientStateError(RelayError):
    """The client is closed, or its `http_client` belongs to another process or event loop.

    A retry does not help. Create a client, or an `http_client`, in this process or event loop.
    """


class _JobError(RelayError):
    """Base class of the errors of one job, identified by `queue` and `id`."""

    def __init__(self, queue: str, id: str, message: str) -> None:
        super().__init__(message)
        self.queue = queue
        self.id = id


class JobExistsError(_JobError):
    """A job with this id is in the queue, waiting or running. Nothing was changed.

    If `sent` is true, it may be the job that you enqueued: the reply to an earlier attempt was
    lost, and the job has changed since.
    """

    def __init__(self, queue: str, id: str) -> None:
        advice = "use another id, or enqueue with mode 'ignore' or 'replace'"
        super().__init__(queue, id, f"job {id!r} already exists in queue {queue!r}: {advice}")


class JobNotFoundError(_JobError):
    """The queue has no job with this id: it was never enqueued, was completed or was deleted."""

    def __init__(self, queue: str, id: str) -> None:
        reason = "it was never enqueued, was completed, or ran out of retries"
        super().__init__(queue, id, f"job {id!r} not found in queue {queue!r}: {reason}")


class JobLostError(_JobError):
    """The job is no longer held by this worker: it was deleted, completed or claimed again.

    Stop working on it. The helper can no longer change the job.
    """

    def __init__(self, queue: str, id: str, reason: str) -> None:
        message = f"job {id!r} in queue {queue!r} is no longer held by this worker: {reason}"
        super().__init__(queue, id, message)
        self.reason = reason


class PayloadError(_JobError):
    """A payload or state does not match its declared type, or cannot be written as JSON.

    `raw` is the JSON text that was received, or `None` if the value was not sent.
    """

    def __init__(self, queue: str, id: str, what: str, reason: str, raw: bytes | None) -> None:
        super().__init__(queue, id, f"{what} of job {id!r} in queue {queue!r}: {reason}")
        self.raw = raw
