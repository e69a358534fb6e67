"""The bundled server: Relay's protocol, versions 1 and 2, over one SQLite file or PostgreSQL.

A request is read by `http`, let in by `guard`, and answered by `app` in a turn of `turns`, which
may hold it (`holds`) until there are jobs. `routes` finds its handler in `v1` or `v2`, and `store`
keeps the jobs. Where it differs from the real server, docs/local-server.md says so.
"""

from .answers import Response
from .app import App
from .routes import ROUTES
from .server import LocalServer

__all__ = ["ROUTES", "App", "LocalServer", "Response"]
