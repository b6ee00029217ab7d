-- Who changed what, and a digest of the rows that a bundle holds: packing it anew changes its sha256, and not its rows.
CREATE TABLE audit (
    seq BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    detail TEXT NOT NULL
);

ALTER TABLE submissions ADD COLUMN content TEXT NOT NULL DEFAULT '';
CREATE INDEX submissions_by_content ON submissions (content);

-- Submissions from before the log: their present state is all that is known.
INSERT INTO audit (seq, at, actor, action, subject, before, after, detail)
SELECT ROW_NUMBER() OVER (ORDER BY created, id), changed, 'migration', 'submission', id, '', state, 'before the log began'
FROM submissions;
