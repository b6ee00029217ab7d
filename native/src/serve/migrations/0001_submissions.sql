-- Tokens and submissions. Only TEXT and BIGINT, so that one text serves SQLite and PostgreSQL; what is absent is '' or 0.
-- Times are milliseconds since 1970, UTC.
CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    scope TEXT NOT NULL,
    submitter TEXT NOT NULL,
    created BIGINT NOT NULL,
    last_used BIGINT NOT NULL,
    revoked BIGINT NOT NULL
);

CREATE TABLE submissions (
    id TEXT NOT NULL PRIMARY KEY,
    submitter TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    -- 1 once all bytes have come and are those of the digest.
    complete BIGINT NOT NULL,
    created BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    -- Why it was refused or rejected.
    reason TEXT NOT NULL,
    -- What was verified, as JSON.
    record TEXT NOT NULL
);

CREATE INDEX submissions_by_state ON submissions (state, created);
CREATE INDEX submissions_by_sha256 ON submissions (sha256);
-- One accepted submission has a name: its folder.
CREATE UNIQUE INDEX accepted_names ON submissions (submitter, name) WHERE state = 'accepted';
