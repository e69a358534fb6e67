CREATE TABLE jobs (
    queue             TEXT    NOT NULL,
    id                TEXT    NOT NULL,
    timeout           INTEGER NOT NULL,  -- seconds
    max_retries       INTEGER,           -- NULL: without limit
    retries_remaining INTEGER,           -- NULL: without limit
    payload           TEXT    NOT NULL,  -- JSON
    state             TEXT,              -- JSON
    run_id            TEXT,              -- NOT NULL exactly when in flight
    expires_at        INTEGER,           -- this and the following: microseconds since 1970 UTC
    run_at            INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    created_at        INTEGER NOT NULL,
    UNIQUE (queue, id)
) STRICT;

-- Each holds only the jobs it is asked for, so scheduled jobs cost a poll nothing.
CREATE INDEX jobs_ready ON jobs (queue, run_at) WHERE run_id IS NULL;
CREATE INDEX jobs_leased ON jobs (expires_at) WHERE run_id IS NOT NULL;
