"""Build jobs from the records of the input."""

from hashlib import blake2b
from typing import Any

import msgspec
from attrs import frozen
from msgspec import UNSET, Raw, UnsetType

from relay_sdk._protocol.models import Moment
from relay_sdk.cli.errors import UsageError
from relay_sdk.cli.input_reader import Record
from relay_sdk.job import NULL, Job, Queue


class _Line(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A whole job. The output of `next` and `get` is valid too."""

    id: str
    payload: Raw
    state: Raw = NULL
    timeout: int | UnsetType = UNSET
    max_retries: int | None | UnsetType = UNSET
    run_at: Moment | None = None
    # In the output of `next` and `get`, but set by the server or by the QUEUE argument: ignored.
    queue: Any = None
    updated_at: Any = None
    created_at: Any = None
    run_id: Any = None
    retries_remaining: Any = None


PAYLOAD_HINT = ". If each line or element is only a payload, pass --payload"

_line = msgspec.json.Decoder(_Line)
_fields = msgspec.json.Decoder(dict[str, Raw])
_id: msgspec.json.Decoder[str | int] = msgspec.json.Decoder(str | int)


@frozen(kw_only=True)
class JobBuilder:
    """Builds jobs of one queue. `timeout` and `max_retries` are for records without their own."""

    queue: Queue[Raw, Raw]
    timeout: int
    max_retries: int | None
    payload: bool
    id_field: str | None
    id_prefix: str

    def build(self, record: Record) -> Job[Raw, Raw]:
        """Return the job of a record, or raise `UsageError`."""
        try:
            return self._from_payload(record) if self.payload else self._from_line(record)
        except (ValueError, TypeError, RecursionError) as error:
            hint = "" if self.payload or _is_job(record) else PAYLOAD_HINT
            raise UsageError(f"{record.position}: {error}{hint}") from error

    def _from_line(self, record: Record) -> Job[Raw, Raw]:
        line = _line.decode(record.text)
        return self.queue.job(
            line.id,
            line.payload,
            state=line.state,
            timeout=self.timeout if line.timeout is UNSET else line.timeout,
            max_retries=self.max_retries if line.max_retries is UNSET else line.max_retries,
            run_at=line.run_at,
        )

    def _from_payload(self, record: Record) -> Job[Raw, Raw]:
        payload = msgspec.json.decode(record.text, type=Raw)
        return self.queue.job(
            self.id_prefix + self._payload_id(record),
            payload,
            timeout=self.timeout,
            max_retries=self.max_retries,
        )

    def _payload_id(self, record: Record) -> str:
        """Return the id in the payload, or derive one that is the same in every run."""
        if self.id_field is None:
            text = f"{record.position}: ".encode() + record.text
            return blake2b(text, digest_size=16).hexdigest()
        value = _fields.decode(record.text).get(self.id_field)
        if value is None:
            raise ValueError(f"the payload has no field {self.id_field!r} to take the id from")
        return str(_id.decode(value))


def _is_job(record: Record) -> bool:
    """Return whether --payload would not help: it has a payload field, or is not valid JSON."""
    try:
        return "payload" in _fields.decode(record.text)
    except msgspec.ValidationError:
        return False
    except (ValueError, RecursionError):
        return True
