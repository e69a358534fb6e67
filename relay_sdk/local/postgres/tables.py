"""The tables of Relay v0.2.0: made where there are none, and otherwise left as they are."""

import logging
from importlib import resources

import psycopg

from .connection import Connection

log: logging.Logger = logging.getLogger("relay_sdk.local")

MIGRATING = 13
"""The advisory lock that Relay holds while it migrates."""

MIGRATIONS = {"1678464484380_initialize.sql", "1697429987001_v2.sql"}
TABLES = {"_relay_rs_migrations", "internal_state", "jobs"}
COLUMNS = {
    "queue", "id", "timeout", "max_retries", "retries_remaining", "data", "state", "in_flight",
    "run_id", "expires_at", "updated_at", "created_at", "run_at",
}  # fmt: skip

# What an extension brought is nobody's.
_TABLES = """
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = to_regnamespace(quote_ident(current_schema()))
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')"""

_COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = 'jobs'::regclass AND attnum > 0 AND NOT attisdropped"""


def prepare(connection: Connection, name: str) -> None:
    """See that the tables are there.

    Raise ValueError, and change nothing, where something else has its tables.
    """
    if _are_there(connection, name):
        return
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [MIGRATING])
        if not _are_there(connection, name):  # no one else was faster
            _create(connection)


def _are_there(connection: Connection, name: str) -> bool:
    found = {table for (table,) in connection.execute(_TABLES)}
    if not found:
        return False
    if not found >= TABLES:
        raise ValueError(f"the {name} is that of another program, or its schema is")
    migrations = {row[0] for row in connection.execute("SELECT name FROM _relay_rs_migrations")}
    columns = {column for (column,) in connection.execute(_COLUMNS)}
    if not (migrations >= MIGRATIONS and columns >= COLUMNS):
        raise ValueError(
            f"the {name} has tables of another Relay than 0.2: let that version migrate them first"
        )
    return True


def _create(connection: Connection) -> None:
    try:
        with connection.transaction():
            connection.execute('CREATE EXTENSION IF NOT EXISTS "uuid-ossp"')
    except psycopg.Error as error:
        log.info(
            "Goes on without the extension uuid-ossp (%s), which Relay itself would want: "
            'CREATE EXTENSION "uuid-ossp"',
            error.diag.message_primary,
        )
    schema = resources.files("relay_sdk.local.postgres").joinpath("schema.sql").read_text("utf-8")
    for statement in schema.split(";"):
        connection.execute(statement.encode())


def warn(connection: Connection, name: str) -> None:
    """Say what of the database's settings may cost jobs, or shifts Relay's moments."""
    rows = connection.execute(
        "SELECT name, setting, reset_val FROM pg_settings "
        "WHERE name IN ('synchronous_commit', 'fsync', 'TimeZone')"
    )
    settings = {row[0]: row for row in rows}
    for setting in ("synchronous_commit", "fsync"):
        if settings[setting][1] == "off":
            log.warning(
                "The %s has %s off: a crash can lose jobs that were acknowledged", name, setting
            )
    zone = settings["TimeZone"][2]
    if zone not in ("UTC", "Etc/UTC", "GMT"):
        log.warning(
            "The %s has TimeZone %s. This server does not mind, but Relay beside it would shift "
            "its moments: ALTER DATABASE ... SET TimeZone = 'UTC'",
            name,
            zone,
        )
