from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

T = TypeVar("T", bound="JobV1")


@_attrs_define
class JobV1:
    """A job as v1 shows it, with every field. Another field would be new to the description; a generated reader skips it.

    Attributes:
        id (str):
        queue (str):
        timeout (int): Seconds. relay-rs shows a negative one as it was sent.
        max_retries (int): Any negative number is without limit; relay shows -1 for it.
        payload (Any): The JSON as it was enqueued, in value. relay-rs and relay reorder the keys of objects and keep
            the last of equal ones.
        state (Any): The state as last saved, or `null`, for want of one too.
        run_at (datetime.datetime): In UTC. A year above 9999 has a plus sign before it, one below 0 a minus sign.
        updated_at (datetime.datetime): When the job was last enqueued, claimed or kept alive, in UTC.
    """

    id: str
    queue: str
    timeout: int
    max_retries: int
    payload: Any
    state: Any
    run_at: datetime.datetime
    updated_at: datetime.datetime

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        queue = self.queue

        timeout = self.timeout

        max_retries = self.max_retries

        payload = self.payload

        state = self.state

        run_at = self.run_at.isoformat()

        updated_at = self.updated_at.isoformat()

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "id": id,
                "queue": queue,
                "timeout": timeout,
                "max_retries": max_retries,
                "payload": payload,
                "state": state,
                "run_at": run_at,
                "updated_at": updated_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = d.pop("id")

        queue = d.pop("queue")

        timeout = d.pop("timeout")

        max_retries = d.pop("max_retries")

        payload = d.pop("payload")

        state = d.pop("state")

        run_at = datetime.datetime.fromisoformat(d.pop("run_at"))

        updated_at = datetime.datetime.fromisoformat(d.pop("updated_at"))

        job_v1 = cls(
            id=id,
            queue=queue,
            timeout=timeout,
            max_retries=max_retries,
            payload=payload,
            state=state,
            run_at=run_at,
            updated_at=updated_at,
        )

        return job_v1
