//! Erases what the ledger holds of one person. Counts stay, and so does the fact that something was done; the person's
//! identity does not.
//!
//! Only the owner of the ledger can do this: the worker's role cannot alter the audit trail.

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::entity::{
    audit, chunks, job_references, job_successors, jobs, outbox, requests, round_robin, scim_links, sign_ins, tokens,
    uploads,
};
use super::jobs::Job;
use super::query;
use crate::contract::{OwnerKind, UserId};
use crate::job::State;
use crate::store::dialect::sql::Sql;
use crate::store::dialect::{
    AUDIT, JOB_SUCCESSORS, JOBS, JOURNAL, REQUESTS, ROW_SNAPSHOTS, SCIM_LINKS, SIGN_INS, TOKENS, Type, UPLOADS,
};
use crate::store::{Error, Result, Session};

const DOING: &str = "forgetting a person";

/// Rows of one transaction, for tables that may have as many rows as there are records.
const BATCH: i64 = 1000;

/// A person of an organization, and their pseudonym.
#[derive(Debug, Clone)]
pub struct Person {
    /// The organization.
    pub org: String,
    /// The user's id.
    pub user: UserId,
    /// The id that replaces it.
    pub pseudonym: UserId,
}

/// The number of rows that the ledger holds of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PersonalData {
    /// Jobs about them: the request, its reason and the reasons of a refusal are erased.
    pub jobs: u64,
    /// Jobs about others that name them as requester or successor.
    pub named_in: u64,
    /// Snapshots of their rows, which are deleted.
    pub row_snapshots: u64,
    /// Entries of the journal.
    pub journal: u64,
    /// Entries of the audit trail.
    pub audit: u64,
    /// Tokens of the HTTP API, which are deleted.
    pub tokens: u64,
    /// Uploaded files of their organization, which are deleted: each may name them.
    pub uploads: u64,
    /// Their ids at identity providers, which are deleted.
    pub scim_links: u64,
    /// Links and sessions of the console, which are deleted.
    pub sign_ins: u64,
}

impl PersonalData {
    /// Returns true if the ledger holds nothing.
    pub fn is_empty(&self) -> bool {
        let PersonalData { jobs, named_in, row_snapshots, journal, audit, tokens, uploads, scim_links, sign_ins } =
            self;
        let all = [jobs, named_in, row_snapshots, journal, audit, tokens, uploads, scim_links, sign_ins];
        all.into_iter().all(|count| *count == 0)
    }
}

impl Person {
    fn bound(&self, sql: &mut Sql) -> (String, String) {
        (sql.bind(self.org.as_str()), sql.bind(self.user.as_str()))
    }

    /// Tests if the job of a row is of the organization.
    fn of_org(org: &str) -> String {
        format!("job_id IN (SELECT id FROM {JOBS} WHERE org = {org})")
    }

    /// Tests if a job `j` about another user names the person. In JSON, ids are texts.
    fn names(&self, sql: &mut Sql, org: &str, user: &str) -> String {
        let quoted = sql.bind(json!(self.user.as_str()).to_string());
        let dialect = sql.dialect();
        let holds =
            |column: &str| dialect.contains(&format!("COALESCE({}, '')", dialect.cast(column, &Type::Text)), &quoted);
        format!(
            "j.org = {org} AND j.user_id <> {user} AND (j.requested_by = {user} OR {certificate} OR {reasons} \
             OR j.id IN (SELECT s.job_id FROM {JOB_SUCCESSORS} s WHERE s.org = {org} AND s.user_id = {user}) \
             OR j.id IN (SELECT r.job_id FROM {REQUESTS} r WHERE r.org = {org} AND ({body} OR {amended})))",
            certificate = holds("j.certificate"),
            reasons = holds("j.reasons"),
            body = holds("r.body"),
            amended = holds("r.amended"),
        )
    }

