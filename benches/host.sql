-- The usual load of a host: a user opens a contact, lists their contacts, and edits a contact, including the leaver's.
\set id random(1, :contacts)
\set owner random(41, 49)
SELECT * FROM contacts WHERE id = :id;
SELECT id, name, company FROM contacts WHERE owner_id = :owner ORDER BY id LIMIT 20;
UPDATE contacts SET company = 'Company ' || (:id % 1000), updated_at = now() WHERE id = :id;
