"""How a client waits and retries, and which version of the API it speaks."""

from typing import Literal, TypeAlias

from attrs import define, field, frozen

from relay_sdk._clock import Clock
from relay_sdk._wire.api import Api
from relay_sdk.backoff import Backoff

ApiChoice: TypeAlias = Literal["auto", "v1", "v2"]


@define
class Spoken:
    """The version of the API that was found, once for all who share it."""

    api: Api | None = None


@frozen
class Policy:
    """What the flows of one client share."""

    next_backoff: Backoff
    retry_backoff: Backoff
    clock: Clock
    choice: ApiChoice
    timeout: float = 10.0
    spoken: Spoken = field(factory=Spoken)