    /// Counts what the ledger holds of them.
    pub async fn personal_data(&self, session: &Session) -> Result<PersonalData> {
        let mut sql = session.sql("");
        let (org, user) = self.bound(&mut sql);
        let (of_org, names) = (Person::of_org(&org), self.names(&mut sql, &org, &user));
        sql.add(&format!(
            "SELECT (SELECT count(*) FROM {JOBS} WHERE org = {org} AND user_id = {user}) AS jobs, \
             (SELECT count(*) FROM {JOBS} j WHERE {names}) AS named_in, \
             (SELECT count(*) FROM {ROW_SNAPSHOTS} WHERE (from_user = {user} OR other_user = {user}) AND {of_org}) AS row_snapshots, \
             (SELECT count(*) FROM {JOURNAL} WHERE (from_user = {user} OR to_user = {user}) AND {of_org}) AS journal, \
             (SELECT count(*) FROM {AUDIT} WHERE org = {org} AND (user_id = {user} OR actor = {user})) AS audit, \
             (SELECT count(*) FROM {TOKENS} WHERE owner_kind = '{person}' AND org = {org} AND owner = {user}) AS tokens, \
             (SELECT count(*) FROM {UPLOADS} WHERE org = {org}) AS uploads, \
             (SELECT count(*) FROM {SCIM_LINKS} WHERE org = {org} AND user_key = {user}) AS scim_links, \
             (SELECT count(*) FROM {SIGN_INS} WHERE org = {org} AND user_id = {user}) AS sign_ins",
            person = OwnerKind::Person.name(),
        ));
        let row = session.one(DOING, sql).await?.ok_or_else(|| Error::unexpected(DOING, "nothing was counted"))?;
        Ok(PersonalData {
            jobs: row.count("jobs")?,
            named_in: row.count("named_in")?,
            row_snapshots: row.count("row_snapshots")?,
            journal: row.count("journal")?,
            audit: row.count("audit")?,
            tokens: row.count("tokens")?,
            uploads: row.count("uploads")?,
            scim_links: row.count("scim_links")?,
            sign_ins: row.count("sign_ins")?,
        })
    }

    /// Returns a job that still needs to know them: it has not ended, or it will be counted again.
    pub async fn needed_by(&self, session: &Session) -> Result<Option<Job>> {
        let mut sql = session.sql("");
        let (org, user) = self.bound(&mut sql);
        let names = self.names(&mut sql, &org, &user);
        let open: Vec<String> = State::OPEN.into_iter().map(|state| format!("'{}'", state.name())).collect();
        sql.add(&format!(
            "SELECT j.id AS id FROM {JOBS} j WHERE (j.state IN ({open}) OR j.recount_at IS NOT NULL) \
             AND (j.org = {org} AND j.user_id = {user} OR {names}) ORDER BY j.requested_at LIMIT 1",
            open = open.join(", ")
        ));
        let Some(row) = session.one(DOING, sql).await? else { return Ok(None) };
        super::jobs::get(session, row.get("id")?).await
    }

    /// Erases a batch of the rows that may be as many as records, and returns true if there may be more. The keys of rows
    /// between the person and another user hold both ids.
    pub async fn erase_some(&self, session: &Session) -> Result<bool> {
        let mut sql = session.sql("");
        let (org, user) = self.bound(&mut sql);
        sql.add(&format!(
            "UPDATE {JOURNAL} SET keys = NULL WHERE keys IS NOT NULL AND (job_id, kind) IN \
             (SELECT job_id, kind FROM {ROW_SNAPSHOTS} WHERE other_user = {user} AND {})",
            Person::of_org(&org)
        ));
        session.run(DOING, sql).await?;
        let mut erased = 0;
        let pseudonym = self.pseudonym.as_str();
        for (table, change, held_in) in [
            (ROW_SNAPSHOTS, None, "from_user = {user} OR other_user = {user}"),
            (JOURNAL, Some("keys = NULL, from_user"), "from_user = {user}"),
            (JOURNAL, Some("to_user"), "to_user = {user}"),
        ] {
            let mut sql = session.sql("");
            let (org, user) = self.bound(&mut sql);
            let (of_org, held_in, batch) = (Person::of_org(&org), held_in.replace("{user}", &user), sql.bind(BATCH));
            let some = format!("WHERE id IN (SELECT id FROM {table} WHERE ({held_in}) AND {of_org} LIMIT {batch})");
            match change {
                Some(change) => {
                    let pseudonym = sql.bind(pseudonym);
                    sql.add(&format!("UPDATE {table} SET {change} = {pseudonym} {some}"));
                }
                None => {
                    sql.add(&format!("DELETE FROM {table} {some}"));
                }
            }
            erased += session.run(DOING, sql).await?;
        }
        Ok(erased > 0)
    }

