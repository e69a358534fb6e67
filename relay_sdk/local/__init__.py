"""The bundled server: Relay's protocol, versions 1 and 2, on one SQLite file or PostgreSQL.

`http` parses a request, `access` admits it, `batch_executor` executes it in a batch of `app`, and
`long_polls` keeps it waiting until there are jobs. `routes` finds its handler in `v1` or `v2`.
`sqlite` and `postgres` store the jobs, and `dashboard` serves the page and the metrics.
docs/local-server.md lists the differences from the real server.
"""

from .app import App
from .responses import Response
from .routes import ROUTES
from .server import LocalServer

__all__ = ["ROUTES", "App", "LocalServer", "Response"]
