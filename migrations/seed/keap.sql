-- The Keap help page's own example: user 53 leaves, owning 104 contacts, 92 leads and 12 pending tasks.
-- {records} stands for the 104; everything large grows in proportion to it. The same text runs on PostgreSQL and
-- SQLite, over an empty reference CRM; statements end with a semicolon at a line's end. As some ids are given here,
-- run postgres_sequences.sql after it on PostgreSQL.

INSERT INTO organizations (id, name) VALUES
    (1, 'Alwayshelpful'),
    (2, 'Another Company');

-- On the page's screenshot 53 is Phillip Michieli, with the P of a partner. A partner frees no license, and the demo
-- is to show one freed, so 53 is somebody else here, and Phillip Michieli is 54.
INSERT INTO users
    (id, org_id, name, username, email, title, status, role, manager_id, is_partner, can_manage_team)
VALUES
    (1, 1, 'Nicole Hart', 'nicole.hart', 'nicole@example.com', 'Owner', 'active', 'admin', NULL, FALSE, TRUE),
    (12, 1, 'Amanda Madsen', 'amanda.madsen', 'amanda@example.com', 'Head of Sales', 'active', 'manager', 1, FALSE, TRUE),
    (11, 1, 'Alwayshelpful Support', 'support', 'support@example.com', 'Support', 'active', 'member', 1, FALSE, FALSE),
    (13, 1, 'Geraldine Vaughn', 'geraldine.vaughn', 'geraldine@example.com', 'Sales', 'active', 'member', 12, FALSE, FALSE),
    (14, 1, 'Mathew Magwood', 'mathew.magwood', 'mathew@example.com', 'Marketing', 'active', 'member', 1, FALSE, FALSE),
    (15, 1, 'Priya Raman', 'priya.raman', 'priya@example.com', 'Sales, West', 'active', 'member', 12, FALSE, FALSE),
    (16, 1, 'Lucas Ferreira', 'lucas.ferreira', 'lucas@example.com', 'Sales, West', 'active', 'member', 12, FALSE, FALSE),
    (17, 1, 'Ingrid Solberg', 'ingrid.solberg', 'ingrid@example.com', 'Sales, West', 'active', 'member', 12, FALSE, FALSE),
    (21, 1, 'Tessa Randall', 'tessa.randall', 'tessa@example.com', NULL, 'invited', 'member', 12, FALSE, FALSE),
    (31, 1, 'Omar Haddad', 'omar.haddad', 'omar@example.com', 'Sales', 'inactive', 'member', 12, FALSE, FALSE),
    (53, 1, 'Dana Whitfield', 'dana.whitfield', 'dana@example.com', 'Sales', 'active', 'member', 12, FALSE, FALSE),
    (54, 1, 'Phillip Michieli', 'phillip.michieli', 'phillip@example.com', 'Partner', 'active', 'member', NULL, TRUE, FALSE),
    (201, 2, 'Ruth Adler', 'ruth.adler', 'ruth@example.org', 'Owner', 'active', 'admin', NULL, FALSE, TRUE);

INSERT INTO primary_administrators (org_id, user_id) VALUES
    (1, 1),
    (2, 201);

UPDATE users SET deactivated_at = CURRENT_TIMESTAMP WHERE status = 'inactive';

INSERT INTO invitations (org_id, user_id, invited_by, email, status, answered_at) VALUES
    (1, 53, 1, 'dana@example.com', 'accepted', CURRENT_TIMESTAMP),
    (1, 21, 53, 'tessa@example.com', 'open', NULL);

-- A seat for everyone active who is no partner, and one that nobody sits in.
INSERT INTO licenses (org_id, user_id)
SELECT org_id, id FROM users WHERE status = 'active' AND NOT is_partner ORDER BY id;

INSERT INTO licenses (org_id) VALUES (1);

INSERT INTO sessions (id, user_id, ip_address) VALUES
    ('5f0c53a1-laptop', 53, '192.0.2.53'),
    ('9be253b7-phone', 53, '198.51.100.53'),
    ('1d4411c9-desk', 11, '192.0.2.11');

INSERT INTO api_tokens (user_id, name, token_hash) VALUES
    (53, 'spreadsheet export', 'sha256:53aa'),
    (1, 'nightly backup', 'sha256:01bb');

-- The page's FAQ: who is not listed as a lead's next owner has to be added to the group Sales Rep first. 14 is not in it.
INSERT INTO groups (org_id, name) VALUES
    (1, 'Sales Rep'),
    (1, 'West team');

INSERT INTO group_members (org_id, group_name, user_id) VALUES
    (1, 'Sales Rep', 11),
    (1, 'Sales Rep', 12),
    (1, 'Sales Rep', 13),
    (1, 'Sales Rep', 15),
    (1, 'Sales Rep', 16),
    (1, 'Sales Rep', 17),
    (1, 'Sales Rep', 53),
    (1, 'West team', 15),
    (1, 'West team', 16),
    (1, 'West team', 17);

INSERT INTO follows (follower_id, followed_id) VALUES
    (53, 11),
    (53, 12),
    (53, 54),
    (11, 53),
    (14, 53),
    (15, 53),
    (16, 53),
    (11, 12),
    (12, 11);

