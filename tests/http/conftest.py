"""Fixtures for the tests of the transport."""

from ..support.fixtures import anyio_backend, app, certificate, clock, connect, kind, relay

__all__ = ["anyio_backend", "app", "certificate", "clock", "connect", "kind", "relay"]
