//! The host's groups of users.

use std::collections::{BTreeSet, HashMap};

use super::columns::{parse_user, user_text};
use crate::catalog::Catalog;
use crate::contract::UserId;
use crate::store::dialect::Type;
use crate::store::dialect::sql::{Sql, as_text, column, table};
use crate::store::host::predicates::{in_org, org_of};
use crate::store::host::user_match::{is_among, is_user};
use crate::store::{Result, Session};

/// Returns the members of groups who belong to one of these organizations, in the order of the users' keys; only members of
/// `among`, if it is given.
pub async fn group_members<'g>(
    session: &Session,
    catalog: &Catalog,
    orgs: &BTreeSet<&str>,
    groups: impl IntoIterator<Item = &'g str>,
    among: Option<&[&UserId]>,
) -> Result<HashMap<String, Vec<UserId>>> {
    let names: BTreeSet<&str> = groups.into_iter().collect();
    let Some(groups) = catalog.groups.as_ref().filter(|_| !names.is_empty()) else {
        return Ok(HashMap::new());
    };
    let (group_column, user_column) = (column("m", &groups.group.name), column("m", &groups.user.name));
    let mut sql = session.sql("");
    let list = sql.host_list(&groups.group, names);
    let among = among.map_or(String::new(), |among| {
        let ids = among.iter().map(|user| user.as_str());
        format!(" AND {}", is_among(&mut sql, &groups.user, &user_column, ids))
    });
    let in_org = in_org(&mut sql, groups.within.as_ref(), "m") + &of_orgs(&mut sql, catalog, orgs, &user_column);
    let user = user_text(&mut sql, &catalog.users, &user_column, &groups.user);
    sql.add(&format!(
        "SELECT {group} AS name, {user} AS member FROM {host} m WHERE {group_column} IN {list}{among}{in_org} \
         AND {user_column} IS NOT NULL AND {group_column} IS NOT NULL ORDER BY {group_column}, {user_column}",
        group = as_text(&group_column),
        host = table(&groups.table),
    ));
    let mut members: HashMap<String, Vec<UserId>> = HashMap::new();
    for row in session.all("reading groups", sql).await? {
        let Some(member) = parse_user(catalog, row.get("member")?) else { continue };
        let group = members.entry(row.get("name")?).or_default();
        // A user who is in two groups of a name is one member.
        if group.last() != Some(&member) {
            group.push(member);
        }
    }
    Ok(members)
}

/// Returns the names of groups with a member who belongs to an organization, in order: at most `limit`, after a name.
pub async fn group_names(
    session: &Session,
    catalog: &Catalog,
    org: &str,
    (after, limit): (Option<&str>, u64),
) -> Result<Vec<String>> {
    let Some(groups) = &catalog.groups else { return Ok(Vec::new()) };
    let (group_column, user_column) = (column("m", &groups.group.name), column("m", &groups.user.name));
    let mut sql = session.sql("");
    let orgs = BTreeSet::from([org]);
    let in_org = in_org(&mut sql, groups.within.as_ref(), "m") + &of_orgs(&mut sql, catalog, &orgs, &user_column);
    let after =
        after.map_or(String::new(), |after| format!(" AND {group_column} > {}", sql.host(&groups.group, after)));
    let limit = sql.bind(limit as i64);
    sql.add(&format!(
        "SELECT {name} AS name FROM {host} m WHERE {group_column} IS NOT NULL{in_org}{after} \
         GROUP BY {group_column} ORDER BY {group_column} LIMIT {limit}",
        name = as_text(&group_column),
        host = table(&groups.table),
    ));
    session.all("reading the names of groups", sql).await?.iter().map(|row| row.get("name")).collect()
}

/// Tests that a member is a user of one of these organizations: groups of several organizations may share a name.
fn of_orgs(sql: &mut Sql, catalog: &Catalog, orgs: &BTreeSet<&str>, member: &str) -> String {
    let (Some(groups), Some(_)) = (&catalog.groups, &catalog.users.org) else { return String::new() };
    let list = sql.list_of(&Type::Text, orgs.iter().copied());
    format!(
        " AND EXISTS (SELECT 1 FROM {users} u WHERE {is_member} AND {org} IN {list}{within})",
        users = table(&catalog.users.table),
        is_member = is_user(&column("u", &catalog.users.key.name), &catalog.users.key, member, &groups.user),
        org = org_of(catalog, "u"),
        within = in_org(sql, catalog.users.within.as_ref(), "u"),
    )
}
