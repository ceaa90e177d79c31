//! The people whom users work with on records: groups, followers, teams, territories. These are join tables, keyed by their two
//! ends: the primary key serves one end, an index the other.

use super::table::{CrmTable, numbered, table};
use sea_orm_migration::{prelude::*, schema};

/// The tables of this subject, parents first.
pub(super) fn tables() -> Vec<CrmTable> {
    vec![
        groups(),
        group_members(),
        follows(),
        default_team("default_account_teams"),
        default_team("default_opportunity_teams"),
        account_team_members(),
        opportunity_team_members(),
        territories(),
        territory_members(),
    ]
}

/// A group is identified by its name, as in Keap ("the Sales Rep group").
fn groups() -> CrmTable {
    table("groups").refers("org_id", "organizations").text("name").key(&["org_id", "name"])
}

fn group_members() -> CrmTable {
    table("group_members")
        .col(schema::big_integer("org_id"))
        .text("group_name")
        .refers("user_id", "users")
        .now("joined_at")
        .key(&["org_id", "group_name", "user_id"])
        .foreign(&["org_id", "group_name"], "groups", &["org_id", "name"])
        .index(&["user_id", "org_id", "group_name"])
}

fn follows() -> CrmTable {
    table("follows")
        .refers("follower_id", "users")
        .refers("followed_id", "users")
        .now("created_at")
        .key(&["follower_id", "followed_id"])
        .check(Expr::col("follower_id").ne(Expr::col("followed_id")))
        .index(&["followed_id", "follower_id"])
}

/// The users whom `user_id` wants on each new record's team.
fn default_team(name: &'static str) -> CrmTable {
    table(name)
        .refers("user_id", "users")
        .refers("member_id", "users")
        .text_null("team_role")
        .one_of("access", &["read_only", "read_write"])
        .key(&["user_id", "member_id"])
        .index(&["member_id", "user_id"])
}

fn account_team_members() -> CrmTable {
    const ACCESS: [&str; 2] = ["read_only", "read_write"];
    table("account_team_members")
        .refers("account_id", "accounts")
        .refers("user_id", "users")
        .text_null("team_role")
        .one_of("account_access", &ACCESS)
        .one_of("contact_access", &ACCESS)
        .one_of("opportunity_access", &ACCESS)
        .one_of("case_access", &ACCESS)
        .key(&["account_id", "user_id"])
        .index(&["user_id", "account_id"])
}

/// Without a split, `split_percentage` is NULL, so that "is assigned a split" needs no comparison.
fn opportunity_team_members() -> CrmTable {
    table("opportunity_team_members")
        .refers("opportunity_id", "opportunities")
        .refers("user_id", "users")
        .text_null("team_role")
        .col(schema::decimal_len_null("split_percentage", 5, 2))
        .check(Expr::col("split_percentage").gt(0).and(Expr::col("split_percentage").lte(100)))
        .key(&["opportunity_id", "user_id"])
        .index(&["user_id", "opportunity_id"])
}

fn territories() -> CrmTable {
    numbered("territories")
        .refers("org_id", "organizations")
        .may_refer("parent_id", "territories")
        .text("name")
        .unique(&["org_id", "name"])
        .index(&["parent_id"])
}

fn territory_members() -> CrmTable {
    table("territory_members")
        .refers("territory_id", "territories")
        .refers("user_id", "users")
        .key(&["territory_id", "user_id"])
        .index(&["user_id", "territory_id"])
}
