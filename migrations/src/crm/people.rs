//! Users, their permissions, and how they sign in.

use super::table::{CrmTable, numbered, table};
use sea_orm_migration::{prelude::*, schema};

/// The built-in roles and their permissions. In Keap and Agent Connect, managing users and adding users are permissions of
/// their own. In Apto, delegated administrators manage portal users.
const ROLES: [(&str, &[&str]); 4] = [
    ("admin", &["manage_users", "add_users", "reassign_records", "manage_portal_users"]),
    ("manager", &["reassign_records"]),
    ("member", &[]),
    ("delegated_admin", &["manage_portal_users"]),
];

/// The tables of this subject, parents first.
pub(super) fn tables() -> Vec<CrmTable> {
    vec![
        organizations(),
        roles(),
        permissions(),
        role_permissions(),
        users(),
        primary_administrators(),
        sessions(),
        api_tokens(),
        licenses(),
        invitations(),
    ]
}

fn organizations() -> CrmTable {
    numbered("organizations").text("name").now("created_at")
}

/// Keyed by name: `users.role` is both the plain text that Keap's rule reads and the key to the permissions.
fn roles() -> CrmTable {
    table("roles").text("name").key(&["name"])
}

fn permissions() -> CrmTable {
    table("permissions").text("name").key(&["name"])
}

fn role_permissions() -> CrmTable {
    table("role_permissions")
        .text("role")
        .text("permission")
        .key(&["role", "permission"])
        .foreign(&["role"], "roles", &["name"])
        .foreign(&["permission"], "permissions", &["name"])
        .index(&["permission"])
}

/// `name` and `email` may be missing: real profiles are incomplete, and a guard checks that.
fn users() -> CrmTable {
    numbered("users")
        .refers("org_id", "organizations")
        .text_null("name")
        .text_null("username")
        .text_null("email")
        .text_null("title")
        .text_null("phone")
        .one_of("status", &["active", "invited", "inactive"])
        .col(schema::text("role").default("member").take())
        .foreign(&["role"], "roles", &["name"])
        .may_refer("manager_id", "users")
        .flag("is_partner", false)
        .flag("can_manage_team", false)
        .flag("allow_forecasting", true)
        .flag("is_portal_user", false)
        .time_null("last_login_at")
        .now("created_at")
        .now("updated_at")
        .time_null("deactivated_at")
        .unique(&["org_id", "username"])
        .unique(&["org_id", "email"])
        .index(&["org_id", "status"])
        .index(&["manager_id", "id"])
}

/// The administrator who is responsible for each organization's account.
fn primary_administrators() -> CrmTable {
    table("primary_administrators")
        .refers("org_id", "organizations")
        .refers("user_id", "users")
        .key(&["org_id"])
        .index(&["user_id", "org_id"])
}

/// The only table whose key is a text: the hash of the browser's cookie.
fn sessions() -> CrmTable {
    table("sessions")
        .text("id")
        .refers("user_id", "users")
        .text_null("ip_address")
        .now("created_at")
        .now("last_seen_at")
        .key(&["id"])
        .index(&["user_id", "id"])
}

fn api_tokens() -> CrmTable {
    numbered("api_tokens")
        .refers("user_id", "users")
        .text("name")
        .text("token_hash")
        .now("created_at")
        .time_null("last_used_at")
        .unique(&["token_hash"])
        .index(&["user_id", "id"])
}

/// A row is a billed seat, assigned or free.
fn licenses() -> CrmTable {
    numbered("licenses")
        .refers("org_id", "organizations")
        .may_refer("user_id", "users")
        .now("created_at")
        .unique(&["user_id"])
        .index(&["org_id"])
}

/// `user_id` is the invited user (of status `invited`), `invited_by` the user who invited them.
fn invitations() -> CrmTable {
    numbered("invitations")
        .refers("org_id", "organizations")
        .refers("user_id", "users")
        .refers("invited_by", "users")
        .text("email")
        .one_of("status", &["open", "accepted", "cancelled"])
        .now("sent_at")
        .time_null("answered_at")
        .index(&["org_id", "status"])
        .index(&["user_id", "id"])
        .index(&["invited_by", "id"])
}

/// Inserts the roles with the schema and not with the seed: a user cannot exist without a role.
pub(super) async fn insert_built_in_roles(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut roles = insert("roles", &["name"]);
    let mut permissions = insert("permissions", &["name"]);
    let mut role_permissions = insert("role_permissions", &["role", "permission"]);
    for (role, may) in ROLES {
        roles.values_panic([role.into()]);
        for permission in may {
            role_permissions.values_panic([role.into(), (*permission).into()]);
        }
    }
    for permission in ROLES[0].1 {
        permissions.values_panic([(*permission).into()]);
    }
    for statement in [roles, permissions, role_permissions] {
        manager.execute(statement).await?;
    }
    Ok(())
}

fn insert(table: &'static str, columns: &[&'static str]) -> InsertStatement {
    Query::insert().into_table(table).columns(columns.iter().copied()).take()
}
