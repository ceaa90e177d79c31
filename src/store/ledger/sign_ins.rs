//! Links and sessions by which people sign in to the console. Only their hashes are stored.

use std::collections::BTreeSet;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter};
use time::{Duration, OffsetDateTime};

use super::bulk_insert::add as insert;
pub use super::entity::sign_ins::Model as SignIn;
use super::entity::sign_ins::{Column, Entity};
use super::query;
use crate::contract::SignInKind;
use crate::store::{Result, Session};

/// The time for which rows that are of no more use are kept.
const KEPT: Duration = Duration::days(1);

/// The precision of the time of the last use. A busy session is not written at each use.
const LAST_USED_EVERY: Duration = Duration::minutes(1);

impl SignIn {
    /// True if it may be used at this time.
    pub fn is_live(&self, idle: Duration, now: OffsetDateTime) -> bool {
        self.ended_at.is_none() && self.expires_at > now && now - self.last_used_at < idle
    }

    /// True if a use at this time is to be noted.
    pub fn is_use_noteworthy(&self, now: OffsetDateTime) -> bool {
        now - self.last_used_at >= LAST_USED_EVERY
    }
}

/// Adds a link or a session.
pub async fn add(session: &Session, row: SignIn) -> Result<()> {
    insert(session, "adding a sign-in", vec![row.into_active_model()], "").await?;
    Ok(())
}

/// Returns a link or a session.
pub async fn get(session: &Session, kind: SignInKind, id: &str) -> Result<Option<SignIn>> {
    query::one(session, "reading a sign-in", Entity::find_by_id(id).filter(Column::Kind.eq(kind))).await
}

/// Ends a link or a session. Returns false if it had ended before: of two uses at once, one gets true.
pub async fn end(session: &Session, id: &str, now: OffsetDateTime) -> Result<bool> {
    let update = Entity::update_many().col_expr(Column::EndedAt, Expr::value(now)).filter(Column::Id.eq(id));
    Ok(query::update(session, "ending a sign-in", update.filter(Column::EndedAt.is_null())).await? == 1)
}

/// Ends the links and sessions of users, each with their organization: in the transaction that ends their access.
pub async fn end_of_users(session: &Session, users: &BTreeSet<(&str, &str)>, now: OffsetDateTime) -> Result<()> {
    let mut any = Condition::any();
    let mut orgs: Vec<&str> = users.iter().map(|(org, _)| *org).collect();
    orgs.dedup();
    for org in orgs {
        let of_org = users.iter().filter(|(of, _)| *of == org).map(|(_, user)| *user);
        any = any.add(Condition::all().add(Column::Org.eq(org)).add(Column::UserId.is_in(of_org)));
    }
    let update = Entity::update_many().col_expr(Column::EndedAt, Expr::value(now)).filter(any);
    query::update(session, "ending the sessions of leavers", update.filter(Column::EndedAt.is_null())).await?;
    Ok(())
}

/// Notes the time of a session's last use.
pub async fn note_use(session: &Session, id: &str, now: OffsetDateTime) -> Result<()> {
    let update = Entity::update_many().col_expr(Column::LastUsedAt, Expr::value(now)).filter(Column::Id.eq(id));
    query::update(session, "noting the use of a session", update).await?;
    Ok(())
}

/// Deletes links and sessions that have been of no use for long, and returns how many.
pub async fn purge(session: &Session, now: OffsetDateTime) -> Result<u64> {
    let before = now - KEPT;
    let old = Condition::any().add(Column::EndedAt.lt(before)).add(Column::ExpiresAt.lt(before));
    query::delete(session, "deleting old sign-ins", Entity::delete_many().filter(old)).await
}
