-- A second host: an application without foreign keys, with the indexes that its lists and searches need.
CREATE TABLE users (
  id bigint PRIMARY KEY, org_id bigint NOT NULL, name text NOT NULL, email text NOT NULL, status text NOT NULL,
  role text NOT NULL, updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_email ON users (lower(email));
CREATE INDEX users_org ON users (org_id, status);

CREATE TABLE licenses (id bigserial PRIMARY KEY, org_id bigint NOT NULL, user_id bigint);
CREATE UNIQUE INDEX licenses_user ON licenses (user_id);

CREATE TABLE contacts (
  id bigserial PRIMARY KEY, org_id bigint NOT NULL, owner_id bigint NOT NULL, name text NOT NULL, email text NOT NULL,
  company text NOT NULL, phone text, created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX contacts_owner ON contacts (owner_id);
CREATE INDEX contacts_recent ON contacts (org_id, owner_id, updated_at);
CREATE INDEX contacts_email ON contacts (org_id, lower(email));
CREATE INDEX contacts_company ON contacts (org_id, company);

CREATE TABLE leads (
  id bigserial PRIMARY KEY, org_id bigint NOT NULL, owner_id bigint NOT NULL, name text NOT NULL, stage text NOT NULL,
  value numeric(12, 2) NOT NULL DEFAULT 0, created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX leads_owner ON leads (owner_id);
CREATE INDEX leads_stage ON leads (org_id, stage, owner_id);

CREATE TABLE tasks (
  id bigserial PRIMARY KEY, org_id bigint NOT NULL, owner_id bigint NOT NULL, title text NOT NULL, status text NOT NULL,
  due_on date, completed_at timestamptz, updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX tasks_owner ON tasks (owner_id, status);
CREATE INDEX tasks_due ON tasks (org_id, due_on) WHERE status = 'pending';

CREATE TABLE notes (
  id bigserial PRIMARY KEY, contact_id bigint NOT NULL, author_id bigint NOT NULL, body text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX notes_contact ON notes (contact_id);
CREATE INDEX notes_author ON notes (author_id);

CREATE TABLE follows (
  follower_id bigint NOT NULL, followed_id bigint NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (follower_id, followed_id)
);
CREATE INDEX follows_followed ON follows (followed_id);