    /// Erases the rest: the rows of which each job has one.
    pub async fn erase_rest(&self, session: &Session) -> Result<()> {
        let of_user = jobs::Column::UserId.eq(self.user.as_str());
        let find = jobs::Entity::find().filter(jobs::Column::Org.eq(self.org.as_str())).filter(of_user);
        for job in query::all(session, DOING, find).await? {
            self.erase_job(session, job).await?;
        }
        for id in self.jobs_that_name_them(session).await? {
            self.rename_in(session, id).await?;
        }
        self.rename_elsewhere(session).await
    }

    async fn jobs_that_name_them(&self, session: &Session) -> Result<Vec<Uuid>> {
        let mut sql = session.sql("");
        let (org, user) = self.bound(&mut sql);
        let names = self.names(&mut sql, &org, &user);
        sql.add(&format!("SELECT j.id AS id FROM {JOBS} j WHERE {names}"));
        let rows = session.all(DOING, sql).await?;
        rows.iter().map(|row| row.get("id")).collect()
    }

    /// Erases a job about them. Its counts stay.
    async fn erase_job(&self, session: &Session, mut job: Job) -> Result<()> {
        let id = job.id;
        // A request id may hold a user's name, and those of a bulk file do.
        let request_id = UserId::pseudonym().to_string();
        let request = requests::Entity::update_many()
            .col_expr(requests::Column::RequestId, Expr::value(request_id.as_str()))
            .col_expr(requests::Column::Body, Expr::value(json!({})))
            .col_expr(requests::Column::Amended, Expr::value(Option::<Value>::None))
            .col_expr(requests::Column::BodyHash, Expr::value(""));
        query::update(session, DOING, request.filter(requests::Column::JobId.eq(id))).await?;
        let trail = audit::Entity::update_many()
            .col_expr(audit::Column::RequestId, Expr::value(request_id.as_str()))
            .col_expr(audit::Column::UserId, Expr::value(self.pseudonym.as_str()))
            .col_expr(audit::Column::Detail, Expr::value(Option::<Value>::None));
        // Entries about messages of the request that a person handled have no job.
        let of_request = Condition::all()
            .add(audit::Column::Org.eq(job.org.as_str()))
            .add(audit::Column::RequestId.eq(job.request_id.as_str()));
        let trail = trail.filter(Condition::any().add(audit::Column::JobId.eq(id)).add(of_request));
        query::update(session, DOING, trail).await?;
        let cut = chunks::Entity::update_many()
            .col_expr(chunks::Column::FirstKey, Expr::value(Option::<Value>::None))
            .col_expr(chunks::Column::LastKey, Expr::value(Option::<Value>::None))
            .col_expr(chunks::Column::Error, Expr::value(Option::<String>::None));
        query::update(session, DOING, cut.filter(chunks::Column::JobId.eq(id))).await?;
        let courses = job_references::Entity::update_many()
            .col_expr(job_references::Column::Named, Expr::value(json!({})))
            .col_expr(job_references::Column::Cursor, Expr::value(Option::<Value>::None));
        query::update(session, DOING, courses.filter(job_references::Column::JobId.eq(id))).await?;
        let messages = outbox::Entity::delete_many().filter(outbox::Column::JobId.eq(id));
        query::delete(session, DOING, messages).await?;
        job.user_id = self.pseudonym.to_string();
        job.request_id = request_id;
        job.reason = None;
        job.reasons = None;
        job.traceparent = None;
        self.rename_in_job(&mut job);
        self.save(session, job).await
    }

