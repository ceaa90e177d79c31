-- Apto's help page as a brokerage: a broker leaves who is on teams and in forecasts, and all around them whom the page speaks
-- of. {records} stands for the contacts of the broker. The same text runs on PostgreSQL and SQLite, over an empty reference
-- CRM or next to other seeds: the organization is the fourth. On PostgreSQL run postgres_sequences.sql after it.

INSERT INTO organizations (id, name) VALUES (4, 'Harbor Realty');

-- 401 and 402 are administrators; 403 manages the brokers 404 and 405, and 406, who does not forecast. 407 sees to the portal's
-- users as a delegated administrator; 408 is one of these users. 409 is chosen in a hierarchy field.
INSERT INTO users
    (id, org_id, name, username, email, title, status, role, manager_id, allow_forecasting, is_portal_user)
VALUES
    (401, 4, 'Frances Moore', 'frances.moore', 'frances@harbor.example', 'Owner', 'active', 'admin', NULL, TRUE, FALSE),
    (402, 4, 'Victor Amsel', 'victor.amsel', 'victor@harbor.example', 'Administrator', 'active', 'admin', 401, TRUE, FALSE),
    (403, 4, 'Renata Silva', 'renata.silva', 'renata@harbor.example', 'Head of Brokerage', 'active', 'manager', 401, TRUE, FALSE),
    (404, 4, 'Colin Bright', 'colin.bright', 'colin@harbor.example', 'Broker', 'active', 'member', 403, TRUE, FALSE),
    (405, 4, 'Dalia Haddad', 'dalia.haddad', 'dalia@harbor.example', 'Broker', 'active', 'member', 403, TRUE, FALSE),
    (406, 4, 'Ewan Price', 'ewan.price', 'ewan@harbor.example', 'Analyst', 'active', 'member', 403, FALSE, FALSE),
    (407, 4, 'Mina Sato', 'mina.sato', 'mina@harbor.example', 'Partner desk', 'active', 'delegated_admin', 401, TRUE, FALSE),
    (408, 4, 'Olu Adeyemi', 'olu.adeyemi', 'olu@tenant.example', 'Tenant', 'active', 'member', NULL, TRUE, TRUE),
    (409, 4, 'Petra Lang', 'petra.lang', 'petra@harbor.example', 'Research', 'active', 'member', 401, TRUE, FALSE);

INSERT INTO primary_administrators (org_id, user_id) VALUES (4, 401);

INSERT INTO licenses (org_id, user_id)
SELECT org_id, id FROM users WHERE org_id = 4 AND status = 'active' ORDER BY id;

INSERT INTO sessions (id, user_id, ip_address) VALUES
    ('404a-desk', 404, '192.0.2.144'),
    ('408a-phone', 408, '192.0.2.148');

INSERT INTO api_tokens (user_id, name, token_hash) VALUES (404, 'listing feed', 'sha256:404a');

INSERT INTO accounts (id, org_id, owner_id, created_by, name) VALUES
    (401, 4, 403, 404, 'Quayside Towers'),
    (402, 4, 404, 404, 'Mill Lane Depot');

INSERT INTO opportunities (org_id, owner_id, created_by, account_id, name, amount) VALUES
    (4, 405, 404, 401, 'Quayside, floor 3', 240000),
    (4, 405, 404, 401, 'Quayside, floor 4', 180000),
    (4, 405, 404, 401, 'Quayside, floor 5', 210000),
    (4, 404, 404, 402, 'Mill Lane, lease', 95000),
    (4, 404, 409, 402, 'Mill Lane, sale', 1300000);

-- On floor 3 both brokers have a split, on floor 4 only the leaver, on floor 5 nobody.
INSERT INTO opportunity_team_members (opportunity_id, user_id, team_role, split_percentage)
SELECT id, 404, 'Co-broker', CASE name WHEN 'Quayside, floor 3' THEN 30 WHEN 'Quayside, floor 4' THEN 20 END
FROM opportunities WHERE org_id = 4 AND owner_id = 405 ORDER BY id;

