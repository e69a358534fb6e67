"""How a client waits and retries, and which version of the API it speaks."""

from typing import Literal, TypeAlias

from attrs import define

from relay_sdk._clock import Clock
from relay_sdk._wire.api import Api
from relay_sdk.backoff import Backoff

ApiChoice: TypeAlias = Literal["auto", "v1", "v2"]


@define
class Policy:
    """What the flows of one client share. `api` is filled in by the first of them."""

    next_backoff: Backoff
    retry_backoff: Backoff
    clock: Clock
    choice: ApiChoice
    api: Api | None = None
