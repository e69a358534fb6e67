"""For tests: a server in the same process, a clock that you move, and workers run step by step."""

from relay_sdk.testing.clock import Clock
from relay_sdk.testing.server import Idle, InProcessServer, transport
from relay_sdk.testing.workers import adrain, drain

__all__ = ["Clock", "Idle", "InProcessServer", "adrain", "drain", "transport"]
