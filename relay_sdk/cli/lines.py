"""A record of the input as a job."""

from hashlib import blake2b
from typing import Any

import msgspec
from attrs import frozen
from msgspec import UNSET, Raw, UnsetType

from relay_sdk._protocol.models import Moment
from relay_sdk.cli.outcome import Mistake
from relay_sdk.cli.records import Record
from relay_sdk.job import NULL, Job, Queue


class _Line(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A whole job. Those that `next` and `get` print may be used again."""

    id: str
    payload: Raw
    state: Raw = NULL
    timeout: int | UnsetType = UNSET
    max_retries: int | None | UnsetType = UNSET
    run_at: Moment | None = None
    # The server's, or said already by the command's own argument.
    queue: Any = None
    updated_at: Any = None
    created_at: Any = None
    run_id: Any = None
    retries_remaining: Any = None


PAYLOAD_HINT = ". If each line or element is a payload, not a whole job: --payload"

_line = msgspec.json.Decoder(_Line)
_fields = msgspec.json.Decoder(dict[str, Raw])
_id: msgspec.json.Decoder[str | int] = msgspec.json.Decoder(str | int)


@frozen(kw_only=True)
class Reading:
    """How records become jobs of a queue, and what they are if they do not say."""

    queue: Queue[Raw, Raw]
    timeout: int
    max_retries: int | None
    payload: bool
    id_field: str | None
    id_prefix: str

    def job(self, record: Record) -> Job[Raw, Raw]:
        """Make the job, or raise `Mistake`."""
        try:
            return self._of_payload(record) if self.payload else self._of_line(record)
        except (ValueError, TypeError, RecursionError) as error:
            hint = "" if self.payload or _is_job(record) else PAYLOAD_HINT
            raise Mistake(f"{record.where}: {error}{hint}") from error

    def _of_line(self, record: Record) -> Job[Raw, Raw]:
        line = _line.decode(record.text)
        return self.queue.job(
            line.id,
            line.payload,
            state=line.state,
            timeout=self.timeout if line.timeout is UNSET else line.timeout,
            max_retries=self.max_retries if line.max_retries is UNSET else line.max_retries,
            run_at=line.run_at,
        )

    def _of_payload(self, record: Record) -> Job[Raw, Raw]:
        payload = msgspec.json.decode(record.text, type=Raw)
        return self.queue.job(
            self.id_prefix + self._own_id(record),
            payload,
            timeout=self.timeout,
            max_retries=self.max_retries,
        )

    def _own_id(self, record: Record) -> str:
        """Take the id from the payload, or make one that is the same whenever this is run."""
        if self.id_field is None:
            text = f"{record.where}: ".encode() + record.text
            return blake2b(text, digest_size=16).hexdigest()
        value = _fields.decode(record.text).get(self.id_field)
        if value is None:
            raise ValueError(f"the payload has no field {self.id_field!r} to take the id from")
        return str(_id.decode(value))


def _is_job(record: Record) -> bool:
    """Whether it looks like a whole job, right or wrong, or is no JSON at all."""
    try:
        return "payload" in _fields.decode(record.text)
    except msgspec.ValidationError:
        return False
    except (ValueError, RecursionError):
        return True
