-- The tables of the Celery worker.
CREATE SCHEMA peer;
CREATE TABLE peer.jobs (
  id text PRIMARY KEY, leaver bigint NOT NULL, accepted_at timestamptz NOT NULL DEFAULT now(), completed_at timestamptz,
  left_over bigint
);
CREATE TABLE peer.journal (
  job text NOT NULL, kind text NOT NULL, from_user bigint NOT NULL, to_user bigint NOT NULL, keys bigint[] NOT NULL,
  moved_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX journal_job ON peer.journal (job);
CREATE TABLE peer.copies (job text NOT NULL, kind text NOT NULL, row jsonb NOT NULL, removed_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX copies_job ON peer.copies (job);
CREATE TABLE peer.chunks (
  job text NOT NULL, kind text NOT NULL, number bigint NOT NULL, first bigint NOT NULL, last bigint NOT NULL,
  is_moved boolean NOT NULL DEFAULT false, PRIMARY KEY (job, kind, number)
);