    /// Renames them in a job about another user, in which they are requester or successor.
    async fn rename_in(&self, session: &Session, id: Uuid) -> Result<()> {
        if let Some(mut job) = super::jobs::get(session, id).await? {
            job.reasons.iter_mut().for_each(|reasons| self.forget_reasons(reasons));
            self.rename_in_job(&mut job);
            self.save(session, job).await?;
        }
        let find = requests::Entity::find().filter(requests::Column::JobId.eq(id));
        for mut request in query::all(session, DOING, find).await? {
            self.rename(&mut request.body);
            request.amended.iter_mut().for_each(|body| self.rename(body));
            query::save(session, DOING, request.into_active_model()).await?;
        }
        let find = job_references::Entity::find().filter(job_references::Column::JobId.eq(id));
        for mut course in query::all(session, DOING, find).await? {
            self.rename(&mut course.deal);
            self.rename(&mut course.named);
            query::save(session, DOING, course.into_active_model()).await?;
        }
        let find =
            audit::Entity::find().filter(audit::Column::JobId.eq(id)).filter(audit::Column::Detail.is_not_null());
        for mut entry in query::all(session, DOING, find).await? {
            entry.detail.iter_mut().for_each(|reasons| self.forget_reasons(reasons));
            query::save(session, DOING, entry.into_active_model()).await?;
        }
        Ok(())
    }

    async fn rename_elsewhere(&self, session: &Session) -> Result<()> {
        let (org, user, pseudonym) = (self.org.as_str(), self.user.as_str(), self.pseudonym.as_str());
        let successors = job_successors::Entity::update_many()
            .col_expr(job_successors::Column::UserId, Expr::value(pseudonym))
            .filter(job_successors::Column::Org.eq(org))
            .filter(job_successors::Column::UserId.eq(user));
        query::update(session, DOING, successors).await?;
        for column in [audit::Column::UserId, audit::Column::Actor] {
            let trail = audit::Entity::update_many().col_expr(column, Expr::value(pseudonym));
            let trail = trail.filter(audit::Column::Org.eq(org)).filter(column.eq(user));
            query::update(session, DOING, trail).await?;
        }
        let held = tokens::Entity::delete_many().filter(tokens::Column::OwnerKind.eq(OwnerKind::Person));
        let held = held.filter(tokens::Column::Org.eq(org)).filter(tokens::Column::Owner.eq(user));
        query::delete(session, DOING, held).await?;
        let files = uploads::Entity::delete_many().filter(uploads::Column::Org.eq(org));
        query::delete(session, DOING, files).await?;
        let linked = scim_links::Entity::delete_many().filter(scim_links::Column::Org.eq(org));
        query::delete(session, DOING, linked.filter(scim_links::Column::UserKey.eq(user))).await?;
        let signed_in = sign_ins::Entity::delete_many().filter(sign_ins::Column::Org.eq(org));
        query::delete(session, DOING, signed_in.filter(sign_ins::Column::UserId.eq(user))).await?;
        let served = round_robin::Entity::delete_many().filter(round_robin::Column::Org.eq(org));
        query::delete(session, DOING, served.filter(round_robin::Column::LastUser.eq(user))).await?;
        Ok(())
    }

    async fn save(&self, session: &Session, job: Job) -> Result<()> {
        query::save(session, DOING, job.into_active_model()).await
    }

    fn rename_in_job(&self, job: &mut Job) {
        if job.requested_by == self.user.as_str() {
            job.requested_by = self.pseudonym.to_string();
        }
        job.certificate.iter_mut().for_each(|certificate| self.rename(certificate));
    }

    /// Replaces the id by the pseudonym, as a text or as a name.
    fn rename(&self, value: &mut Value) {
        match value {
            Value::String(text) if text == self.user.as_str() => *text = self.pseudonym.to_string(),
            Value::Array(values) => values.iter_mut().for_each(|value| self.rename(value)),
            Value::Object(entries) => {
                if let Some(entry) = entries.remove(self.user.as_str()) {
                    entries.insert(self.pseudonym.to_string(), entry);
                }
                entries.values_mut().for_each(|value| self.rename(value));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// Erases the sentence of reasons that concern them, since it names them. The code stays.
    fn forget_reasons(&self, reasons: &mut Value) {
        for reason in reasons.as_array_mut().into_iter().flatten() {
            if reason["concerning"]["user_id"] == self.user.as_str() {
                *reason = json!({ "code": reason["code"], "message": "forgotten", "hint": "" });
            }
        }
    }
}
