//! Checks the database and the events against the promises. It reads only what exists: the host's tables, the log that
//! the host's triggers wrote in each transaction that changed an owner, the ledger, and the received events. Its
//! statements share no code with Handover. Two changes belong together if their transactions committed at the same
//! microsecond: a savepoint has a transaction id of its own, and the commit time of its transaction.

use sea_orm::sqlx::{Error, PgConnection};

use crate::sql;

/// A promise, and a query that returns each violation as a text.
pub struct Promise {
    pub name: &'static str,
    pub broken: &'static str,
}

/// The number of violations of one promise that are reported.
const MOST_REPORTED: usize = 8;

/// Returns every broken promise with its violations.
pub async fn check(database: &mut PgConnection) -> Result<Vec<(&'static str, Vec<String>)>, Error> {
    let mut broken = Vec::new();
    for promise in &PROMISES {
        let mut found = sql::texts(&mut *database, promise.broken).await?;
        if !found.is_empty() {
            let more = found.len().saturating_sub(MOST_REPORTED);
            found.truncate(MOST_REPORTED);
            found.extend((more > 0).then(|| format!("and {more} more")));
            broken.push((promise.name, found));
        }
    }
    Ok(broken)
}

/// Views that the promises share.
pub const VIEWS: &str = "
    CREATE VIEW storm.owned AS
        SELECT 'contacts' AS tab, id AS record, owner_id AS owner FROM contacts
        UNION ALL SELECT 'opportunities', id, owner_id FROM opportunities
        UNION ALL SELECT 'tasks', id, owner_id FROM tasks
        UNION ALL SELECT 'accounts', id, owner_id FROM accounts;
    CREATE VIEW storm.journaled AS
        SELECT j.job_id, j.chunk, j.kind, j.action, k.tab, CAST(key AS bigint) AS record, CAST(j.from_user AS bigint) AS f,
               CAST(j.to_user AS bigint) AS t, CAST(pg_xact_commit_timestamp(j.xmin) AS text) AS x
        FROM handover.journal j JOIN storm.kinds k ON k.kind = j.kind, jsonb_array_elements_text(j.keys) AS key
        WHERE j.action IN ('moved', 'purged')
        UNION ALL
        SELECT j.job_id, j.chunk, j.kind, j.action, k.tab, CAST(key AS bigint), CAST(u.to_user AS bigint),
               CAST(j.from_user AS bigint), CAST(pg_xact_commit_timestamp(j.xmin) AS text)
        FROM handover.journal j JOIN storm.kinds k ON k.kind = j.kind
        JOIN handover.chunks c ON c.job_id = j.job_id AND c.number = j.chunk
        JOIN handover.journal u ON u.id = c.journal_id, jsonb_array_elements_text(j.keys) AS key
        WHERE j.action = 'restored';
    CREATE VIEW storm.results AS
        SELECT j.id AS job, CAST(j.user_id AS bigint) AS leaver, j.state, k.tab, r.reference ->> 'kind' AS kind,
               CAST(r.reference ->> 'moved' AS bigint) AS moved, CAST(r.reference ->> 'purged' AS bigint) AS purged,
               COALESCE(CAST(r.reference ->> 'left_behind' AS bigint), 0) AS left_behind,
               r.reference -> 'successors' AS successors, CAST(j.certificate ->> 'counted_at' AS timestamptz) AS counted_at
        FROM handover.jobs j, jsonb_array_elements(j.certificate -> 'references') AS r (reference)
        LEFT JOIN storm.kinds k ON k.kind = r.reference ->> 'kind'
        WHERE j.kind = 'deactivate' AND j.state = 'completed';";

