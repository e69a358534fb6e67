"""What can go wrong.

RelayError
├── TransportError          no usable reply: refused, timed out, cut off, unreadable     (retried)
├── ServerBusyError         408, 429, 500 and above, or its database is away             (retried)
├── RequestRejectedError    400, 413, 415, 422: the server refuses this request
├── UnexpectedStatusError   any other status that is an error
├── UnsupportedError        this server or API version cannot do that
├── UnusableClientError     the client is closed, or is another process's or event loop's
├── JobExistsError          409: a job with this id is already in the queue
├── JobNotFoundError        404: no such job
├── JobLostError            the job is no longer ours
└── PayloadError            a payload or state that does not fit its type

Arguments that can never be right (an empty id, a naive datetime, a negative timeout) are not in
this tree: they raise `ValueError` or `TypeError` before anything is sent.
"""

REFUSALS = {429, 503}
"""Statuses of a busy server after which it has surely not acted."""


def printable(text: str) -> str:
    """Escape what could move the cursor, break the line or turn the text around."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


class RelayError(Exception):
    """The root of every error that Relay or this SDK reports.

    Its text is one line that is safe to print; errors can be pickled. `sent` tells whether the
    server may have acted on one of the attempts all the same.
    """

    sent: bool = False

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))

    def __reduce__(self) -> tuple[object, ...]:
        # Not by `__init__`, which takes other arguments in most of them.
        return _again, (type(self), self.args), self.__dict__


def _again(cls: type[RelayError], args: tuple[object, ...]) -> RelayError:
    return cls.__new__(cls, *args)


class TransportError(RelayError):
    """No usable reply came. It was retried as often as `retry_backoff` allows."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class _StatusError(RelayError):
    """A reply whose status is an error: `status`, and `message` as the server wrote it."""

    def __init__(self, about: str, status: int, message: str, advice: str = "") -> None:
        text = f"{about}: the server answered {status}"
        text += f": {message}" if message else " without a text"
        super().__init__(f"{text.rstrip('.')}. {advice}" if advice else text)
        self.status = status
        self.message = message


class ServerBusyError(_StatusError):
    """The server cannot answer now. It was retried as often as `retry_backoff` allows.

    `retry_after` is what the server asked for, in seconds, and 0 when it asked for nothing.
    """

    def __init__(self, about: str, status: int, message: str, retry_after: float = 0.0) -> None:
        super().__init__(about, status, message, "Try again later")
        self.sent = status not in REFUSALS
        self.retry_after = retry_after


class RequestRejectedError(_StatusError):
    """The server refuses this request, and would refuse it again."""


class UnexpectedStatusError(_StatusError):
    """A status that Relay does not give: is `base_url` right, is there a proxy between?"""


class UnsupportedError(RelayError):
    """This server, or the API version in use, cannot do that. Nothing was sent."""


class UnusableClientError(RelayError):
    """This client cannot send: it is closed, or its `http_client` is another process's or loop's.

    Trying again does not help; make a client, or an `http_client`, here.
    """


class _JobError(RelayError):
    """An error about one job: `queue` and `id`."""

    def __init__(self, queue: str, id: str, message: str) -> None:
        super().__init__(message)
        self.queue = queue
        self.id = id


class JobExistsError(_JobError):
    """A job with this id is already in the queue, waiting or running. Nothing was changed.

    With `sent` it may be this very job: the reply to an earlier attempt was lost, and the job has
    changed or gone since.
    """

    def __init__(self, queue: str, id: str) -> None:
        super().__init__(
            queue,
            id,
            f"job {id!r} already exists in queue {queue!r}: "
            "take another id, or enqueue with mode 'ignore' or 'replace'",
        )


class JobNotFoundError(_JobError):
    """There is no job with this id in the queue: never enqueued, completed or given up."""

    def __init__(self, queue: str, id: str) -> None:
        super().__init__(
            queue,
            id,
            f"job {id!r} not found in queue {queue!r}: "
            "it was never enqueued, is done, or ran out of retries",
        )


class JobLostError(_JobError):
    """The job is no longer ours: removed, finished, or handed to another worker.

    Stop working on it; nothing that this helper does can reach it any more.
    """

    def __init__(self, queue: str, id: str, reason: str) -> None:
        super().__init__(queue, id, f"job {id!r} in queue {queue!r} is no longer ours: {reason}")
        self.reason = reason


class PayloadError(_JobError):
    """A payload or state does not fit its declared type, or JSON cannot hold it.

    `raw` is the JSON text that came, or `None` when the value was still to be sent.
    """

    def __init__(self, queue: str, id: str, what: str, reason: str, raw: bytes | None) -> None:
        super().__init__(queue, id, f"{what} of job {id!r} in queue {queue!r}: {reason}")
        self.raw = raw
