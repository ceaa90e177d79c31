//! Lists round-robin groups, and whose turn it is.

use schemars::JsonSchema;
use serde::Serialize;

use super::error::Result;
use crate::contract::UserId;
use crate::plan::deal::{key_order, next_turn};
use crate::stages::{Context, enter};
use crate::store::host;
use crate::store::ledger::round_robin;

/// A group of users.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Group {
    /// The name.
    pub name: String,
    /// The active members, in the order of their turns.
    pub members: Vec<UserId>,
    /// The member who was served last; absent before the first turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// The member whose turn is next. A kind that they may not receive skips them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<UserId>,
}

/// Returns a page of the groups of an organization by name, after one of them.
pub async fn page(context: &Context, org: &str, after: Option<&str>, limit: u64) -> Result<Vec<Group>> {
    let session = context.store.snapshot().await?;
    let catalog = enter(&session, context.catalogs.current(), org).await?;
    let names = host::group_names(&session, &catalog, org, (after, limit)).await?;
    let mut members =
        host::group_members(&session, &catalog, &[org].into(), names.iter().map(String::as_str), None).await?;
    let all: Vec<&UserId> = members.values().flatten().collect();
    let inactive = match all.is_empty() {
        true => Vec::new(),
        false => host::inactive_among(&session, &catalog, &all).await?,
    };
    let turns = round_robin::of_org(&session, org).await?;
    let group = |name: String| {
        let mut members = members.remove(&name).unwrap_or_default();
        members.retain(|member| !inactive.contains(member));
        let last = turns.iter().find(|turn| turn.group_name == name).map(|turn| turn.last_user.clone());
        let last = last.filter(|last| !last.is_empty());
        let next = next_turn(&members, last.as_deref().unwrap_or_default(), key_order);
        Group { next: members.get(next).cloned(), name, members, last }
    };
    Ok(names.into_iter().map(group).collect())
}