/// The promises.
pub const PROMISES: [Promise; 19] = [
    Promise {
        name: "every request has its outcome, and every job has ended",
        broken: "
            SELECT 'never answered: ' || a.request_id FROM storm.asked a
                WHERE NOT EXISTS (SELECT 1 FROM handover.requests r WHERE r.request_id = a.request_id)
            UNION ALL SELECT concat_ws(' ', 'not ended:', request_id, state, reasons) FROM handover.jobs
                WHERE state NOT IN ('completed', 'rejected', 'reverted', 'cancelled')
            UNION ALL SELECT 'still here: ' || p.id FROM storm.people p WHERE p.id > 100 AND NOT EXISTS (
                SELECT 1 FROM handover.jobs j WHERE j.kind = 'deactivate' AND j.user_id = CAST(p.id AS text)
                AND j.state IN ('completed', 'reverted'))",
    },
    Promise {
        name: "a request is acknowledged only after its outcome is committed",
        broken: "SELECT request_id FROM storm.acknowledged WHERE NOT is_committed
                 UNION ALL SELECT 'no acknowledgement was checked' WHERE NOT EXISTS (SELECT 1 FROM storm.acknowledged)",
    },
    Promise {
        name: "a request is taken once",
        broken: "
            SELECT concat_ws(' ', 'left more than once:', user_id) FROM handover.jobs
                WHERE kind = 'deactivate' AND state <> 'rejected' GROUP BY user_id HAVING count(*) > 1
            UNION ALL SELECT 'a job without a request: ' || request_id FROM handover.jobs j
                WHERE NOT EXISTS (SELECT 1 FROM handover.requests r WHERE r.job_id = j.id)",
    },
    Promise {
        name: "every record exists once, and is where its history leaves it",
        broken: "
            WITH last AS (
                SELECT DISTINCT ON (tab, record) tab, record, to_user FROM storm.log ORDER BY tab, record, id DESC)
            SELECT concat_ws(' ', tab, record, 'is owned by', COALESCE(CAST(o.owner AS text), 'nobody'),
                             'and its history ends with', COALESCE(CAST(l.to_user AS text), 'nobody'))
                FROM (SELECT * FROM last WHERE to_user IS NOT NULL) l FULL JOIN storm.owned o USING (tab, record)
                WHERE o.owner IS DISTINCT FROM l.to_user",
    },
    Promise {
        name: "every record's history has no gap",
        broken: "
            SELECT concat_ws(' ', tab, record, 'was owned by', before, 'and taken from', from_user) FROM (
                SELECT *, lag(to_user) OVER history AS before, row_number() OVER history AS number FROM storm.log
                WINDOW history AS (PARTITION BY tab, record ORDER BY id)) l
            WHERE before IS DISTINCT FROM from_user OR number = 1 AND from_user IS NOT NULL",
    },
    Promise {
        name: "every record has an active owner, or a reason why not",
        broken: "
            SELECT concat_ws(' ', o.tab, o.record, 'is owned by', u.id, 'who is', u.status)
            FROM storm.owned o JOIN users u ON u.id = o.owner
            WHERE u.status <> 'active' AND NOT EXISTS (
                SELECT 1 FROM storm.results r WHERE r.leaver = u.id AND r.tab = o.tab AND r.left_behind > 0)",
    },
    Promise {
        name: "certificates count what is left behind",
        broken: "
            WITH counted AS (
                SELECT leaver, tab, max(counted_at) - interval '15 seconds' AS at, sum(left_behind) AS reported,
                       (SELECT count(*) FROM storm.owned o WHERE o.tab = r.tab AND o.owner = r.leaver) AS there
                FROM storm.results r WHERE tab IS NOT NULL GROUP BY leaver, tab),
            edited AS (
                SELECT c.*, (SELECT count(*) FROM storm.log l WHERE l.actor <> 'handover' AND l.tab = c.tab AND l.at > c.at
                             AND l.to_user = c.leaver) AS given,
                            (SELECT count(*) FROM storm.log l WHERE l.actor <> 'handover' AND l.tab = c.tab AND l.at > c.at
                             AND l.from_user = c.leaver) AS taken
                FROM counted c WHERE reported <> there)
            SELECT concat_ws(' ', tab, 'of', leaver || ':', reported, 'reported,', there, 'there,', given, 'given and', taken, 'taken since')
            FROM edited WHERE there > reported + given OR there < reported - taken",
    },
    Promise {
        name: "the journal equals the moves, in the transactions that made them",
        broken: "
            WITH journaled AS (SELECT tab, record, f, t, x FROM storm.journaled),
            made AS (SELECT tab, record, from_user, to_user, CAST(pg_xact_commit_timestamp(xmin) AS text)
                     FROM storm.log WHERE actor = 'handover')
            SELECT concat_ws(' ', 'only in the journal:', tab, record, f, '->', t) FROM (SELECT * FROM journaled EXCEPT ALL SELECT * FROM made) d
            UNION ALL SELECT concat_ws(' ', 'not in the journal:', tab, record, from_user, '->', to_user)
                FROM (SELECT * FROM made EXCEPT ALL SELECT * FROM journaled) d",
    },
    Promise {
        name: "a record is moved at most once a chunk",
        broken: "
            SELECT concat_ws(' ', tab, record, count(*), 'times by chunk', chunk, 'of', job_id) FROM storm.journaled
            WHERE action <> 'restored' GROUP BY tab, record, job_id, chunk, CASE WHEN chunk IS NULL THEN x END HAVING count(*) > 1",
    },
    Promise {
        name: "a record is moved again only if the host returned it",
        broken: "
            SELECT concat_ws(' ', tab, record, from_user, '->', to_user, 'after', before) FROM (
                SELECT *, lag(actor) OVER (PARTITION BY tab, record ORDER BY id) AS before FROM storm.log) l
            WHERE actor = 'handover' AND before = 'handover' AND NOT EXISTS (
                SELECT 1 FROM storm.journaled t WHERE t.action = 'restored' AND t.tab = l.tab AND t.record = l.record)",
    },
    Promise {
        name: "a chunk is closed in the transaction that moved its records, and holds what it moved",
        broken: "
            SELECT concat_ws(' ', 'chunk', c.number, 'of', c.job_id, 'was closed apart from its moves')
                FROM handover.chunks c JOIN handover.journal j ON j.job_id = c.job_id AND j.chunk = c.number
                WHERE pg_xact_commit_timestamp(c.xmin) IS DISTINCT FROM pg_xact_commit_timestamp(j.xmin)
            UNION ALL SELECT concat_ws(' ', 'chunk', c.number, 'of', c.job_id, 'says', c.done, 'and the journal', COALESCE(sum(j.records), 0))
                FROM handover.chunks c LEFT JOIN handover.journal j
                    ON j.job_id = c.job_id AND j.chunk = c.number AND j.action NOT LIKE 'skipped%'
                GROUP BY c.job_id, c.number, c.done HAVING c.done <> COALESCE(sum(j.records), 0)
            UNION ALL SELECT concat_ws(' ', 'chunk', number, 'of', job_id, 'is', state) FROM handover.chunks WHERE state <> 'closed'",
    },
    Promise {
        name: "each certificate equals the journal",
        broken: "
            SELECT concat_ws(' ', r.kind, 'of', r.job, 'moved', r.moved, 'purged', r.purged, 'journal', j.moved, j.purged)
                FROM storm.results r LEFT JOIN LATERAL (
                    SELECT sum(records) FILTER (WHERE action = 'moved') AS moved,
                           sum(records) FILTER (WHERE action = 'purged') AS purged
                    FROM handover.journal j WHERE j.job_id = r.job AND j.kind = r.kind) j ON true
                WHERE COALESCE(r.moved, 0) <> COALESCE(j.moved, 0) OR COALESCE(r.purged, 0) <> COALESCE(j.purged, 0)
            UNION ALL SELECT concat_ws(' ', r.kind, 'of', r.job, 'to', s.user_id || ':', s.reported, 'and the journal', j.records)
                FROM storm.results r, jsonb_each_text(COALESCE(r.successors, '{}')) AS s (user_id, reported), LATERAL (
                    SELECT COALESCE(sum(records), 0) AS records FROM handover.journal j
                    WHERE j.job_id = r.job AND j.kind = r.kind AND j.to_user = s.user_id) j
                WHERE CAST(s.reported AS bigint) <> j.records
            UNION ALL SELECT concat_ws(' ', 'orphans of', id, certificate -> 'orphans') FROM handover.jobs
                WHERE state = 'completed' AND certificate ->> 'orphans' <> '0'",
    },
    Promise {
        name: "leavers are inactive, and reverted users are active",
        broken: "
            SELECT concat_ws(' ', 'user', u.id, 'is', u.status, 'and the job', j.state) FROM handover.jobs j
                JOIN users u ON CAST(u.id AS text) = j.user_id
                WHERE j.kind = 'deactivate' AND (j.state = 'completed' AND u.status <> 'inactive' OR j.state = 'reverted' AND u.status <> 'active')
            UNION ALL SELECT concat_ws(' ', 'user', u.id, 'has a session, follows, or is in a group') FROM users u
                WHERE u.status = 'inactive' AND (EXISTS (SELECT 1 FROM sessions s WHERE s.user_id = u.id)
                OR EXISTS (SELECT 1 FROM follows f WHERE u.id IN (f.follower_id, f.followed_id))
                OR EXISTS (SELECT 1 FROM group_members m WHERE m.user_id = u.id))",
    },
    Promise {
        name: "licenses are conserved",
        broken: "
            SELECT concat_ws(' ', n, 'licenses instead of', p) FROM (SELECT count(*) AS n FROM licenses) l,
                (SELECT count(*) AS p FROM storm.people) s WHERE n <> p
            UNION ALL SELECT concat_ws(' ', 'user', u.id, 'is', u.status, 'and holds', count(l.id)) FROM users u
                LEFT JOIN licenses l ON l.user_id = u.id GROUP BY u.id, u.status
                HAVING count(l.id) <> CASE u.status WHEN 'active' THEN 1 ELSE 0 END",
    },
    Promise {
        name: "each job's events are numbered without a gap, one id each, as far as the ledger has counted",
        broken: "
            SELECT concat_ws(' ', 'job', j.id, 'counts', j.sequence, 'and reported', string_agg(CAST(e.sequence AS text), ',' ORDER BY e.sequence))
            FROM handover.jobs j LEFT JOIN storm.events e ON e.job = j.id GROUP BY j.id, j.sequence
            HAVING count(e.id) <> j.sequence OR count(DISTINCT e.sequence) <> j.sequence OR COALESCE(max(e.sequence), 0) <> j.sequence",
    },
    Promise {
        name: "every event belongs to an existing job",
        broken: "SELECT concat_ws(' ', 'event', id, type, 'of', job) FROM storm.events e
                 WHERE NOT EXISTS (SELECT 1 FROM handover.jobs j WHERE j.id = e.job)",
    },
    Promise {
        name: "each transition has exactly one event",
        broken: "
            WITH counted AS (
                SELECT j.id, j.request_id, w.word, COALESCE(CAST(j.certificate ->> 'supplement' AS bigint), 0) AS supplement,
                    (SELECT count(*) FROM storm.events e WHERE e.job = j.id AND e.type = 'handover.deactivation.' || w.word) AS reported,
                    (SELECT count(*) FROM handover.audit a WHERE a.job_id = j.id AND a.action = 'deactivate.' || w.word) AS made
                FROM handover.jobs j, unnest(ARRAY['completed', 'rejected', 'needs_attention', 'reverted', 'paused']) AS w (word)
                WHERE j.kind = 'deactivate')
            SELECT concat_ws(' ', request_id, word || ':', made, 'made,', reported, 'reported,', supplement, 'supplements') FROM counted
            WHERE reported <> made + CASE word WHEN 'completed' THEN supplement ELSE 0 END
               OR word IN ('completed', 'rejected', 'reverted') AND made > 1",
    },
    Promise {
        name: "nothing waits in the outbox",
        broken: "SELECT concat_ws(' ', channel, routing_key, job_id) FROM handover.outbox",
    },
    Promise {
        name: "no session is left in a transaction, and none holds a user",
        broken: "
            SELECT concat_ws(' ', 'session', pid, application_name, state, query) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
                AND backend_type = 'client backend'
            UNION ALL SELECT concat_ws(' ', 'advisory lock of', pid) FROM pg_locks
                WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    },
];
