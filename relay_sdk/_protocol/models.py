"""Jobs as they are sent and received, with payload and state as JSON text."""

from datetime import datetime
from typing import Annotated, Literal, TypeAlias
from uuid import UUID

import msgspec

EnqueueMode: TypeAlias = Literal["unique", "ignore", "replace"]
"""What to do if a job with this id exists: raise an error, keep that job, or replace it."""

Moment: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
Int32: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]


class RawJob(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A job with payload and state as JSON text, not yet decoded.

    API v1 does not send the last three fields.
    """

    queue: str
    id: str
    timeout: Int32
    max_retries: Int32 | None
    payload: msgspec.Raw
    state: msgspec.Raw
    run_at: Moment | None
    updated_at: Moment | None = None
    created_at: Moment | None = None
    run_id: UUID | None = None
    retries_remaining: Int32 | None = None
