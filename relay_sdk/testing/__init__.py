"""Tools for tests: an in-process server, a manual clock, and workers that run step by step."""

from relay_sdk.testing.clock import Clock
from relay_sdk.testing.server import Idle, InProcessServer, transport
from relay_sdk.testing.workers import adrain, drain

__all__ = ["Clock", "Idle", "InProcessServer", "adrain", "drain", "transport"]
