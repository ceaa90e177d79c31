-- The SQL that a DBA would write for one leaver of the second host, as one transaction. Clients take leavers in turn. Rows that
-- two leavers share are locked in the order of their keys, so that clients cannot deadlock.
\set leaver :first + :client_id + :clients * :done
\set done :done + 1
BEGIN;
UPDATE users SET status = 'inactive' WHERE id = :leaver AND status = 'active';
UPDATE contacts SET owner_id = :successor + id % :successors, updated_at = now() WHERE owner_id = :leaver;
UPDATE leads SET owner_id = :successor + id % :successors, updated_at = now() WHERE owner_id = :leaver;
UPDATE tasks SET owner_id = :successor + id % :successors, updated_at = now() WHERE owner_id = :leaver AND status = 'pending';
DELETE FROM tasks WHERE owner_id = :leaver AND status = 'completed';
\if :follows
DELETE FROM follows f USING (
  SELECT follower_id, followed_id FROM follows WHERE follower_id = :leaver OR followed_id = :leaver
  ORDER BY follower_id, followed_id FOR UPDATE
) l WHERE f.follower_id = l.follower_id AND f.followed_id = l.followed_id;
\endif
UPDATE licenses SET user_id = NULL WHERE user_id = :leaver;
COMMIT;