INSERT INTO opportunity_team_members (opportunity_id, user_id, team_role, split_percentage)
SELECT id, 405, 'Lead broker', 50 FROM opportunities WHERE org_id = 4 AND name = 'Quayside, floor 3';

INSERT INTO opportunity_team_members (opportunity_id, user_id, team_role)
SELECT id, 408, 'Tenant' FROM opportunities WHERE org_id = 4 AND name = 'Mill Lane, lease';

INSERT INTO account_team_members
    (account_id, user_id, team_role, account_access, contact_access, opportunity_access, case_access)
VALUES
    (401, 404, 'Broker', 'read_write', 'read_write', 'read_only', 'read_write'),
    (401, 405, 'Broker', 'read_write', 'read_write', 'read_write', 'read_write'),
    (402, 404, 'Broker', 'read_only', 'read_only', 'read_only', 'read_only');

INSERT INTO default_account_teams (user_id, member_id, access) VALUES
    (404, 405, 'read_write'),
    (405, 404, 'read_write');

INSERT INTO default_opportunity_teams (user_id, member_id) VALUES
    (404, 406),
    (403, 404);

INSERT INTO record_shares (org_id, record_type, record_id, user_id, granted_by, access, reason) VALUES
    (4, 'account', 401, 404, 403, 'read_write', 'manual'),
    (4, 'account', 401, 404, 403, 'read_write', 'team'),
    (4, 'account', 402, 405, 404, 'read_only', 'manual');

INSERT INTO follows (follower_id, followed_id) VALUES
    (404, 405),
    (404, 403),
    (405, 404),
    (405, 403);

-- 404's own figures, 404's figure for a report's forecast, and the manager's figure for 404's.
INSERT INTO forecast_overrides (org_id, owner_id, subject_id, kind, period, amount) VALUES
    (4, 404, 404, 'opportunity', '2026-Q4', 90000),
    (4, 404, 404, 'adjusted_total', '2026-Q4', 400000),
    (4, 404, 406, 'managers_choice', '2026-Q4', 50000),
    (4, 403, 404, 'managers_choice', '2026-Q4', 350000);

INSERT INTO territories (id, org_id, parent_id, name) VALUES
    (401, 4, NULL, 'City'),
    (402, 4, 401, 'Harbor');

INSERT INTO territory_members (territory_id, user_id) VALUES
    (402, 404),
    (401, 406),
    (402, 406);

INSERT INTO portals (id, org_id, name, administrator_id) VALUES (401, 4, 'Tenant portal', 404);

INSERT INTO delegated_administrators (portal_id, user_id) VALUES (401, 407);

-- The field was deleted and never erased.
INSERT INTO custom_hierarchy_fields (id, org_id, name, deleted_at) VALUES (401, 4, 'Mentor', CURRENT_TIMESTAMP);

INSERT INTO custom_hierarchy_values (field_id, user_id, chosen_user_id) VALUES
    (401, 405, 409),
    (401, 404, NULL);

INSERT INTO workflow_alerts (id, org_id, name) VALUES
    (401, 4, 'Lease expires'),
    (402, 4, 'Large sale');

-- Only 404 hears of leases that expire.
INSERT INTO workflow_alert_recipients (alert_id, user_id) VALUES
    (401, 404),
    (402, 404),
    (402, 405);

INSERT INTO tasks (org_id, owner_id, created_by, title, status) VALUES
    (4, 404, 404, 'Call the Quayside tenants', 'pending'),
    (4, 404, 404, 'Photograph Mill Lane', 'completed');

INSERT INTO contacts (org_id, owner_id, created_by, name, email)
WITH RECURSIVE numbers (i) AS (
    SELECT CAST(1 AS bigint) WHERE {records} > 0
    UNION ALL
    SELECT i + 1 FROM numbers WHERE i < CAST({records} AS bigint)
)
SELECT 4, 404, 404, 'Tenant ' || i, 'tenant' || i || '@example.net' FROM numbers ORDER BY i;
