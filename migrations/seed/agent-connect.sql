-- Agent Connect's help page as a company: a Team Leader leaves whose reports go to two others, and all around them whom the
-- page speaks of. {records} stands for the contacts of the Team Leader. The same text runs on PostgreSQL and SQLite, over an
-- empty reference CRM or next to other seeds: the organization is the third. On PostgreSQL run postgres_sequences.sql after it.

INSERT INTO organizations (id, name) VALUES (3, 'Evergreen Insurance');

-- 301 is the primary Company Admin, 302 another one. 303, 304, 305 and 309 may lead a team. 311 has no address yet.
INSERT INTO users (id, org_id, name, username, email, title, status, role, manager_id, can_manage_team) VALUES
    (301, 3, 'Grace Oduya', 'grace.oduya', 'grace@evergreen.example', 'Owner', 'active', 'admin', NULL, TRUE),
    (302, 3, 'Henrik Lund', 'henrik.lund', 'henrik@evergreen.example', 'Operations', 'active', 'admin', 301, TRUE),
    (303, 3, 'Marta Kowalska', 'marta.kowalska', 'marta@evergreen.example', 'Team Leader', 'active', 'manager', 301, TRUE),
    (304, 3, 'Idris Bello', 'idris.bello', 'idris@evergreen.example', 'Team Leader', 'active', 'manager', 301, TRUE),
    (305, 3, 'Sofia Marin', 'sofia.marin', 'sofia@evergreen.example', 'Team Leader', 'active', 'manager', 301, TRUE),
    (306, 3, 'Tom Barker', 'tom.barker', 'tom@evergreen.example', 'Agent', 'active', 'member', 303, FALSE),
    (307, 3, 'Aiko Tanaka', 'aiko.tanaka', 'aiko@evergreen.example', 'Agent', 'active', 'member', 303, FALSE),
    (308, 3, 'Pedro Alves', 'pedro.alves', 'pedro@evergreen.example', 'Agent', 'active', 'member', 303, FALSE),
    (309, 3, 'Lena Fischer', 'lena.fischer', 'lena@evergreen.example', 'Senior Agent', 'active', 'member', 303, TRUE),
    (310, 3, 'Noor Rahman', 'noor.rahman', 'noor@evergreen.example', 'Agent', 'active', 'member', 309, FALSE),
    (311, 3, 'Jo Novak', 'jo.novak', NULL, 'Agent', 'active', 'member', 304, FALSE),
    (312, 3, 'Ben Osei', 'ben.osei', 'ben@evergreen.example', 'Agent', 'active', 'member', 304, FALSE);

INSERT INTO primary_administrators (org_id, user_id) VALUES (3, 301);

INSERT INTO licenses (org_id, user_id)
SELECT org_id, id FROM users WHERE org_id = 3 AND status = 'active' ORDER BY id;

INSERT INTO sessions (id, user_id, ip_address) VALUES
    ('303a-laptop', 303, '192.0.2.203'),
    ('312a-phone', 312, '192.0.2.212');

INSERT INTO api_tokens (user_id, name, token_hash) VALUES (303, 'dialer', 'sha256:303a');

INSERT INTO contacts (org_id, owner_id, created_by, name, email)
WITH RECURSIVE numbers (i) AS (
    SELECT CAST(1 AS bigint) WHERE {records} > 0
    UNION ALL
    SELECT i + 1 FROM numbers WHERE i < CAST({records} AS bigint)
)
SELECT 3, 303, 303, 'Policy holder ' || i, 'holder' || i || '@example.net' FROM numbers ORDER BY i;