-- Of every nine contacts in a row the ninth is somebody else's, so that the leaver's are never one run of ids. The
-- leaver's contact number k has the id i with i - i / 9 = k; the statements below count by that.
INSERT INTO contacts (id, org_id, owner_id, created_by, name, email, company)
WITH RECURSIVE numbers (i) AS (
    SELECT CAST(1 AS bigint) WHERE {records} > 0
    UNION ALL
    SELECT i + 1 FROM numbers WHERE i < CAST({records} AS bigint) + (CAST({records} AS bigint) - 1) / 8
)
SELECT
    i,
    1,
    CASE WHEN i % 9 = 0 THEN 11 + i / 9 % 7 ELSE 53 END,
    CASE WHEN i % 7 = 0 THEN 1 ELSE 53 END,
    'Contact ' || i,
    'contact' || i || '@example.net',
    'Company ' || (i % 1000)
FROM numbers
ORDER BY i;

-- Leads: 92 for 104 contacts, each of its contact's owner.
INSERT INTO opportunities (org_id, owner_id, created_by, contact_id, name, amount)
SELECT org_id, owner_id, created_by, id, 'Lead with ' || name, 100 + id % 400 * 25
FROM contacts
WHERE org_id = 1 AND id - id / 9 <= CAST({records} AS bigint) * 92 / 104
ORDER BY id;

-- Pending tasks: 12 for 104 contacts.
INSERT INTO tasks (org_id, owner_id, created_by, contact_id, title, status, due_at)
SELECT org_id, owner_id, owner_id, id, 'Call ' || name, 'pending', CURRENT_TIMESTAMP
FROM contacts
WHERE org_id = 1 AND id - id / 9 <= CAST({records} AS bigint) * 12 / 104
ORDER BY id;

-- Completed tasks: 40 for 104 contacts.
INSERT INTO tasks (org_id, owner_id, created_by, contact_id, title, status, completed_at)
SELECT org_id, owner_id, owner_id, id, 'Welcome ' || name, 'completed', CURRENT_TIMESTAMP
FROM contacts
WHERE org_id = 1 AND id - id / 9 <= CAST({records} AS bigint) * 40 / 104
ORDER BY id;

-- Notes: 17 for 104 contacts.
INSERT INTO notes (org_id, user_id, contact_id, body)
SELECT org_id, owner_id, id, 'Met ' || name || ' at the fair.'
FROM contacts
WHERE org_id = 1 AND id - id / 9 <= CAST({records} AS bigint) * 17 / 104
ORDER BY id;

-- The other organization, which nothing may touch.
INSERT INTO contacts (id, org_id, owner_id, created_by, name, email, company)
SELECT COALESCE(MAX(id), 0) + 1, 2, 201, 201, 'Contact of another company', 'contact@example.org', 'Elsewhere'
FROM contacts;

-- What else points at the leaver: teams, shares and the rest of what a CRM keeps of its users.
INSERT INTO accounts (id, org_id, owner_id, created_by, name) VALUES
    (1, 1, 12, 53, 'Harbor Logistics'),
    (2, 2, 201, 201, 'Elsewhere');

INSERT INTO account_team_members (account_id, user_id, team_role, account_access, contact_access) VALUES
    (1, 53, 'Account manager', 'read_write', 'read_write'),
    (1, 11, 'Support', 'read_only', 'read_only');

INSERT INTO default_account_teams (user_id, member_id) VALUES
    (53, 11),
    (12, 53);

INSERT INTO default_opportunity_teams (user_id, member_id) VALUES
    (53, 13),
    (14, 53);

INSERT INTO record_shares (org_id, record_type, record_id, user_id, granted_by, access, reason) VALUES
    (1, 'account', 1, 53, 12, 'read_write', 'manual'),
    (1, 'account', 1, 53, 12, 'read_write', 'team'),
    (1, 'account', 1, 14, 53, 'read_only', 'manual');

INSERT INTO opportunity_team_members (opportunity_id, user_id, team_role)
SELECT id, 53, 'Pre-sales' FROM opportunities WHERE org_id = 1 AND owner_id <> 53 ORDER BY id LIMIT 3;

INSERT INTO forecast_overrides (org_id, owner_id, subject_id, kind, period, amount) VALUES
    (1, 53, 53, 'adjusted_total', '2026-Q4', 120000),
    (1, 12, 53, 'managers_choice', '2026-Q4', 95000);

INSERT INTO territories (id, org_id, parent_id, name) VALUES
    (1, 1, NULL, 'Americas'),
    (2, 1, 1, 'West');

INSERT INTO territory_members (territory_id, user_id) VALUES
    (2, 53),
    (2, 15);

INSERT INTO portals (id, org_id, name, administrator_id) VALUES (1, 1, 'Customer portal', 1);

INSERT INTO delegated_administrators (portal_id, user_id) VALUES (1, 17);

INSERT INTO custom_hierarchy_fields (id, org_id, name) VALUES (1, 1, 'Mentor');

INSERT INTO custom_hierarchy_values (field_id, user_id, chosen_user_id) VALUES
    (1, 53, 13),
    (1, 15, 12);

INSERT INTO workflow_alerts (id, org_id, name) VALUES (1, 1, 'Large lead won');

INSERT INTO workflow_alert_recipients (alert_id, user_id) VALUES
    (1, 53),
    (1, 12);
