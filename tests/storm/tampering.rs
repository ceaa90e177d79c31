//! Tests the checker: changes the evidence of a successful storm as each mistake would, in a transaction that is
//! rolled back. The checker must report it.

use sea_orm::sqlx::{Error, PgPool};

use crate::checker;
use crate::sql;

/// A mistake, its traces, and the promise that it breaks.
struct Mistake {
    name: &'static str,
    leaves: &'static str,
    breaks: &'static str,
}

const MISTAKES: [Mistake; 13] = [
    Mistake {
        name: "a chunk is closed in a transaction before its moves",
        leaves: "UPDATE handover.chunks SET duration_ms = 0 WHERE (job_id, number) IN (
                     SELECT job_id, chunk FROM handover.journal WHERE chunk IS NOT NULL AND action = 'moved' LIMIT 1)",
        breaks: "a chunk is closed in the transaction that moved its records, and holds what it moved",
    },
    Mistake {
        name: "a chunk is closed, and its worker dies before the moves",
        leaves: "
            CREATE TEMP TABLE lost ON COMMIT DROP AS SELECT * FROM storm.journaled WHERE action = 'moved' AND (job_id, chunk) IN (
                SELECT t.job_id, t.chunk FROM storm.journaled t JOIN handover.jobs j ON j.id = t.job_id
                WHERE t.chunk IS NOT NULL AND t.tab = 'contacts' AND j.state = 'completed' LIMIT 1);
            UPDATE contacts c SET owner_id = l.f FROM lost l WHERE c.id = l.record;
            DELETE FROM storm.log g USING lost l WHERE g.tab = l.tab AND g.record = l.record AND g.to_user = l.t;
            DELETE FROM handover.journal j USING lost l WHERE j.job_id = l.job_id AND j.chunk = l.chunk",
        breaks: "a chunk is closed in the transaction that moved its records, and holds what it moved",
    },
    Mistake {
        name: "a request is acknowledged before its outcome is committed",
        leaves: "INSERT INTO storm.acknowledged SELECT request_id, false FROM storm.asked LIMIT 1",
        breaks: "a request is acknowledged only after its outcome is committed",
    },
    Mistake {
        name: "a request is acknowledged before its outcome is committed, and its worker dies",
        leaves: "DELETE FROM handover.requests WHERE request_id = (SELECT min(request_id) FROM storm.asked)",
        breaks: "every request has its outcome, and every job has ended",
    },
    Mistake {
        name: "a job is completed twice because its state is not checked",
        leaves: "
            INSERT INTO handover.audit (at, org, actor, action, user_id, job_id, request_id)
                SELECT at, org, actor, action, user_id, job_id, request_id FROM handover.audit
                WHERE action = 'deactivate.completed' LIMIT 1;
            WITH again AS (UPDATE handover.jobs SET sequence = sequence + 1 WHERE id = (
                SELECT job_id FROM handover.audit WHERE action = 'deactivate.completed' LIMIT 1) RETURNING id, sequence)
            INSERT INTO storm.events SELECT 'again', id, sequence, 'handover.deactivation.completed' FROM again",
        breaks: "each transition has exactly one event",
    },
    Mistake {
        name: "a chunk is processed twice because its state is not checked",
        leaves: "UPDATE handover.chunks SET done = 0 WHERE (job_id, number) IN (
                     SELECT job_id, number FROM handover.chunks WHERE done > 0 LIMIT 1)",
        breaks: "a chunk is closed in the transaction that moved its records, and holds what it moved",
    },
    Mistake {
        name: "a record is moved without a journal row",
        leaves: "DELETE FROM handover.journal WHERE id = (SELECT min(id) FROM handover.journal WHERE action = 'moved' AND kind = 'contact')",
        breaks: "the journal equals the moves, in the transactions that made them",
    },
    Mistake {
        name: "the journal has a move twice",
        leaves: "
            INSERT INTO handover.journal (job_id, chunk, kind, action, from_user, to_user, records, keys, at)
            SELECT job_id, chunk, kind, action, from_user, to_user, records, keys, at FROM handover.journal
            WHERE action = 'moved' AND kind = 'contact' AND chunk IS NOT NULL LIMIT 1",
        breaks: "a record is moved at most once a chunk",
    },
    Mistake {
        name: "a record is lost",
        leaves: "DELETE FROM contacts WHERE id = (SELECT max(id) FROM contacts)",
        breaks: "every record exists once, and is where its history leaves it",
    },
    Mistake {
        name: "a record is moved on that its owner had from a handover",
        leaves: "
            INSERT INTO storm.log (actor, tab, record, from_user, to_user)
                SELECT actor, tab, record, to_user, to_user FROM storm.log l WHERE actor = 'handover' AND to_user IS NOT NULL
                AND id = (SELECT max(id) FROM storm.log m WHERE m.tab = l.tab AND m.record = l.record)
                AND NOT EXISTS (SELECT 1 FROM storm.journaled t WHERE t.action = 'restored' AND t.tab = l.tab AND t.record = l.record)
                LIMIT 1",
        breaks: "a record is moved again only if the host returned it",
    },
    Mistake {
        name: "a record arrives after the last count, and no recount finds it",
        leaves: "
            INSERT INTO contacts (org_id, owner_id, created_by, name) SELECT 1, user_id, 1, 'late' FROM (
                SELECT CAST(user_id AS bigint) AS user_id FROM handover.jobs j WHERE kind = 'deactivate' AND state = 'completed'
                AND NOT EXISTS (SELECT 1 FROM storm.results r WHERE r.job = j.id AND r.left_behind > 0) LIMIT 1) l",
        breaks: "every record has an active owner, or a reason why not",
    },
    Mistake {
        name: "a seat is freed twice",
        leaves: "UPDATE licenses SET user_id = NULL WHERE user_id = 11",
        breaks: "licenses are conserved",
    },
    Mistake {
        name: "an event is lost",
        leaves: "DELETE FROM storm.events WHERE id = (SELECT min(id) FROM storm.events)",
        breaks: "each job's events are numbered without a gap, one id each, as far as the ledger has counted",
    },
];

/// Makes every mistake and returns those that the checker misses.
pub async fn unseen(database: &PgPool) -> Result<Vec<String>, Error> {
    let mut unseen = Vec::new();
    for mistake in &MISTAKES {
        let mut tampering = database.begin().await?;
        sql::run(&mut *tampering, "SET LOCAL session_replication_role = replica").await?;
        sql::run(&mut *tampering, mistake.leaves).await?;
        let broken = checker::check(&mut tampering).await?;
        tampering.rollback().await?;
        if !broken.iter().any(|(promise, _)| *promise == mistake.breaks) {
            let reported: Vec<&str> = broken.iter().map(|(promise, _)| *promise).collect();
            unseen.push(format!("{}: it reports only {reported:?}", mistake.name));
        }
    }
    Ok(unseen)
}
