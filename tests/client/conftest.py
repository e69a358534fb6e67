"""The fixtures of clients that need no network."""

from ..support.fixtures import anyio_backend, app, certificate, clock, connect, kind, relay

__all__ = ["anyio_backend", "app", "certificate", "clock", "connect", "kind", "relay"]
