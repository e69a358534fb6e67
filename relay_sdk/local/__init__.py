"""The bundled server: Relay's protocol over one SQLite file."""

from .answers import Response
from .app import App
from .routes import ROUTES
from .server import LocalServer

__all__ = ["ROUTES", "App", "LocalServer", "Response"]
