from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="NewJobV2")


@_attrs_define
class NewJobV2:
    """A job to enqueue over v2. The servers ignore other fields.

    Attributes:
        queue (str): The queue's name, of any characters but NUL. relay-rs takes longer ones.
        id (str): The job's id in its queue, of any characters but NUL. relay-rs takes longer ones.
        timeout (int): Seconds from the claim, or from the last heartbeat, until the job counts as failed. 0 fails it at
            once.
        payload (Any): Any JSON, `null` included, but not absent. Strings cannot hold NUL.
        max_retries (int | None | Unset): How many times the job is queued again after a timeout, until it is deleted.
            `null` and absent are without limit (v1 takes an absent one for 0).
        state (Any | Unset): The state the first run starts with, any JSON. Strings cannot hold NUL.
        run_at (datetime.datetime | None | Unset): The job is not handed out before this moment; absent and `null` are
            now. Seconds and an offset are required.
    """

    queue: str
    id: str
    timeout: int
    payload: Any
    max_retries: int | None | Unset = UNSET
    state: Any | Unset = UNSET
    run_at: datetime.datetime | None | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        queue = self.queue

        id = self.id

        timeout = self.timeout

        payload = self.payload

        max_retries: int | None | Unset
        if isinstance(self.max_retries, Unset):
            max_retries = UNSET
        else:
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
                "queue": queue,
                "id": id,
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
        queue = d.pop("queue")

        id = d.pop("id")

        timeout = d.pop("timeout")

        payload = d.pop("payload")

        def _parse_max_retries(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        max_retries = _parse_max_retries(d.pop("max_retries", UNSET))

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

        new_job_v2 = cls(
            queue=queue,
            id=id,
            timeout=timeout,
            payload=payload,
            max_retries=max_retries,
            state=state,
            run_at=run_at,
        )

        return new_job_v2
