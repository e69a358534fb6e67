CREATE TABLE jobs (
    id                VARCHAR(1024) NOT NULL,
    queue             VARCHAR(1024) NOT NULL,
    timeout           INTERVAL      NOT NULL,
    max_retries       SMALLINT,                 -- NULL: without limit
    retries_remaining SMALLINT,                 -- NULL: without limit
    data              JSONB         NOT NULL,   -- the payload
    state             JSONB,
    in_flight         BOOLEAN       DEFAULT FALSE,
    expires_at        TIMESTAMP,                -- this and the following: UTC
    updated_at        TIMESTAMP     NOT NULL,
    created_at        TIMESTAMP     NOT NULL,
    run_at            TIMESTAMP     NOT NULL,
    run_id            UUID,
    PRIMARY KEY (queue, id)
);

CREATE INDEX idx_queue_in_flight_created_at ON jobs (queue, in_flight, run_at);
CREATE INDEX idx_queue_expires_remain ON jobs (in_flight, expires_at, retries_remaining);

CREATE TABLE internal_state (id VARCHAR PRIMARY KEY, last_run TIMESTAMP NOT NULL);
INSERT INTO internal_state (id, last_run) VALUES ('reap', now() AT TIME ZONE 'UTC');

CREATE TABLE _relay_rs_migrations (name VARCHAR PRIMARY KEY, applied_at TIMESTAMP NOT NULL);
INSERT INTO _relay_rs_migrations (name, applied_at) VALUES
    ('1678464484380_initialize.sql', now() AT TIME ZONE 'UTC'),
    ('1697429987001_v2.sql', now() AT TIME ZONE 'UTC')
