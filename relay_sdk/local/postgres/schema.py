"""The tables of Relay v0.2.0: created if the database is empty, and never changed."""

import logging
from importlib import resources

import psycopg

from .connection import Connection

log: logging.Logger = logging.getLogger("relay_sdk.local")

MIGRATION_LOCK = 13
"""The advisory lock that Relay holds during its migrations."""

MIGRATIONS = {"1678464484380_initialize.sql", "1697429987001_v2.sql"}
TABLES = {"_relay_rs_migrations", "internal_state", "jobs"}
COLUMNS = {
    "queue", "id", "timeout", "max_retries", "retries_remaining", "data", "state", "in_flight",
    "run_id", "expires_at", "updated_at", "created_at", "run_at",
}  # fmt: skip

# Tables that belong to an extension do not count.
_TABLES = """
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = to_regnamespace(quote_ident(current_schema()))
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')"""

_COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = 'jobs'::regclass AND attnum > 0 AND NOT attisdropped"""


def create_tables(connection: Connection, name: str) -> None:
    """Create the tables if they do not exist.

    Raise ValueError, and change nothing, if the tables are those of another program.
    """
    if _tables_exist(connection, name):
        return
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [MIGRATION_LOCK])
        if not _tables_exist(connection, name):  # another server may have created them first
            _create(connection)


def _tables_exist(connection: Connection, name: str) -> bool:
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
            "Cannot create the extension uuid-ossp (%s). Only Relay itself needs it: "
            'CREATE EXTENSION "uuid-ossp"',
            error.diag.message_primary,
        )
    schema = resources.files("relay_sdk.local.postgres").joinpath("schema.sql").read_text("utf-8")
    for statement in schema.split(";"):
        connection.execute(statement.encode())


def warn_about_settings(connection: Connection, name: str) -> None:
    """Warn about settings that can lose jobs, or that shift the times of Relay."""
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
            "The %s has TimeZone %s. This server is not affected, but Relay on the same database "
            "would shift its times: ALTER DATABASE ... SET TimeZone = 'UTC'",
            name,
            zone,
        )
