//! Records that users own, made, wrote and forecast: the large tables.

use super::table::{CrmTable, numbered};
use sea_orm_migration::schema;

/// The tables of this subject, parents first.
pub(super) fn tables() -> Vec<CrmTable> {
    vec![accounts(), contacts(), opportunities(), tasks(), notes(), record_shares(), forecast_overrides()]
}

/// Adds the columns of every record: one owner, and a creator who may have left long ago.
fn owned(name: &'static str) -> CrmTable {
    numbered(name)
        .refers("org_id", "organizations")
        .refers("owner_id", "users")
        .refers("created_by", "users")
        .now("created_at")
        .now("updated_at")
        .index(&["org_id"])
        .index(&["owner_id", "id"])
        .index(&["created_by", "id"])
}

fn accounts() -> CrmTable {
    owned("accounts").text("name").text_null("website")
}

fn contacts() -> CrmTable {
    owned("contacts")
        .text("name")
        .text_null("email")
        .text_null("company")
        .text_null("phone")
        .index(&["email"])
        .index(&["updated_at"])
}

/// Keap's screens call them leads.
fn opportunities() -> CrmTable {
    owned("opportunities")
        .may_refer("contact_id", "contacts")
        .may_refer("account_id", "accounts")
        .text("name")
        .one_of("stage", &["new", "working", "won", "lost"])
        .money_null("amount")
        .index(&["contact_id"])
        .index(&["account_id"])
}

fn tasks() -> CrmTable {
    owned("tasks")
        .may_refer("contact_id", "contacts")
        .text("title")
        .one_of("status", &["pending", "completed"])
        .time_null("due_at")
        .time_null("completed_at")
        .index(&["contact_id"])
}

/// `user_id` is the author; a note has no owner.
fn notes() -> CrmTable {
    numbered("notes")
        .refers("org_id", "organizations")
        .refers("user_id", "users")
        .refers("contact_id", "contacts")
        .text("body")
        .now("created_at")
        .index(&["org_id"])
        .index(&["user_id", "id"])
        .index(&["contact_id"])
}

/// A record shared with a user who does not own it: by hand, or because they are on its team. The record is identified by
/// its type and id, so it has no foreign key.
fn record_shares() -> CrmTable {
    numbered("record_shares")
        .refers("org_id", "organizations")
        .one_of("record_type", &["account", "contact", "opportunity"])
        .col(schema::big_integer("record_id"))
        .refers("user_id", "users")
        .refers("granted_by", "users")
        .one_of("access", &["read_only", "read_write"])
        .one_of("reason", &["manual", "team"])
        .now("created_at")
        .unique(&["record_type", "record_id", "user_id", "reason"])
        .index(&["org_id"])
        .index(&["user_id", "id"])
        .index(&["granted_by", "id"])
}

/// `owner_id` has replaced a figure (of opportunities, of a total, or as a manager's choice) in the forecast of `subject_id`,
/// who may be the same user. Once `frozen_at` is set, the row no longer changes.
fn forecast_overrides() -> CrmTable {
    numbered("forecast_overrides")
        .refers("org_id", "organizations")
        .refers("owner_id", "users")
        .refers("subject_id", "users")
        .one_of("kind", &["opportunity", "adjusted_total", "managers_choice"])
        .text("period")
        .money_null("amount")
        .time_null("frozen_at")
        .unique(&["owner_id", "subject_id", "kind", "period"])
        .index(&["org_id"])
        .index(&["owner_id", "id"])
        .index(&["subject_id", "id"])
}
