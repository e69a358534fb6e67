from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

from attrs import define as _attrs_define

T = TypeVar("T", bound="JobV2")


@_attrs_define
class JobV2:
    """A job as v2 shows it, with every field. Another field would be new to the description; a generated reader skips it.

    Attributes:
        queue (str):
        id (str):
        timeout (int): Seconds.
        max_retries (int | None): `null` is without limit.
        retries_remaining (int | None): How many timeouts the job survives from here. `null` is without limit.
        payload (Any): The JSON as it was enqueued, in value. relay reorders the keys of objects and keeps the last of
            equal ones.
        state (Any): The state as last saved, or `null`, for want of one too.
        run_id (None | UUID): The current run. `null` exactly when the job is queued.
        run_at (datetime.datetime): In UTC. A year above 9999 has a plus sign before it, one below 0 a minus sign.
        updated_at (datetime.datetime): When the job was last enqueued, claimed or kept alive, in UTC.
        created_at (datetime.datetime): When the job was first enqueued, in UTC.
    """

    queue: str
    id: str
    timeout: int
    max_retries: int | None
    retries_remaining: int | None
    payload: Any
    state: Any
    run_id: None | UUID
    run_at: datetime.datetime
    updated_at: datetime.datetime
    created_at: datetime.datetime

    def to_dict(self) -> dict[str, Any]:
        queue = self.queue

        id = self.id

        timeout = self.timeout

        max_retries: int | None
        max_retries = self.max_retries

        retries_remaining: int | None
        retries_remaining = self.retries_remaining

        payload = self.payload

        state = self.state

        run_id: None | str
        if isinstance(self.run_id, UUID):
            run_id = str(self.run_id)
        else:
            run_id = self.run_id

        run_at = self.run_at.isoformat()

        updated_at = self.updated_at.isoformat()

        created_at = self.created_at.isoformat()

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "queue": queue,
                "id": id,
                "timeout": timeout,
                "max_retries": max_retries,
                "retries_remaining": retries_remaining,
                "payload": payload,
                "state": state,
                "run_id": run_id,
                "run_at": run_at,
                "updated_at": updated_at,
                "created_at": created_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        queue = d.pop("queue")

        id = d.pop("id")

        timeout = d.pop("timeout")

        def _parse_max_retries(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        max_retries = _parse_max_retries(d.pop("max_retries"))

        def _parse_retries_remaining(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        retries_remaining = _parse_retries_remaining(d.pop("retries_remaining"))

        payload = d.pop("payload")

        state = d.pop("state")

        def _parse_run_id(data: object) -> None | UUID:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                run_id_type_0 = UUID(data)

                return run_id_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | UUID, data)

        run_id = _parse_run_id(d.pop("run_id"))

        run_at = datetime.datetime.fromisoformat(d.pop("run_at"))

        updated_at = datetime.datetime.fromisoformat(d.pop("updated_at"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        job_v2 = cls(
            queue=queue,
            id=id,
            timeout=timeout,
            max_retries=max_retries,
            retries_remaining=retries_remaining,
            payload=payload,
            state=state,
            run_id=run_id,
            run_at=run_at,
            updated_at=updated_at,
            created_at=created_at,
        )

        return job_v2
