"""The local server as a program."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Never

from .database import is_postgres_url
from .server import LocalServer

PROG = "python -m relay_sdk.local"
LEVELS = ("debug", "info", "warning", "error")
SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
    if hasattr(signal, name)
]


class _Options(argparse.Namespace):
    db: str | None = None
    host: str
    port: int
    reap_interval: float
    log_level: str
    token: str | None
    dashboard: bool = True


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Never:
        self.exit(2, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None, *, prog: str = PROG, epilog: str | None = None) -> int:
    """Serve until a signal; print the URL when the server listens."""
    parser = command_line(prog, epilog)
    options = parser.parse_args(argv, _Options())
    logging.basicConfig(
        level=options.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # the server logs lost connections itself
    for number in SIGNALS:
        signal.signal(number, _stop)
    try:
        server = LocalServer(
            options.db or _database(os.environ),
            host=options.host,
            port=options.port,
            reap_interval=options.reap_interval,
            token=options.token or os.environ.get("RELAY_TOKEN") or None,
            dashboard=options.dashboard,
        ).start()
    except (ImportError, OSError, ValueError) as error:
        parser.error(error.strerror or str(error) if isinstance(error, OSError) else str(error))
    try:
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        server.wait()
    finally:
        server.stop()
    return 1  # without a signal, only a bug ends the server


def _database(environ: Mapping[str, str]) -> str:
    if db := environ.get("RELAY_DB"):
        return db
    url = environ.get("DATABASE_URL", "")  # the variable that Relay itself reads
    return url if is_postgres_url(url) else "relay.db"


def _stop(*_: object) -> Never:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(0)


def command_line(prog: str = PROG, epilog: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = _Parser(
        prog=prog,
        description="Serve Relay's HTTP protocol from an SQLite file or a PostgreSQL database.",
        epilog=epilog,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    environ = os.environ
    parser.add_argument(
        "--db",
        metavar="FILE|URL",
        default=argparse.SUPPRESS,  # the default may contain a password
        help="where the jobs are stored: a file, :memory: (lost at exit), or a postgresql:// URL "
        "($RELAY_DB, a postgresql:// $DATABASE_URL, or relay.db)",
    )
    parser.add_argument(
        "--host",
        default=environ.get("RELAY_HOST", "127.0.0.1"),
        help="the address to listen on ($RELAY_HOST)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=environ.get("HTTP_PORT", "8080"),
        help="the port to listen on; 0 chooses a free one ($HTTP_PORT)",
    )
    parser.add_argument(
        "--reap-interval",
        type=float,
        metavar="SECONDS",
        default=environ.get("REAP_INTERVAL", "5"),
        help="how often to look for timed-out jobs ($REAP_INTERVAL)",
    )
    parser.add_argument(
        "--token",
        help="answer only clients that send this token; other programs can see options, so prefer "
        "$RELAY_TOKEN",
    )
    parser.add_argument(
        "--no-dashboard",
        dest="dashboard",
        action="store_false",
        default=argparse.SUPPRESS,
        help="do not serve the page at / and its API at /local",
    )
    parser.add_argument(
        "--log-level",
        choices=LEVELS,
        type=str.lower,
        default=environ.get("RELAY_LOG", "info"),
        help="debug logs each request ($RELAY_LOG)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
