-- The SQL that a DBA would write for one small leaver, as one transaction. Clients take leavers in turn.
\set leaver :first + :client_id + :clients * :done
\set done :done + 1
\set successor 21 + :leaver % 20
BEGIN;
UPDATE users SET status = 'inactive' WHERE id = :leaver AND status = 'active';
UPDATE contacts SET owner_id = :successor, updated_at = now() WHERE owner_id = :leaver;
UPDATE opportunities SET owner_id = :successor, updated_at = now() WHERE owner_id = :leaver;
UPDATE tasks SET owner_id = :successor, updated_at = now() WHERE owner_id = :leaver AND status = 'pending';
DELETE FROM tasks WHERE owner_id = :leaver AND status = 'completed';
DELETE FROM follows WHERE follower_id = :leaver;
UPDATE licenses SET user_id = NULL WHERE user_id = :leaver;
COMMIT;
