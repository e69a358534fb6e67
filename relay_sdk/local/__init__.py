"""The bundled server: Relay's protocol, versions 1 and 2, over one SQLite file or PostgreSQL.

It is stricter than the real server in five things, which no client depends on and which hide
mistakes: HEAD on a queue's jobs is 405 and claims nothing; bytes after the JSON value of a body
are refused; a job written as an array is refused; there is an answer where the real server drops
the connection; and a NUL in the queue of a `next` is 400, not 500.

Limits of its own: HTTP/1.1 alone; the years 1 to 9999; JSON nested 500 levels deep; of the
zone names in a version 1 date, the common ones.
"""

from .answers import Response
from .app import App
from .routes import ROUTES
from .server import LocalServer

__all__ = ["ROUTES", "App", "LocalServer", "Response"]
