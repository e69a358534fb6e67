from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="NewJobV1")


@_attrs_define
class NewJobV1:
    """A job to enqueue or reschedule over v1. The servers ignore other fields, `updated_at` too, but refuse one that is
    not a date.

        Attributes:
            id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer ones.
            queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
            timeout (int): Seconds from the claim, or from the last heartbeat, until the job counts as failed. 0 fails it at
                once. Negative ones are taken for 0. `30.0` is not an integer.
            payload (Any): Any JSON, `null` included, but not absent. Strings cannot hold NUL.
            max_retries (int | Unset): How many times the job is queued again after a timeout, until it is deleted. Negative
                is without limit. Absent is 0: the first timeout deletes the job. relay-rs takes larger numbers, relay cuts them
                to the bound. Default: 0.
            state (Any | Unset): The state the first run starts with, any JSON. Strings cannot hold NUL.
            run_at (datetime.datetime | None | Unset): The job is not handed out before this moment; absent and `null` are
                now. **What the server cannot read is also now, without an error**: send RFC 3339 with seconds and an offset.
    """

    id: str
    queue: str
    timeout: int
    payload: Any
    max_retries: int | Unset = 0
    state: Any | Unset = UNSET
    run_at: datetime.datetime | None | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        queue = self.queue

        timeout = self.timeout

        payload = self.payload

        max_retries = self.max_retries

        state = self.state

        run_at: None | str | Unset
        if isinstance(self.run_at, Unset):
            run_at = UNSET
        elif isinstance(self.run_at, datetime.datetime):
            run_at = self.run_at.isoformat()
        else:
            run_at = self.run_at

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "id": id,
                "queue": queue,
                "timeout": timeout,
                "payload": payload,
            }
        )
        if max_retries is not UNSET:
            field_dict["max_retries"] = max_retries
        if state is not UNSET:
            field_dict["state"] = state
        if run_at is not UNSET:
            field_dict["run_at"] = run_at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = d.pop("id")

        queue = d.pop("queue")

        timeout = d.pop("timeout")

        payload = d.pop("payload")

        max_retries = d.pop("max_retries", UNSET)

        state = d.pop("state", UNSET)

        def _parse_run_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                run_at_type_0 = datetime.datetime.fromisoformat(data)

                return run_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        run_at = _parse_run_at(d.pop("run_at", UNSET))

        new_job_v1 = cls(
            id=id,
            queue=queue,
            timeout=timeout,
            payload=payload,
            max_retries=max_retries,
            state=state,
            run_at=run_at,
        )

        return new_job_v1
