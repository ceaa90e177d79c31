-- Moves PostgreSQL's sequences past the ids that a seed has given itself, so that the next insert is free to let the
-- database number its row. SQLite does this by itself.
SELECT setval(pg_get_serial_sequence('organizations', 'id'), MAX(id)) FROM organizations;
SELECT setval(pg_get_serial_sequence('users', 'id'), MAX(id)) FROM users;
SELECT setval(pg_get_serial_sequence('contacts', 'id'), MAX(id)) FROM contacts;
SELECT setval(pg_get_serial_sequence('accounts', 'id'), MAX(id)) FROM accounts;
SELECT setval(pg_get_serial_sequence('territories', 'id'), MAX(id)) FROM territories;
SELECT setval(pg_get_serial_sequence('portals', 'id'), MAX(id)) FROM portals;
SELECT setval(pg_get_serial_sequence('custom_hierarchy_fields', 'id'), MAX(id)) FROM custom_hierarchy_fields;
SELECT setval(pg_get_serial_sequence('workflow_alerts', 'id'), MAX(id)) FROM workflow_alerts;
