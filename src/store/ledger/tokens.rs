//! Tokens of the HTTP API. Only their hashes are stored.

use std::collections::BTreeSet;

use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};
use time::{Duration, OffsetDateTime};

use super::bulk_insert::add as insert;
pub use super::entity::tokens::Model as Token;
use super::entity::tokens::{Column, Entity};
use super::query;
use crate::contract::OwnerKind;
use crate::store::{Result, Session};

/// The time for which tokens that are of no more use are listed.
const KEPT: Duration = Duration::days(30);

/// The precision of the time of the last use. A busy token is not written at each use.
const LAST_USED_EVERY: Duration = Duration::minutes(1);

impl Token {
    /// True if it may be used at this time.
    pub fn is_live(&self, now: OffsetDateTime) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| at > now)
    }

    /// True if a use at this time is to be noted.
    pub fn is_use_noteworthy(&self, now: OffsetDateTime) -> bool {
        self.last_used_at.is_none_or(|last| now - last >= LAST_USED_EVERY)
    }
}

/// Adds a token.
pub async fn add(session: &Session, token: Token) -> Result<()> {
    insert(session, "adding a token", vec![token.into_active_model()], "").await?;
    Ok(())
}

/// Returns a token.
pub async fn get(session: &Session, id: &str) -> Result<Option<Token>> {
    query::one(session, "reading a token", Entity::find_by_id(id)).await
}

/// Returns the tokens of an owner.
pub async fn of_owner(session: &Session, kind: OwnerKind, org: &str, owner: &str) -> Result<Vec<Token>> {
    let find = Entity::find().filter(Column::OwnerKind.eq(kind)).filter(Column::Org.eq(org));
    query::all(session, "reading tokens", find.filter(Column::Owner.eq(owner))).await
}

/// Returns every token, by owner and age.
pub async fn all(session: &Session) -> Result<Vec<Token>> {
    let find = Entity::find().order_by_asc(Column::Org).order_by_asc(Column::Owner).order_by_asc(Column::CreatedAt);
    query::all(session, "listing tokens", find.order_by_asc(Column::Id)).await
}

/// Revokes a token, unless it is revoked already.
pub async fn revoke(session: &Session, id: &str, now: OffsetDateTime) -> Result<()> {
    let update = Entity::update_many().col_expr(Column::RevokedAt, Expr::value(now)).filter(Column::Id.eq(id));
    query::update(session, "revoking a token", update.filter(Column::RevokedAt.is_null())).await?;
    Ok(())
}

/// Revokes the tokens of users, each with their organization: in the transaction that ends their access.
pub async fn revoke_of_users(session: &Session, users: &BTreeSet<(&str, &str)>, now: OffsetDateTime) -> Result<()> {
    let mut any = Condition::any();
    let mut orgs: Vec<&str> = users.iter().map(|(org, _)| *org).collect();
    orgs.dedup();
    for org in orgs {
        let of_org = users.iter().filter(|(of, _)| *of == org).map(|(_, user)| *user);
        any = any.add(Condition::all().add(Column::Org.eq(org)).add(Column::Owner.is_in(of_org)));
    }
    let update = Entity::update_many().col_expr(Column::RevokedAt, Expr::value(now)).filter(any);
    let update = update.filter(Column::OwnerKind.eq(OwnerKind::Person)).filter(Column::RevokedAt.is_null());
    query::update(session, "revoking the tokens of leavers", update).await?;
    Ok(())
}

/// Notes the time of a token's last use.
pub async fn note_use(session: &Session, id: &str, now: OffsetDateTime) -> Result<()> {
    let update = Entity::update_many().col_expr(Column::LastUsedAt, Expr::value(now)).filter(Column::Id.eq(id));
    query::update(session, "noting the use of a token", update).await?;
    Ok(())
}

/// Deletes tokens that have been of no use for long, and returns how many.
pub async fn purge(session: &Session, now: OffsetDateTime) -> Result<u64> {
    let before = now - KEPT;
    let old = Condition::any().add(Column::RevokedAt.lt(before)).add(Column::ExpiresAt.lt(before));
    query::delete(session, "deleting old tokens", Entity::delete_many().filter(old)).await
}
