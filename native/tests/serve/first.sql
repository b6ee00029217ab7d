-- A database as the first migration alone left it; the digest of that migration is in it, so its text cannot change.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO _sqlx_migrations VALUES(1,'submissions','2026-11-27 02:11:20',1,X'dda659993a7565d7661ae7d2c03fb49a7b7bc09b19ce1d621ef6218e7bf5d177337815e13b808f45830fb4d354e76a29',1561358);
CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    scope TEXT NOT NULL,
    submitter TEXT NOT NULL,
    created BIGINT NOT NULL,
    last_used BIGINT NOT NULL,
    revoked BIGINT NOT NULL
);
INSERT INTO tokens VALUES('00112233aabbccdd','5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef','submit','ada',1700000000000,1700000100000,0);
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
INSERT INTO submissions VALUES('a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1','ada','first-run','accepted','aa1ae7b8d0d6f1c2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f80911',4321,1,1700000001000,1700000009000,'','{"passed":["9 members are what its table of contents says"],"skipped":[],"seconds":1.5}');
INSERT INTO submissions VALUES('b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2','ada','second-run','refused','bb1ae7b8d0d6f1c2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f80911',99,1,1700000002000,1700000008000,'the bundle is cut','');
CREATE INDEX submissions_by_state ON submissions (state, created);
CREATE INDEX submissions_by_sha256 ON submissions (sha256);
CREATE UNIQUE INDEX accepted_names ON submissions (submitter, name) WHERE state = 'accepted';
COMMIT;
